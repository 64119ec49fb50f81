DO $$
BEGIN
    IF obj_description(to_regclass('extraction_status'), 'pg_class') = 'created by notaflow_pipeline' THEN
        DROP TABLE extraction_status;
    END IF;
END
$$;
