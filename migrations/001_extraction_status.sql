-- Creates the statuses of NotaFlow if its own tables do not exist (local use, tests).
-- On a NotaFlow database this changes nothing.

DO $$
BEGIN
    IF to_regclass('extraction_status') IS NULL THEN
        CREATE TABLE extraction_status (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE
        );
        -- the way back drops only what carries this mark
        COMMENT ON TABLE extraction_status IS 'created by notaflow_pipeline';

        INSERT INTO extraction_status (id, name)
        VALUES (1, 'En attente'),
               (2, 'En traitement'),
               (3, 'Complété'),
               (4, 'Erreur'),
               (5, 'Extraction Complété');
    END IF;
END
$$;
