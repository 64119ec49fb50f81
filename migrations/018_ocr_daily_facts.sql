-- depends: 017_ocr_alerts
-- Adds facts of an attempt that the daily tables need and that cannot be derived later, and how far the history was pruned.

SET LOCAL lock_timeout = '5s';

ALTER TABLE ocr_attempt
    ADD COLUMN IF NOT EXISTS ready_at TIMESTAMPTZ DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS exhausted BOOLEAN DEFAULT NULL;

COMMENT ON COLUMN ocr_attempt.ready_at IS 'Since when the document could have been claimed: the latest of its creation, its previous end, its backoff and a request to try or read it again';
COMMENT ON COLUMN ocr_attempt.exhausted IS 'Whether this failure used up the document''s attempts and left it without a text';

ALTER TABLE ocr_daily_performance
    ADD COLUMN IF NOT EXISTS computed_at TIMESTAMPTZ DEFAULT NULL;

ALTER TABLE ocr_daily_failure_rate
    ADD COLUMN IF NOT EXISTS computed_at TIMESTAMPTZ DEFAULT NULL;

ALTER TABLE ocr_daily_failures_by_kind
    ADD COLUMN IF NOT EXISTS computed_at TIMESTAMPTZ DEFAULT NULL;

-- at most one row; it is written in the transaction that deletes the attempts
CREATE TABLE IF NOT EXISTS ocr_attempts_pruned (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE
        CONSTRAINT ocr_attempts_pruned_one_row CHECK (only_row),
    finished_before TIMESTAMPTZ NOT NULL
);

COMMENT ON TABLE ocr_attempts_pruned IS 'Holds a row once attempts were deleted: those that finished before its time; daily tables from then on backwards stay as they are';

COMMENT ON TABLE ocr_daily_performance IS 'The attempts that succeeded on a day of NOTAFLOW_TIMEZONE, by source, and all for the sum';
COMMENT ON COLUMN ocr_daily_performance.documents IS 'Documents that were read';
COMMENT ON COLUMN ocr_daily_performance.duration_seconds_avg IS 'From claim to finish';
COMMENT ON COLUMN ocr_daily_performance.wait_seconds_p50 IS 'From when the document could have been claimed to the claim';
COMMENT ON COLUMN ocr_daily_performance.attempts_avg IS 'Which attempt it was that succeeded, on average; 1 is the first';
COMMENT ON COLUMN ocr_daily_performance.pages_per_minute IS 'Pages by the sum of durations';
COMMENT ON COLUMN ocr_daily_performance.mean_confidence IS '0 to 100: mean of the attempts'' own means';
COMMENT ON COLUMN ocr_daily_performance.low_confidence_documents IS 'Documents read with less than OCR_LOW_CONFIDENCE';
COMMENT ON COLUMN ocr_daily_performance.computed_at IS 'Attempts that finished before this are counted';

COMMENT ON TABLE ocr_daily_failure_rate IS 'The attempts that succeeded, failed or got stuck on a day of NOTAFLOW_TIMEZONE, by source, and all for the sum';
COMMENT ON COLUMN ocr_daily_failure_rate.attempt_failure_rate IS '0 to 1: failed and stuck by all three; released and superseded attempts count nowhere';
COMMENT ON COLUMN ocr_daily_failure_rate.documents_finished IS 'Documents that were read or exhausted';
COMMENT ON COLUMN ocr_daily_failure_rate.documents_exhausted IS 'Documents whose last permitted attempt failed';
COMMENT ON COLUMN ocr_daily_failure_rate.document_failure_rate IS '0 to 1: exhausted by finished';
COMMENT ON COLUMN ocr_daily_failure_rate.failure_rate_low IS 'Lower bound of attempt_failure_rate, 95 % Wilson interval';
COMMENT ON COLUMN ocr_daily_failure_rate.failure_rate_high IS 'Upper bound of attempt_failure_rate, 95 % Wilson interval';

COMMENT ON TABLE ocr_daily_failures_by_kind IS 'The attempts that failed or got stuck on a day of NOTAFLOW_TIMEZONE, by source and kind, and all for the sum of sources';
