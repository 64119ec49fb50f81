-- depends: 007_ocr_claim_columns
-- transactional: false
-- The document's ready index holds exhausted rows too, at its front. These hold none.
SET lock_timeout = 0;

-- the attempts' condition stands in the very form in which the claim repeats it, or the planner does not see that it is implied
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_claim_index
    ON extraction_queue (ocr_priority DESC, created_at, id)
    WHERE status_id = 3
      AND document_source = 'index'
      AND file_content IS NULL
      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts);

-- rows that no list of the document shows, because a comparison with NULL is neither true nor false
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

-- what is under OCR, with or without a start time
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_active
    ON extraction_queue (id)
    WHERE status_id = 6;
