-- Group roles with no more privileges than each needs, for the owner of the database: `notaflow migrate --roles`, or psql -f.
--
-- Not a numbered migration: roles belong to the server, not to one database (two environments on one server share them, and a
-- rollback would remove them for both); creating them needs CREATEROLE, which migrating should not need; and logins may be
-- granted at any time, without a new version. It can be run at any time, and must be run again after migrations that add objects.
-- It needs no superuser: on Supabase `postgres` runs it.
-- On PostgreSQL 16 and later it needs ADMIN OPTION on the login that owns Dagster's tables, which the creator of that login has;
-- otherwise those tables keep their owner, and a warning reports it.
--
-- The roles cannot log in. Grant them to your logins:
--
--   notaflow_worker       reads documents: claims, records, recovers, retries, pauses, alerts, writes the daily tables
--   notaflow_enqueuer     adds rows that are ready for OCR (`notaflow enqueue`, samples)
--   notaflow_housekeeper  removes attempts of documents deleted long ago (only with NOTAFLOW_ATTEMPT_RETENTION_DAYS)
--   notaflow_reader       dashboards: the views, the daily tables, attempts; no document's text
--   notaflow_dagster      owns the schema `dagster`, with Dagster's tables
--   notaflow_owner        owns this project's objects, and migrates them
--
--   CREATE ROLE notaflow LOGIN PASSWORD '…' IN ROLE notaflow_worker, notaflow_enqueuer, notaflow_dagster;
--
-- The policies for row-level security take effect where it is enabled, and do nothing otherwise.

SET lock_timeout = '5s';

DO $$
DECLARE
    role_name TEXT;
    home TEXT;
    ours TEXT[] := ARRAY[
        'ocr_attempt', 'ocr_round', 'ocr_refusal', 'ocr_pause', 'ocr_source', 'ocr_alert_condition',
        'ocr_alert_message', 'ocr_alert_receiver', 'ocr_alert_delivery', 'ocr_alert_position', 'ocr_progress_watch', 'ocr_exhausted_seen',
        'ocr_attempts_pruned', 'ocr_pruning', 'ocr_daily_performance', 'ocr_daily_failure_rate', 'ocr_daily_failures_by_kind'];
    views TEXT[] := ARRAY[
        'ocr_ready_documents', 'ocr_active_jobs', 'ocr_stuck_jobs', 'ocr_failed_jobs', 'ocr_performance_statistics',
        'ocr_exhausted_documents'];
    relation TEXT;
    db_object RECORD;
    policy RECORD;
    me OID := (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER);
    has_options BOOLEAN := current_setting('server_version_num')::integer >= 160000;
    joined TEXT[] := '{}';
