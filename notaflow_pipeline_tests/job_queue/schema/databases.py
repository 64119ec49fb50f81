"""Databases before the migrations, and what their catalogs say."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.schema.check import find_schema_differences

DOCUMENT_INDEXES = {
    "idx_extraction_queue_ocr_ready": (
        "CREATE INDEX idx_extraction_queue_ocr_ready ON public.extraction_queue USING btree "
        "(status_id, document_source, created_at, ocr_attempts) "
        "WHERE ((status_id = 3) AND (document_source = 'index'::text) AND (file_content IS NULL))"
    ),
    "idx_extraction_queue_ocr_stuck": (
        "CREATE INDEX idx_extraction_queue_ocr_stuck ON public.extraction_queue USING btree "
        "(status_id, ocr_started_at) WHERE ((status_id = 6) AND (ocr_started_at IS NOT NULL))"
    ),
}

# NotaFlow's tables and statuses before migration 005
NOTAFLOW_TABLES = """
CREATE TABLE extraction_status (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO extraction_status
VALUES (1, 'En attente'), (2, 'En traitement'), (3, 'Complété'), (4, 'Erreur'), (5, 'Extraction Complété');
CREATE TABLE extraction_queue (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    document_source text,
    document_number text NOT NULL,
    document_number_normalized text,
    circonscription_fonciere text,
    cadastre text,
    designation_secondaire text,
    acte_type text,
    status_id integer DEFAULT 1 REFERENCES extraction_status (id),
    worker_id text,
    attemtps integer DEFAULT 0,
    max_attempts integer DEFAULT 3,
    retry_count integer DEFAULT 0,
    processing_started_at timestamptz,
    supabase_path text,
    error_message text,
    file_content text,
    searchable_file_content text,
    boosted_file_content text,
    claude_file_id text,
    file_id_active boolean,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
INSERT INTO extraction_queue (document_source, document_number, document_number_normalized, status_id, attemtps,
                              supabase_path, error_message, file_content, created_at)
SELECT (ARRAY['index', 'acte', 'plan_cadastraux'])[1 + i % 3], '2 784 ' || i, '2784' || i, 1 + i % 5, i % 4,
       'index/' || i || '.pdf', CASE WHEN i % 5 = 3 THEN 'timeout' END, CASE WHEN i % 5 = 4 THEN 'texte ' || i END,
       now() - i * interval '1 hour'
FROM generate_series(1, 200) AS i;
"""

CATALOG = """
SELECT 'column', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull::text
       || ' ' || a.attidentity::text || ' ' || COALESCE(pg_get_expr(d.adbin, d.adrelid), '')
       || ' ' || COALESCE(col_description(c.oid, a.attnum), '')
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v')
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relname NOT LIKE '%yoyo%'
UNION ALL
SELECT 'relation', c.relname, c.relkind::text || ' ' || COALESCE(c.reloptions::text, '')
       || ' ' || COALESCE(obj_description(c.oid, 'pg_class'), '')
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '%yoyo%'
UNION ALL
SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid::text
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '%yoyo%'
UNION ALL
SELECT 'constraint', n.conrelid::regclass::text || '.' || n.conname, pg_get_constraintdef(n.oid)
FROM pg_constraint AS n
WHERE n.connamespace = 'public'::regnamespace AND n.conrelid::regclass::text NOT LIKE '%yoyo%'
UNION ALL
SELECT 'view', c.relname, pg_get_viewdef(c.oid)
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
UNION ALL
SELECT 'trigger', t.tgname, pg_get_triggerdef(t.oid) || t.tgenabled::text
FROM pg_trigger AS t
WHERE t.tgrelid = to_regclass('extraction_queue') AND NOT t.tgisinternal
UNION ALL
SELECT 'function', f.proname, pg_get_functiondef(f.oid)
FROM pg_proc AS f
WHERE f.pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'status', s.id::text, s.name
FROM extraction_status AS s
ORDER BY 1, 2, 3
"""


@contextmanager
def on(url: str) -> Iterator[Connection]:
    # behind a pooler no statement can be prepared
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def differences(connection: Connection, *sources: str) -> list[str]:
    return list(find_schema_differences(connection, sources or ("index",)))


def rows_without(connection: Connection, *new_columns: str) -> list[Any]:
    """Every row of the queue as it was before `new_columns` came."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        statement = "SELECT to_jsonb(q) - %s::text[] FROM extraction_queue AS q ORDER BY id"
        return cursor.execute(statement, [list(new_columns)]).fetchall()
