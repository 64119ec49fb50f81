-- depends: 012_ocr_claim_trigger
-- transactional: false
-- Adds an index of rows at 3 with a text: no list of the requirements contains them, and recovery repairs them.
SET lock_timeout = 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_limbo
    ON extraction_queue (id)
    WHERE status_id = 3
      AND file_content IS NOT NULL;
