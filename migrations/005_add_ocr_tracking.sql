-- depends: 002_extraction_queue
-- transactional: false
-- Adds OCR job tracking as the requirements of 2025-10-10 specify it: status 6, seven columns, two indexes.
-- Not transactional, because CREATE INDEX CONCURRENTLY cannot run in a transaction; every statement can be run again.

-- ADD COLUMN waits for all earlier readers and blocks all later sessions: fail instead of waiting for long
SET lock_timeout = '5s';

-- The table is NotaFlow's, and may have an id that is always generated, no key, a serial, or columns that are not known here.
DO $$
DECLARE
    present TEXT := (SELECT name FROM extraction_status WHERE id = 6);
    other_id INTEGER := (SELECT id FROM extraction_status WHERE name = 'OCR en traitement' AND id <> 6 LIMIT 1);
    unknown TEXT := (
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = 'extraction_status'::regclass
          AND attnum > 0
          AND NOT attisdropped
          AND attnotnull
          AND NOT atthasdef
          AND attidentity = ''
          AND attname NOT IN ('id', 'name'));
    ids TEXT := pg_get_serial_sequence('extraction_status', 'id');
    last_id BIGINT;
BEGIN
    IF present <> 'OCR en traitement' THEN
        RAISE EXCEPTION 'extraction_status 6 already means "%"; OCR tracking needs it for "OCR en traitement".', present;
    ELSIF present IS NULL AND other_id IS NOT NULL THEN
        RAISE EXCEPTION 'extraction_status has "OCR en traitement" as % already; OCR tracking needs it as 6.', other_id;
    ELSIF present IS NULL AND unknown IS NOT NULL THEN
        RAISE EXCEPTION 'extraction_status needs a value for %, which is not known here: add the row (6, "OCR en traitement") yourself, and migrate again.', unknown;
    ELSIF present IS NULL THEN
        INSERT INTO extraction_status (id, name)
        OVERRIDING SYSTEM VALUE
        VALUES (6, 'OCR en traitement')
        ON CONFLICT DO NOTHING;
        -- the next status of NotaFlow's own must not be given the same id
        IF ids IS NOT NULL THEN
            EXECUTE format('SELECT last_value FROM %s', ids) INTO last_id;
            IF last_id < 6 THEN
                PERFORM setval(ids, 6);
            END IF;
        END IF;
    END IF;
END
$$;

ALTER TABLE extraction_queue
    ADD COLUMN IF NOT EXISTS ocr_worker_id TEXT DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS ocr_started_at TIMESTAMPTZ DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS ocr_completed_at TIMESTAMPTZ DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS ocr_attempts INTEGER DEFAULT 0,
    ADD COLUMN IF NOT EXISTS ocr_max_attempts INTEGER DEFAULT 3,
    ADD COLUMN IF NOT EXISTS ocr_error TEXT DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS ocr_last_error_at TIMESTAMPTZ DEFAULT NULL;

COMMENT ON COLUMN extraction_queue.ocr_worker_id IS 'Identifier of the OCR worker processing this document';
COMMENT ON COLUMN extraction_queue.ocr_started_at IS 'Timestamp when OCR processing began';
COMMENT ON COLUMN extraction_queue.ocr_completed_at IS 'Timestamp when OCR processing completed successfully';
COMMENT ON COLUMN extraction_queue.ocr_attempts IS 'Number of OCR processing attempts made';
COMMENT ON COLUMN extraction_queue.ocr_max_attempts IS 'Maximum number of OCR attempts allowed';
COMMENT ON COLUMN extraction_queue.ocr_error IS 'Most recent OCR-specific error message';
COMMENT ON COLUMN extraction_queue.ocr_last_error_at IS 'Timestamp of the most recent OCR error';

-- a concurrent build blocks no other session while it waits, and a timeout would leave an INVALID index
SET lock_timeout = 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_ready
    ON extraction_queue (status_id, document_source, created_at, ocr_attempts)
    WHERE status_id = 3 AND document_source = 'index' AND file_content IS NULL;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_stuck
    ON extraction_queue (status_id, ocr_started_at)
    WHERE status_id = 6 AND ocr_started_at IS NOT NULL;
