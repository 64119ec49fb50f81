SET LOCAL lock_timeout = '5s';

DROP TRIGGER IF EXISTS ocr_changed_elsewhere ON extraction_queue;

DROP FUNCTION IF EXISTS ocr_changed_elsewhere();

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

-- as 014 and 020 left it
CREATE OR REPLACE FUNCTION ocr_keep_old_text()
RETURNS TRIGGER
LANGUAGE plpgsql
SECURITY DEFINER
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

DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION ocr_keep_old_text() SET search_path = %I, pg_temp',
        (SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.oid = 'extraction_queue'::regclass)
    );
END
$$;

CREATE OR REPLACE TRIGGER ocr_keep_old_text
    BEFORE UPDATE OF status_id ON extraction_queue
    FOR EACH ROW
    WHEN (OLD.status_id = 6 AND NEW.status_id IN (3, 4) AND OLD.ocr_reread_requested_at IS NOT NULL)
    EXECUTE FUNCTION ocr_keep_old_text();

ALTER TABLE ocr_attempt
    DROP COLUMN IF EXISTS retry_at;

ALTER TABLE extraction_queue
    DROP COLUMN IF EXISTS ocr_changed_elsewhere_at;