BEGIN
    IF to_regclass('extraction_queue') IS NULL THEN
        RAISE EXCEPTION 'there is no extraction_queue here: run `notaflow migrate` first';
    END IF;
    SELECT relnamespace::regnamespace::text INTO home FROM pg_class WHERE oid = 'extraction_queue'::regclass;
    FOREACH relation IN ARRAY ours || views LOOP
        IF to_regclass(relation) IS DISTINCT FROM to_regclass(home || '.' || relation) OR to_regclass(relation) IS NULL THEN
            RAISE EXCEPTION '% is missing from schema %, or the search_path leads to another one: run `notaflow migrate` first',
                relation, home;
        END IF;
    END LOOP;

    -- two installations may do this at the same time on one server
    FOREACH role_name IN ARRAY ARRAY[
        'notaflow_worker', 'notaflow_enqueuer', 'notaflow_housekeeper', 'notaflow_reader', 'notaflow_dagster', 'notaflow_owner']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;

    -- The login that runs this keeps its privileges: it becomes a member of the new owners.
    FOREACH role_name IN ARRAY ARRAY['notaflow_owner', 'notaflow_dagster'] LOOP
        IF NOT pg_has_role(CURRENT_USER, role_name, 'USAGE') OR NOT pg_has_role(CURRENT_USER, role_name, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', role_name, CURRENT_USER);
        END IF;
    END LOOP;

    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %s TO notaflow_owner', home);
    EXECUTE format(
        'GRANT USAGE ON SCHEMA %s TO notaflow_worker, notaflow_enqueuer, notaflow_housekeeper, notaflow_reader', home);

    -- Only a member of the present owner can change an owner. Dagster's tables belong to the login that first started it, and
    -- ours to the one that first migrated: the current login becomes a member of those logins until the end of this script. A
    -- login with CREATEROLE may do that before PostgreSQL 16; since then it needs ADMIN OPTION, which it has on logins that it
    -- created.
    FOR role_name IN
        SELECT DISTINCT r.rolname
        FROM pg_roles AS r
        WHERE NOT pg_has_role(CURRENT_USER, r.oid, 'USAGE')
          AND NOT EXISTS (
              SELECT
              FROM pg_auth_members AS m
              WHERE m.roleid = r.oid
                AND m.member = me
                AND (m.grantor = me OR NOT has_options)
          )
          AND (
              EXISTS (SELECT FROM pg_namespace WHERE nspname = 'dagster' AND nspowner = r.oid)
              OR EXISTS (
                  SELECT
                  FROM pg_class AS c
                  WHERE c.relowner = r.oid
                    AND (
                        c.relnamespace = to_regnamespace('dagster') AND c.relkind IN ('r', 'p')
                        OR c.oid = ANY (SELECT to_regclass(one) FROM unnest(
                            ours || views || ARRAY['_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock']) AS one)
                    )
              )
              OR EXISTS (
                  SELECT
                  FROM pg_proc AS p
                  WHERE p.proowner = r.oid
                    AND p.oid = ANY (ARRAY[to_regprocedure('ocr_changed_elsewhere()'), to_regprocedure('ocr_keep_old_text()')])
              )
          )
    LOOP
        BEGIN
            EXECUTE format('GRANT %I TO %I', role_name, CURRENT_USER)
                || CASE WHEN has_options THEN ' WITH INHERIT TRUE' ELSE '' END;
            joined := joined || role_name;
        EXCEPTION WHEN insufficient_privilege OR invalid_grant_operation THEN
            NULL; -- objects whose owner cannot be changed are named below
        END;
    END LOOP;

    -- This project's objects get its owner; NotaFlow's own tables keep theirs. Only objects with another owner are locked.
    FOR db_object IN
        SELECT c.oid::regclass::text AS name, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind
        FROM pg_class AS c
        WHERE c.relowner <> 'notaflow_owner'::regrole
          AND (
              c.oid = ANY (SELECT to_regclass(one) FROM unnest(
                  ours || views || ARRAY['_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock']) AS one)
              OR c.oid = ANY (ARRAY[to_regclass('extraction_queue'), to_regclass('extraction_status')])
                 AND obj_description(c.oid, 'pg_class') = 'created by notaflow_pipeline'
          )
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO notaflow_owner', db_object.kind, db_object.name);
    END LOOP;
    FOR db_object IN
        SELECT p.oid::regprocedure::text AS name
        FROM pg_proc AS p
        WHERE p.oid = ANY (ARRAY[to_regprocedure('ocr_changed_elsewhere()'), to_regprocedure('ocr_keep_old_text()')])
          AND p.proowner <> 'notaflow_owner'::regrole
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO notaflow_owner', db_object.name);
    END LOOP;

    -- Dagster's schema, with all objects in it
    IF to_regnamespace('dagster') IS NULL THEN
        CREATE SCHEMA dagster AUTHORIZATION notaflow_dagster;
    ELSIF EXISTS (
        SELECT
        FROM pg_namespace
        WHERE nspname = 'dagster'
          AND nspowner <> 'notaflow_dagster'::regrole
          AND pg_has_role(CURRENT_USER, nspowner, 'USAGE')
    ) THEN
        EXECUTE format('GRANT CREATE ON DATABASE %I TO notaflow_dagster', current_database());
        ALTER SCHEMA dagster OWNER TO notaflow_dagster;
        EXECUTE format('REVOKE CREATE ON DATABASE %I FROM notaflow_dagster', current_database());
    END IF;
    FOR db_object IN
        SELECT c.oid::regclass::text AS name
        FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('dagster')
          AND c.relkind IN ('r', 'p')
          AND c.relowner <> 'notaflow_dagster'::regrole
          AND pg_has_role(CURRENT_USER, c.relowner, 'USAGE')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO notaflow_dagster', db_object.name);
    END LOOP;
    FOR db_object IN
        SELECT DISTINCT pg_get_userbyid(c.owner) AS owner
        FROM (
            SELECT relowner
            FROM pg_class
            WHERE relnamespace = to_regnamespace('dagster') AND relkind IN ('r', 'p')
            UNION
            SELECT nspowner
            FROM pg_namespace
            WHERE nspname = 'dagster'
        ) AS c (owner)
        WHERE c.owner <> 'notaflow_dagster'::regrole
    LOOP
        RAISE WARNING 'the schema dagster or tables in it stay with the login %, and other logins cannot use them: GRANT % TO % WITH ADMIN OPTION as a superuser, and run this again',
            db_object.owner, quote_ident(db_object.owner), quote_ident(CURRENT_USER);
    END LOOP;

    FOREACH role_name IN ARRAY joined LOOP
        EXECUTE format('REVOKE %I FROM %I', role_name, CURRENT_USER);
    END LOOP;

    -- A policy locks its table briefly, so it is created once. The last column is the condition on changed rows.
    FOR policy IN
        SELECT *
        FROM (
            VALUES
                ('extraction_queue', 'notaflow_worker_reads', 'SELECT', 'notaflow_worker', NULL),
                -- it changes the status among ready, failed, done and under OCR, and never back to extraction
                ('extraction_queue', 'notaflow_worker_works', 'UPDATE', 'notaflow_worker', 'status_id IN (3, 4, 5, 6)'),
                ('extraction_queue', 'notaflow_enqueuer_reads', 'SELECT', 'notaflow_enqueuer', NULL),
                ('extraction_queue', 'notaflow_enqueuer_adds', 'INSERT', 'notaflow_enqueuer', 'status_id = 3'),
                ('extraction_queue', 'notaflow_housekeeper_reads', 'SELECT', 'notaflow_housekeeper', NULL),
                -- the views read as their owner
                ('extraction_queue', 'notaflow_owner_reads', 'SELECT', 'notaflow_owner', NULL),
                ('extraction_status', 'notaflow_reads', 'SELECT',
                 'notaflow_worker, notaflow_enqueuer, notaflow_reader, notaflow_owner', NULL),
                ('ocr_attempt', 'notaflow_reads', 'SELECT', 'notaflow_reader, notaflow_housekeeper', NULL),
                ('ocr_attempt', 'notaflow_removes', 'DELETE', 'notaflow_housekeeper', NULL),
                ('ocr_round', 'notaflow_reads', 'SELECT', 'notaflow_reader, notaflow_housekeeper', NULL),
                ('ocr_round', 'notaflow_removes', 'DELETE', 'notaflow_housekeeper', NULL),
                ('ocr_daily_performance', 'notaflow_reads', 'SELECT', 'notaflow_reader', NULL),
                ('ocr_daily_failure_rate', 'notaflow_reads', 'SELECT', 'notaflow_reader, notaflow_housekeeper', NULL),
                ('ocr_daily_failures_by_kind', 'notaflow_reads', 'SELECT', 'notaflow_reader', NULL),
                ('ocr_refusal', 'notaflow_reads', 'SELECT', 'notaflow_reader', NULL),
                ('ocr_pause', 'notaflow_reads', 'SELECT', 'notaflow_reader', NULL),
                ('ocr_source', 'notaflow_reads', 'SELECT', 'notaflow_reader', NULL),
                ('ocr_attempts_pruned', 'notaflow_prunes', 'ALL', 'notaflow_housekeeper', 'TRUE'),
                ('ocr_pruning', 'notaflow_prunes', 'ALL', 'notaflow_housekeeper', 'TRUE')
        ) AS wanted (relation, name, command, roles, condition)
        UNION ALL
        SELECT one, 'notaflow_works', 'ALL', 'notaflow_worker', 'TRUE'
        FROM unnest(ours) AS one
        WHERE one NOT IN ('ocr_pruning')
    LOOP
        IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = to_regclass(policy.relation) AND polname = policy.name) THEN
            EXECUTE format(
                'CREATE POLICY %I ON %s FOR %s TO %s %s %s',
                policy.name, policy.relation, policy.command, policy.roles,
                CASE WHEN policy.command <> 'INSERT' THEN 'USING (TRUE)' END,
                'WITH CHECK (' || policy.condition || ')');
        END IF;
    END LOOP;
