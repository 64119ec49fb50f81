-- depends: 007_ocr_claim_columns
-- transactional: false
-- Adds indexes for claims. The ready index of the requirements also has exhausted rows, which come first in it.
SET lock_timeout = 0;

-- the condition on attempts must be written as in the claim, or the planner does not use the index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_claim_index
    ON extraction_queue (ocr_priority DESC, created_at, id)
    WHERE status_id = 3
      AND document_source = 'index'
      AND file_content IS NULL
      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts);

-- rows that no list of the requirements shows, because a comparison with NULL is neither true nor false
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_no_maximum
    ON extraction_queue (created_at, id)
    WHERE status_id = 3
      AND file_content IS NULL
      AND ocr_max_attempts IS NULL;

-- the failed list, newest first
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_failed
    ON extraction_queue (ocr_last_error_at DESC)
    WHERE ocr_attempts >= ocr_max_attempts
      AND file_content IS NULL;

-- rows under OCR, with or without a start time
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_active
    ON extraction_queue (id)
    WHERE status_id = 6;
