-- depends: 013_ocr_limbo_index
-- transactional: false
-- Adds rereading of finished documents, for example with another engine: the old text stays until the new one is recorded.
SET lock_timeout = '5s';

ALTER TABLE extraction_queue
    ADD COLUMN IF NOT EXISTS ocr_reread_requested_at TIMESTAMPTZ DEFAULT NULL;

COMMENT ON COLUMN extraction_queue.ocr_reread_requested_at IS 'Since when a finished document waits to be read again; NULL otherwise';

SET lock_timeout = 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_extraction_queue_ocr_reread
    ON extraction_queue (ocr_priority DESC, created_at, id)
    WHERE status_id = 5
      AND ocr_reread_requested_at IS NOT NULL;

SET lock_timeout = '5s';

CREATE OR REPLACE FUNCTION ocr_keep_old_text()
RETURNS TRIGGER
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.status_id := 5;
    SELECT won.claimed_at, won.finished_at
    INTO NEW.ocr_started_at, NEW.ocr_completed_at
    FROM ocr_attempt AS won
    WHERE won.queue_id = NEW.id
      AND won.outcome = 'succeeded'
    ORDER BY won.id DESC
    LIMIT 1;
    IF NEW.ocr_attempts >= NEW.ocr_max_attempts THEN
        NEW.ocr_reread_requested_at := NULL;
    END IF;
    RETURN NEW;
END
$$;

-- However rereading ends without a text (failed, released, recovered, reset by another program), the document returns to 5
-- with its text and that text's times. When its attempts are used up, it is not reread any more.
CREATE OR REPLACE TRIGGER ocr_keep_old_text
    BEFORE UPDATE OF status_id ON extraction_queue
    FOR EACH ROW
    WHEN (OLD.status_id = 6 AND NEW.status_id IN (3, 4) AND OLD.ocr_reread_requested_at IS NOT NULL)
    EXECUTE FUNCTION ocr_keep_old_text();
