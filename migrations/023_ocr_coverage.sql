-- depends: 022_ocr_backoff_index
-- Adds coverage, the share of the ink that the recognised words account for: words that were not found do not lower the
-- confidence.

SET LOCAL lock_timeout = '5s';

ALTER TABLE ocr_attempt
    ADD COLUMN IF NOT EXISTS coverage REAL DEFAULT NULL;

-- 0 for existing days: none of their attempts has a coverage
ALTER TABLE ocr_daily_performance
    ADD COLUMN IF NOT EXISTS mean_coverage DOUBLE PRECISION DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS low_coverage_documents INTEGER NOT NULL DEFAULT 0;

COMMENT ON COLUMN ocr_attempt.coverage IS '0 to 1: share of a page''s ink that its recognised words account for, of the page with the lowest; NULL where it was measured on no page';
COMMENT ON COLUMN ocr_daily_performance.mean_coverage IS '0 to 1: mean of the attempts'' coverage';
COMMENT ON COLUMN ocr_daily_performance.low_coverage_documents IS 'Documents read with less coverage than OCR_LOW_COVERAGE';
