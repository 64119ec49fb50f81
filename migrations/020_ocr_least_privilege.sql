-- depends: 019_ocr_pruning
-- Lets the trigger that restores a text's times run as its owner, and revokes access to our tables from the roles of Supabase's
-- public API. `notaflow migrate --roles` creates the roles.

SET LOCAL lock_timeout = '5s';

-- A program that resets a row may lack SELECT on ocr_attempt, or row-level security may hide its rows: the times would become
-- NULL. So the function runs as its owner. It finds tables in the queue's schema, and last in the caller's temporary schema.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION ocr_keep_old_text() SECURITY DEFINER SET search_path = %I, pg_temp',
        (SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.oid = 'extraction_queue'::regclass)
    );
END
$$;

-- Supabase grants everything on every new table to the roles of its public API; row-level security is off on our tables unless
-- it is enabled, and a view reads with its owner's privileges.
DO $$
DECLARE
    api_role TEXT;
    ours TEXT;
BEGIN
    FOR api_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        FOR ours IN
            SELECT c.oid::regclass::text
            FROM pg_class AS c
            WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'extraction_queue'::regclass)
              AND c.relkind IN ('r', 'p', 'v', 'S')
              AND c.relname ~ '^(ocr_(attempt|round|pause|source|alert|daily|progress_watch|exhausted|pruning|ready_documents|active_jobs|stuck_jobs|failed_jobs|performance_statistics)|_yoyo_|yoyo_lock)'
        LOOP
            EXECUTE format('REVOKE ALL ON %s FROM %I', ours, api_role);
        END LOOP;
    END LOOP;
END
$$;
