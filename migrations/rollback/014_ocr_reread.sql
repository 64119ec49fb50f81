SET lock_timeout = '5s';

DROP TRIGGER IF EXISTS ocr_keep_old_text ON extraction_queue;

DROP FUNCTION IF EXISTS ocr_keep_old_text();

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_reread;

ALTER TABLE extraction_queue
    DROP COLUMN IF EXISTS ocr_reread_requested_at;