END
$$;

-- The worker. On NotaFlow's table: the columns that the statements of the queue write; no INSERT or DELETE.
GRANT SELECT (id, document_source, document_number, document_number_normalized, status_id, supabase_path, error_message,
              file_content, created_at, updated_at, ocr_worker_id, ocr_started_at, ocr_completed_at, ocr_attempts,
              ocr_max_attempts, ocr_error, ocr_last_error_at, ocr_claim_id, ocr_next_attempt_at, ocr_priority,
              ocr_reread_requested_at, ocr_changed_elsewhere_at),
      UPDATE (status_id, error_message, file_content, updated_at, ocr_worker_id, ocr_started_at, ocr_completed_at, ocr_attempts,
              ocr_max_attempts, ocr_error, ocr_last_error_at, ocr_claim_id, ocr_next_attempt_at, ocr_priority,
              ocr_reread_requested_at, ocr_changed_elsewhere_at)
    ON extraction_queue TO notaflow_worker;

GRANT SELECT ON extraction_status, ocr_source, ocr_attempts_pruned TO notaflow_worker;

-- a claim takes its token from here
GRANT USAGE ON SEQUENCE ocr_attempt_id_seq TO notaflow_worker;

-- attempts can be added and closed, not deleted
GRANT SELECT, INSERT,
      UPDATE (lease_expires_at, finished_at, outcome, failure_kind, error, pages, characters, mean_confidence, fetch_seconds,
              ocr_seconds, source_bytes, engine, text_sha256, exhausted, pages_blank, pages_text_layer, pages_damaged,
              pages_failed, low_confidence_share, passes, coverage, retry_at)
    ON ocr_attempt TO notaflow_worker;

