-- depends: 014_ocr_reread
-- Adds the claiming process, so that a worker that is interrupted just after the commit of a claim can release it.

SET LOCAL lock_timeout = '5s';

ALTER TABLE ocr_attempt
    ADD COLUMN IF NOT EXISTS worker_instance UUID DEFAULT NULL;

COMMENT ON COLUMN ocr_attempt.worker_instance IS 'One process''s work; two workers may share a worker_id, never this';
