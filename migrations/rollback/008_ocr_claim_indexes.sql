DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_active;

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_failed;

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_no_maximum;

DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_claim_index;
