DROP VIEW IF EXISTS ocr_exhausted_documents;

DROP VIEW IF EXISTS ocr_performance_statistics;

DROP VIEW IF EXISTS ocr_failed_jobs;

DROP VIEW IF EXISTS ocr_stuck_jobs;

DROP VIEW IF EXISTS ocr_active_jobs;

DROP VIEW IF EXISTS ocr_ready_documents;

DROP TABLE IF EXISTS ocr_source;
