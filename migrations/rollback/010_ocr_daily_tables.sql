DROP TABLE IF EXISTS ocr_daily_failures_by_kind;

DROP TABLE IF EXISTS ocr_daily_failure_rate;

DROP TABLE IF EXISTS ocr_daily_performance;
