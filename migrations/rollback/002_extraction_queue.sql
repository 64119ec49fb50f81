DO $$
BEGIN
    IF obj_description(to_regclass('extraction_queue'), 'pg_class') = 'created by notaflow_pipeline' THEN
        IF EXISTS (SELECT FROM extraction_queue) THEN
            RAISE EXCEPTION 'extraction_queue still holds rows; the way back does not delete documents. Empty it first.';
        END IF;
        DROP TABLE extraction_queue;
    END IF;
END
$$;
