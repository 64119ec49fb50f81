-- depends: 023_ocr_coverage
-- Creates the table of ready documents that the database refused to claim.

SET LOCAL lock_timeout = '5s';

CREATE TABLE IF NOT EXISTS ocr_refusal (
    queue_id UUID PRIMARY KEY,
    refused_at TIMESTAMPTZ NOT NULL,
    reason TEXT NOT NULL
);

COMMENT ON TABLE ocr_refusal IS 'Documents that the database refused to claim, because of a constraint, trigger or policy; a later attempt of the document makes its row outdated';

-- as in 020: Supabase grants everything on a new table to the roles of its public API
DO $$
DECLARE
    api_role TEXT;
BEGIN
    FOR api_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON ocr_refusal FROM %I', api_role);
    END LOOP;
END
$$;
