-- depends: 011_ocr_rounds
-- A program that knows nothing of tokens takes a row away from 6: the token goes with it, so that the worker whose claim
-- it was cannot finish the row once somebody else has set it to 6 again.

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
