-- depends: 021_ocr_changed_elsewhere
-- transactional: false
-- Moves documents in backoff to their own index: with a hundred thousand of them at the head of the claim index, every claim
-- read them all.
SET lock_timeout = 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_backoff
    ON extraction_queue (ocr_next_attempt_at)
    WHERE status_id = 3
      AND file_content IS NULL
      AND ocr_next_attempt_at IS NOT NULL;

-- the condition on attempts must be written as in the claim, or the planner does not use the index
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_next_index
    ON extraction_queue (ocr_priority DESC, created_at, id)
    WHERE status_id = 3
      AND document_source = 'index'
      AND file_content IS NULL
      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)
      AND ocr_next_attempt_at IS NULL;

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_claim_index;

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_claim_acte;
