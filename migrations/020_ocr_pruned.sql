-- depends: 015_ocr_worker_instance
-- How far old attempts have been removed, so that no day is counted again from a history that is no longer whole.

SET LOCAL lock_timeout = '5s';

CREATE TABLE IF NOT EXISTS ocr_pruned (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE
        CONSTRAINT ocr_pruned_one_row CHECK (only_row),
    through TIMESTAMPTZ,
    resume_after TIMESTAMPTZ,
    pruned_at TIMESTAMPTZ NOT NULL
);

COMMENT ON TABLE ocr_pruned IS 'At most one row: how far housekeeping has removed old attempts';
COMMENT ON COLUMN ocr_pruned.through IS 'Attempts that finished up to this time may be missing: no day that begins before it can be counted again';
COMMENT ON COLUMN ocr_pruned.resume_after IS 'Where the next look goes on when the last one ran out of time; NULL is from the beginning';
