-- depends: 020_ocr_least_privilege
-- Handles changes of rows by other programs: their effect on claims, texts and requests to reread. This project writes a new
-- token with each change of a claim; other programs write none, which distinguishes them.

SET LOCAL lock_timeout = '5s';

ALTER TABLE extraction_queue
    ADD COLUMN IF NOT EXISTS ocr_changed_elsewhere_at TIMESTAMPTZ DEFAULT NULL;

COMMENT ON COLUMN extraction_queue.ocr_changed_elsewhere_at IS 'When another program last claimed, finished, reset or otherwise changed the OCR of this row; NULL if none did';

ALTER TABLE ocr_attempt
    ADD COLUMN IF NOT EXISTS retry_at TIMESTAMPTZ DEFAULT NULL;

COMMENT ON COLUMN ocr_attempt.retry_at IS 'Up to when a failure made its document wait for the next attempt';

-- Such a change ends our claim, unless the row keeps the claim, and withdraws a request to reread.
--
-- Many programs keep times in milliseconds: writing back a row truncates its times, which is not a claim. Nor is a change that
-- sets these columns to NULL: a claim sets the time or the worker.
CREATE OR REPLACE FUNCTION ocr_changed_elsewhere()
RETURNS TRIGGER
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
    is_claim BOOLEAN := NEW.status_id = 6 AND (
        (COALESCE(NEW.ocr_started_at, OLD.ocr_started_at) IS DISTINCT FROM OLD.ocr_started_at
         AND NEW.ocr_started_at IS DISTINCT FROM pg_catalog.date_trunc('milliseconds', OLD.ocr_started_at))
        OR COALESCE(NEW.ocr_worker_id, OLD.ocr_worker_id) IS DISTINCT FROM OLD.ocr_worker_id
    );
BEGIN
    IF is_claim
       OR (NEW.status_id IS DISTINCT FROM OLD.status_id AND (OLD.status_id IN (5, 6) OR NEW.status_id IN (5, 6)))
       OR COALESCE(NEW.ocr_attempts, 0) <> COALESCE(OLD.ocr_attempts, 0)
       OR (NEW.ocr_attempts > NEW.ocr_max_attempts AND NEW.ocr_max_attempts IS DISTINCT FROM OLD.ocr_max_attempts)
       OR NEW.file_content IS DISTINCT FROM OLD.file_content THEN
        NEW.ocr_changed_elsewhere_at := pg_catalog.clock_timestamp();
        NEW.ocr_reread_requested_at := NULL;
        IF is_claim OR NEW.status_id IS DISTINCT FROM 6 THEN
            NEW.ocr_claim_id := NULL;
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- The condition avoids calling the function for most updates, and is short, because the server parses it for each statement.
CREATE OR REPLACE TRIGGER ocr_changed_elsewhere
    BEFORE UPDATE OF status_id, ocr_attempts, ocr_max_attempts, ocr_worker_id, file_content ON extraction_queue
    FOR EACH ROW
    WHEN (
        NEW.ocr_claim_id IS NOT DISTINCT FROM OLD.ocr_claim_id
        AND (
            OLD.status_id IN (5, 6)
            OR NEW.status_id IN (5, 6)
            OR NEW.ocr_attempts IS DISTINCT FROM OLD.ocr_attempts
            OR NEW.ocr_max_attempts IS DISTINCT FROM OLD.ocr_max_attempts
            OR NEW.file_content IS DISTINCT FROM OLD.file_content
        )
    )
    EXECUTE FUNCTION ocr_changed_elsewhere();

-- the function above does what this one did
DROP TRIGGER IF EXISTS ocr_forget_claim ON extraction_queue;

-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS ocr_forget_claim();

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
    IF NOT FOUND THEN
        -- another program's text: of its times nothing is known but that it ended before this
        NEW.ocr_started_at := NULL;
        NEW.ocr_completed_at := pg_catalog.clock_timestamp();
    END IF;
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

-- A document that was to be reread returns to 5 with its text and that text's times, however rereading ends without a text; so
-- does one for which another program wrote a text meanwhile. If its text was deleted meanwhile, it is not at 5, which means that
-- there is a text. When its attempts are used up, it is not reread any more.
CREATE OR REPLACE TRIGGER ocr_keep_old_text
    BEFORE UPDATE OF status_id ON extraction_queue
    FOR EACH ROW
    WHEN (
        OLD.status_id = 6
        AND NEW.status_id IN (3, 4)
        AND NEW.file_content IS NOT NULL
        AND (OLD.ocr_claim_id IS NOT NULL OR OLD.ocr_reread_requested_at IS NOT NULL)
    )
    EXECUTE FUNCTION ocr_keep_old_text();
