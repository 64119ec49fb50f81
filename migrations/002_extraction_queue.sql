-- depends: 001_extraction_status
-- Creates the queue as NotaFlow has it before OCR tracking, if it does not exist (local use, tests).
-- On a NotaFlow database this changes nothing. "attemtps" is the column's real name.

DO $$
BEGIN
    IF to_regclass('extraction_queue') IS NULL THEN
        CREATE TABLE extraction_queue (
            id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
            document_source TEXT,
            document_number TEXT NOT NULL,
            document_number_normalized TEXT,
            circonscription_fonciere TEXT,
            cadastre TEXT,
            designation_secondaire TEXT,
            acte_type TEXT,
            status_id INTEGER DEFAULT 1 REFERENCES extraction_status (id),
            worker_id TEXT,
            attemtps INTEGER DEFAULT 0,
            max_attempts INTEGER DEFAULT 3,
            retry_count INTEGER DEFAULT 0,
            processing_started_at TIMESTAMPTZ,
            supabase_path TEXT,
            error_message TEXT,
            file_content TEXT,
            searchable_file_content TEXT,
            boosted_file_content TEXT,
            claude_file_id TEXT,
            file_id_active BOOLEAN,
            created_at TIMESTAMPTZ DEFAULT now(),
            updated_at TIMESTAMPTZ DEFAULT now()
        );
        -- the way back drops only what carries this mark
        COMMENT ON TABLE extraction_queue IS 'created by notaflow_pipeline';
    END IF;
END
$$;
