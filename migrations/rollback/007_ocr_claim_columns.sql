SET lock_timeout = '5s';

-- without its token a claim cannot be finished: the row returns to ready, and the attempt is not counted
UPDATE extraction_queue
SET status_id = 3,
    ocr_attempts = GREATEST(ocr_attempts - 1, 0),
    updated_at = clock_timestamp()
WHERE status_id = 6
  AND ocr_claim_id IS NOT NULL;

ALTER TABLE extraction_queue
    DROP COLUMN IF EXISTS ocr_claim_id,
    DROP COLUMN IF EXISTS ocr_next_attempt_at,
    DROP COLUMN IF EXISTS ocr_priority;
