SET lock_timeout = '5s';

DROP TABLE IF EXISTS ocr_attempts_pruned;

ALTER TABLE ocr_daily_performance
    DROP COLUMN IF EXISTS computed_at;

ALTER TABLE ocr_daily_failure_rate
    DROP COLUMN IF EXISTS computed_at;

ALTER TABLE ocr_daily_failures_by_kind
    DROP COLUMN IF EXISTS computed_at;

ALTER TABLE ocr_attempt
    DROP COLUMN IF EXISTS ready_at,
    DROP COLUMN IF EXISTS exhausted;
