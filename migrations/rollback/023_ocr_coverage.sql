SET lock_timeout = '5s';

ALTER TABLE ocr_daily_performance
    DROP COLUMN IF EXISTS mean_coverage,
    DROP COLUMN IF EXISTS low_coverage_documents;

ALTER TABLE ocr_attempt
    DROP COLUMN IF EXISTS coverage;
