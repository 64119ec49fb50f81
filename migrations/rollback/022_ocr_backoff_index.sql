CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_claim_index
    ON extraction_queue (ocr_priority DESC, created_at, id)
    WHERE status_id = 3
      AND document_source = 'index'
      AND file_content IS NULL
      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts);

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_next_index;

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_next_acte;

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_backoff;
