-- depends: 008_ocr_claim_indexes
-- Creates views of the five monitoring queries of the requirements, word for word, and the exact list of exhausted documents.

SET LOCAL lock_timeout = '5s';

CREATE OR REPLACE VIEW ocr_ready_documents AS
SELECT id, document_number, ocr_attempts, ocr_max_attempts, created_at
FROM extraction_queue
WHERE status_id = 3
  AND document_source = 'index'
  AND file_content IS NULL
  AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)
ORDER BY created_at ASC;

CREATE OR REPLACE VIEW ocr_active_jobs AS
SELECT id, document_number, ocr_worker_id, ocr_started_at,
       EXTRACT(EPOCH FROM (NOW() - ocr_started_at)) as duration_seconds
FROM extraction_queue
WHERE status_id = 6
ORDER BY ocr_started_at ASC;

CREATE OR REPLACE VIEW ocr_stuck_jobs AS
SELECT id, document_number, ocr_worker_id, ocr_started_at,
       EXTRACT(EPOCH FROM (NOW() - ocr_started_at)) as duration_seconds
FROM extraction_queue
WHERE status_id = 6
  AND ocr_started_at < NOW() - INTERVAL '10 minutes'
ORDER BY ocr_started_at ASC;

CREATE OR REPLACE VIEW ocr_failed_jobs AS
SELECT id, document_number, ocr_attempts, ocr_max_attempts,
       ocr_error, ocr_last_error_at
FROM extraction_queue
WHERE ocr_attempts >= ocr_max_attempts
  AND file_content IS NULL
ORDER BY ocr_last_error_at DESC;

CREATE OR REPLACE VIEW ocr_performance_statistics AS
SELECT
  COUNT(*) as total_ocr_jobs,
  AVG(EXTRACT(EPOCH FROM (ocr_completed_at - ocr_started_at))) as avg_duration_seconds,
  MIN(EXTRACT(EPOCH FROM (ocr_completed_at - ocr_started_at))) as min_duration_seconds,
  MAX(EXTRACT(EPOCH FROM (ocr_completed_at - ocr_started_at))) as max_duration_seconds,
  AVG(ocr_attempts) as avg_attempts
FROM extraction_queue
WHERE ocr_completed_at IS NOT NULL
  AND ocr_started_at IS NOT NULL;

-- the enabled sources; `notaflow migrate` keeps it equal to OCR_SOURCES
CREATE TABLE IF NOT EXISTS ocr_source (
    document_source TEXT PRIMARY KEY
        CONSTRAINT ocr_source_can_be_read CHECK (document_source IN ('index', 'acte'))
);

COMMENT ON TABLE ocr_source IS 'Document sources that are OCRed here (OCR_SOURCES when `notaflow migrate` last ran)';

INSERT INTO ocr_source (document_source)
VALUES ('index')
ON CONFLICT (document_source) DO NOTHING;

-- unlike the failed query, without running, blank, requeued and never tried rows
CREATE OR REPLACE VIEW ocr_exhausted_documents AS
SELECT q.id, q.document_number, q.document_source, q.ocr_attempts, q.ocr_max_attempts,
       q.ocr_error, q.ocr_last_error_at, q.created_at
FROM extraction_queue AS q
JOIN ocr_source AS s ON s.document_source = q.document_source
WHERE q.status_id = 3
  AND q.file_content IS NULL
  AND q.ocr_attempts > 0
  AND q.ocr_attempts >= COALESCE(q.ocr_max_attempts, 3)
ORDER BY q.ocr_last_error_at DESC NULLS LAST, q.id;
