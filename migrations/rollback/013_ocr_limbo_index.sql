DROP INDEX CONCURRENTLY IF EXISTS idx_extraction_queue_ocr_limbo;
