-- depends: 018_ocr_daily_facts
-- Adds the position at which pruning continues after it ran out of time. ocr_attempts_pruned has how far attempts were removed.

SET LOCAL lock_timeout = '5s';

CREATE TABLE IF NOT EXISTS ocr_pruning (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE
        CONSTRAINT ocr_pruning_one_row CHECK (only_row),
    resume_after TIMESTAMPTZ,
    looked_at TIMESTAMPTZ NOT NULL
);

COMMENT ON TABLE ocr_pruning IS 'At most one row: when housekeeping last looked for attempts to remove';
COMMENT ON COLUMN ocr_pruning.resume_after IS 'It ran out of time after attempts that finished then, and goes on there; NULL is from the beginning';
