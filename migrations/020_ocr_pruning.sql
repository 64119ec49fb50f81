-- depends: 015_ocr_worker_instance
-- How far old attempts were removed, so that no day is counted again from a history that is no longer whole, and where the next
-- look goes on.

SET LOCAL lock_timeout = '5s';

-- at most one row; it is written in the transaction that deletes the attempts
CREATE TABLE IF NOT EXISTS ocr_attempts_pruned (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE
        CONSTRAINT ocr_attempts_pruned_one_row CHECK (only_row),
    finished_before TIMESTAMPTZ NOT NULL
);

CREATE TABLE IF NOT EXISTS ocr_pruning (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE
        CONSTRAINT ocr_pruning_one_row CHECK (only_row),
    resume_after TIMESTAMPTZ,
    looked_at TIMESTAMPTZ NOT NULL
);

COMMENT ON TABLE ocr_pruning IS 'At most one row: when housekeeping last looked for attempts to remove';
COMMENT ON COLUMN ocr_pruning.resume_after IS 'It ran out of time after attempts that finished then, and goes on there; NULL is from the beginning';