GRANT SELECT, INSERT ON ocr_round TO notaflow_worker;

GRANT SELECT, INSERT, UPDATE, DELETE ON ocr_refusal TO notaflow_worker;

GRANT SELECT, INSERT, UPDATE (reason), DELETE ON ocr_pause TO notaflow_worker;

GRANT SELECT, INSERT, UPDATE ON ocr_alert_condition, ocr_alert_position, ocr_progress_watch, ocr_exhausted_seen
    TO notaflow_worker;

GRANT SELECT, INSERT, DELETE ON ocr_alert_message TO notaflow_worker;

GRANT SELECT, INSERT, UPDATE, DELETE ON ocr_alert_receiver, ocr_alert_delivery TO notaflow_worker;

-- a day is replaced as a whole
GRANT SELECT, INSERT, DELETE ON ocr_daily_performance, ocr_daily_failure_rate, ocr_daily_failures_by_kind TO notaflow_worker;

-- The enqueuer: new rows, and their ids.
GRANT SELECT (id),
      INSERT (document_source, document_number, document_number_normalized, circonscription_fonciere, cadastre, acte_type,
              status_id, supabase_path, created_at, updated_at)
    ON extraction_queue TO notaflow_enqueuer;

-- The housekeeper: histories of deleted documents.
GRANT SELECT (id) ON extraction_queue TO notaflow_housekeeper;

GRANT SELECT (id, queue_id, finished_at, outcome), DELETE ON ocr_attempt TO notaflow_housekeeper;

GRANT SELECT (id, queue_id), DELETE ON ocr_round TO notaflow_housekeeper;

GRANT SELECT (day, document_source) ON ocr_daily_failure_rate TO notaflow_housekeeper;

GRANT SELECT, INSERT, UPDATE ON ocr_attempts_pruned, ocr_pruning TO notaflow_housekeeper;

-- The reader: figures and errors. No column of the queue itself, and not the digests by which a text could be guessed.
GRANT SELECT ON ocr_ready_documents, ocr_active_jobs, ocr_stuck_jobs, ocr_failed_jobs, ocr_performance_statistics,
    ocr_exhausted_documents, ocr_daily_performance, ocr_daily_failure_rate, ocr_daily_failures_by_kind, ocr_round,
    ocr_refusal, ocr_pause, ocr_source, extraction_status TO notaflow_reader, notaflow_worker;

GRANT SELECT (id, queue_id, attempt_number, document_source, worker_id, run_id, worker_instance, claimed_at, lease_expires_at,
              finished_at, outcome, failure_kind, error, pages, characters, mean_confidence, fetch_seconds, ocr_seconds,
              source_bytes, engine, ready_at, exhausted, pages_blank, pages_text_layer, pages_damaged, pages_failed,
              low_confidence_share, passes, coverage)
    ON ocr_attempt TO notaflow_reader;

-- The owner: the views and the trigger read NotaFlow's table as their owner.
GRANT SELECT ON extraction_queue, extraction_status TO notaflow_owner;
