-- depends: 006_ocr_attempt
-- transactional: false
SET lock_timeout = '5s';

ALTER TABLE extraction_queue
    ADD COLUMN IF NOT EXISTS ocr_claim_id BIGINT DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS ocr_next_attempt_at TIMESTAMPTZ DEFAULT NULL,
    ADD COLUMN IF NOT EXISTS ocr_priority SMALLINT NOT NULL DEFAULT 0;

COMMENT ON COLUMN extraction_queue.ocr_claim_id IS 'Token of the open OCR claim (ocr_attempt.id); NULL unless status 6 by this project';
COMMENT ON COLUMN extraction_queue.ocr_next_attempt_at IS 'Not to be claimed for OCR before this time; NULL is now';
COMMENT ON COLUMN extraction_queue.ocr_priority IS 'Higher is claimed first, then the oldest';
