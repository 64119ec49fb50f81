-- depends: 012_ocr_claim_trigger
-- transactional: false
-- Rows that have a text and are still ready: in no list of the document, and repaired by recovery.
SET lock_timeout = 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_limbo
    ON extraction_queue (id)
    WHERE status_id = 3
      AND file_content IS NOT NULL;
