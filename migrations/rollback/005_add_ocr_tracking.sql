DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_stuck;

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_ready;

SET lock_timeout = '5s';

-- rows under OCR return to ready; otherwise the status could not be deleted
UPDATE extraction_queue
SET status_id = 3,
    updated_at = clock_timestamp()
WHERE status_id = 6;

DELETE FROM extraction_status
WHERE id = 6;

ALTER TABLE extraction_queue
    DROP COLUMN IF EXISTS ocr_worker_id,
    DROP COLUMN IF EXISTS ocr_started_at,
    DROP COLUMN IF EXISTS ocr_completed_at,
    DROP COLUMN IF EXISTS ocr_attempts,
    DROP COLUMN IF EXISTS ocr_max_attempts,
    DROP COLUMN IF EXISTS ocr_error,
    DROP COLUMN IF EXISTS ocr_last_error_at;
