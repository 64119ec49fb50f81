-- depends: 011_ocr_rounds
-- Adds a trigger that removes the token when a program without tokens changes the status from 6, so that the worker with the
-- claim cannot finish the row after another program has set it to 6 again.

SET LOCAL lock_timeout = '5s';

CREATE OR REPLACE FUNCTION ocr_forget_claim()
RETURNS TRIGGER
LANGUAGE plpgsql
SET search_path = ''
AS $$
BEGIN
    NEW.ocr_claim_id := NULL;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER ocr_forget_claim
    BEFORE UPDATE OF status_id ON extraction_queue
    FOR EACH ROW
    WHEN (OLD.status_id = 6 AND NEW.status_id IS DISTINCT FROM 6)
    EXECUTE FUNCTION ocr_forget_claim();
