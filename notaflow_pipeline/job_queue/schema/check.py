"""Compares a database with the schema that this version needs, before any row is changed.

`migrate` adds what is missing.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS
from notaflow_pipeline.job_queue.schema.misplaced_objects import check_placement

# name -> definition after ON extraction_queue, without parentheses and casts
INDEXES = {
    "idx_extraction_queue_ocr_ready": "status_id, document_source, created_at, ocr_attempts "
    "WHERE status_id = 3 AND document_source = 'index' AND file_content IS NULL",
    "idx_extraction_queue_ocr_stuck": "status_id, ocr_started_at WHERE status_id = 6 AND ocr_started_at IS NOT NULL",
    "idx_extraction_queue_ocr_no_maximum": "created_at, id "
    "WHERE status_id = 3 AND file_content IS NULL AND ocr_max_attempts IS NULL",
    "idx_extraction_queue_ocr_failed": "ocr_last_error_at DESC "
    "WHERE ocr_attempts >= ocr_max_attempts AND file_content IS NULL",
    "idx_extraction_queue_ocr_active": "id WHERE status_id = 6",
    "idx_extraction_queue_ocr_reread": "ocr_priority DESC, created_at, id "
    "WHERE status_id = 5 AND ocr_reread_requested_at IS NOT NULL",
    "idx_extraction_queue_ocr_backoff": "ocr_next_attempt_at "
    "WHERE status_id = 3 AND file_content IS NULL AND ocr_next_attempt_at IS NOT NULL",
    "idx_extraction_queue_ocr_limbo": "id WHERE status_id = 3 AND file_content IS NOT NULL",
}

CLAIM_INDEX = (
    "ocr_priority DESC, created_at, id WHERE status_id = 3 AND document_source = '{source}' AND file_content IS NULL "
    "AND ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts AND ocr_next_attempt_at IS NULL"
)

VIEWS = (
    "ocr_ready_documents",
    "ocr_active_jobs",
    "ocr_stuck_jobs",
    "ocr_failed_jobs",
    "ocr_performance_statistics",
    "ocr_exhausted_documents",
)

OCR_STATUS_NAME = "OCR en traitement"

TRIGGERS = ("ocr_changed_elsewhere", "ocr_keep_old_text")


class SchemaMismatch(Exception):
    """The database's schema is not the one that this version needs; the message says what differs."""


def require_schema(connection: Connection, sources: Sequence[str]) -> None:
    """Raise if the database lacks something.

    Raises:
        SchemaMismatch: with the first differences and what to do.
    """
    differences = list(find_schema_differences(connection, sources))
    if differences:
        raise SchemaMismatch(
            f"the database's schema is not ready for OCR: {summarize(differences)}. "
            "`notaflow migrate --check` lists everything, `notaflow migrate` repairs it. No row was changed."
        )


def summarize(sentences: Sequence[str]) -> str:
    """Return the first three sentences, and how many more there are."""
    return "; ".join(sentences[:3]) + (f"; and {len(sentences) - 3} more" if len(sentences) > 3 else "")


_COLUMNS = """
SELECT c.relname, a.attname, replace(format_type(a.atttypid, a.atttypmod), '"', '') -- quoted with quote_all_identifiers
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE (c.relname = ANY(%(tables)s) AND c.relnamespace = %(schema)s::oid OR c.oid = to_regclass('extraction_status'))
  AND a.attnum > 0
  AND NOT a.attisdropped
"""

# indexes, row locks and ON CONFLICT need ordinary tables with their keys; an inheriting table has neither keys nor triggers
_TABLES_WITHOUT_KEY = """
SELECT relname, is_ordinary
FROM (
    SELECT c.relname,
           c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid) AS is_ordinary,
           EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_key
    FROM pg_class AS c
    WHERE c.relname = ANY(%(tables)s)
      AND c.relname <> 'extraction_status'
      AND c.relnamespace = %(schema)s::oid
) AS one
WHERE NOT (is_ordinary AND has_key)
"""

# a copy of a table lacks them
_IDS_WITHOUT_SEQUENCE = """
SELECT c.relname
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relname = ANY(%(tables)s)
  AND c.relnamespace = %(schema)s::oid
  AND a.attname = 'id'
  AND a.atttypid = 'bigint'::regtype
  AND (
      a.attidentity = '' AND NOT a.atthasdef
      OR c.relname = 'ocr_attempt' AND to_regclass('ocr_attempt_id_seq') IS NULL
  )
"""

_VIEWS = """
SELECT name
FROM unnest(%(views)s::text[]) AS name
WHERE NOT EXISTS (
    SELECT
    FROM pg_class
    WHERE relname = name
      AND relnamespace = %(schema)s::oid
)
"""

_TRIGGERS = """
SELECT name
FROM unnest(%(triggers)s::text[]) AS name
WHERE NOT EXISTS (
    SELECT
    FROM pg_trigger
    WHERE tgrelid = to_regclass('extraction_queue')
      AND tgname = name
      AND tgenabled IN ('O', 'A')
)
"""


def find_schema_differences(connection: Connection, sources: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each difference; nothing if the database is ready."""
    present: dict[str, dict[str, str]] = {}
    schema = _expected_schema(connection)
    for table, column, type_name in connection.execute(_COLUMNS, {"tables": list(TABLE_COLUMNS), "schema": schema}):
        present.setdefault(table, {})[column] = type_name
    placement = check_placement(connection, TABLE_COLUMNS, TRIGGERS, VIEWS)
    yield from placement.differences
    misplaced = {one.name for one in placement.misplaced}
    yield from _column_differences(present, misplaced)
    arguments = {"tables": list(present), "schema": schema}
    for table, is_table in connection.execute(_TABLES_WITHOUT_KEY, arguments):
        yield (
            f"table {table} has no primary key"
            if is_table
            else f"{table} is not an ordinary table: it is a view, it is partitioned, or another table inherits from it"
        )
    for (table,) in connection.execute(_IDS_WITHOUT_SEQUENCE, arguments):
        yield f"column {table}.id does not take its values from the sequence {table}_id_seq"
    if "extraction_status" in present:
        yield from _status_difference(connection)
    if "extraction_queue" in present:
        yield from _index_differences(connection, sources, with_attempts="ocr_attempt" not in misplaced)
        for (trigger,) in connection.execute(_TRIGGERS, {"triggers": list(TRIGGERS)}):
            yield f"trigger {trigger} on extraction_queue is missing or disabled"
        yield from _function_difference(connection)
    views = [view for view in VIEWS if view not in misplaced]
    for (view,) in connection.execute(_VIEWS, {"views": views, "schema": schema}):
        yield f"view {view} is missing"


_INVALID_INDEXES = """
SELECT i.indexrelid::regclass::text
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
WHERE NOT i.indisvalid
  AND t.relname IN ('extraction_queue', 'ocr_attempt')
  AND t.relnamespace = %(schema)s::oid
  AND (c.relname LIKE 'idx_extraction_queue_ocr_%%' OR c.relname LIKE 'ocr_attempt_%%')
"""


def invalid_indexes(connection: Connection) -> list[str]:
    """Return our indexes that an interrupted concurrent build left INVALID: `IF NOT EXISTS` would accept them."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_INVALID_INDEXES, {"schema": _expected_schema(connection)}).fetchall()


# the schema of our objects: another schema on the path may have its own queue
_EXPECTED_SCHEMA = """
SELECT COALESCE(
    (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('extraction_queue')),
    to_regnamespace(quote_ident(current_schema()))::oid
)
"""


def _expected_schema(connection: Connection) -> int | None:
    """Return the oid of the schema; None if the search_path has none."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_EXPECTED_SCHEMA).fetchone()


def claim_index(source: str) -> str:
    """Return the name of the index for claims of a source."""
    return f"idx_extraction_queue_ocr_next_{source}"


def _column_differences(present: Mapping[str, Mapping[str, str]], misplaced: Collection[str]) -> Iterator[str]:
    for table, columns in TABLE_COLUMNS.items():
        if table in misplaced:
            continue
        if table not in present:
            yield f"table {table} is missing"
            continue
        for column, wanted in columns.items():
            found = present[table].get(column)
            if found is None:
                yield f"column {table}.{column} is missing"
            elif found != wanted:
                yield f"column {table}.{column} is {found}, not {wanted}"


_STATUS_NAME = """
SELECT name
FROM extraction_status
WHERE id = 6
"""


def _status_difference(connection: Connection) -> Iterator[str]:
    with connection.cursor(row_factory=scalar_row) as cursor:
        name = cursor.execute(_STATUS_NAME).fetchone()
    if name is None:
        yield f"status 6 ({OCR_STATUS_NAME}) is missing from extraction_status"
    elif name != OCR_STATUS_NAME:
        yield f"status 6 is {name!r} in extraction_status, not {OCR_STATUS_NAME!r}"


_RUNS_AS_ITS_OWNER = """
SELECT p.prosecdef
FROM pg_trigger AS t
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE t.tgrelid = to_regclass('extraction_queue')
  AND t.tgname = 'ocr_keep_old_text'
"""


def _function_difference(connection: Connection) -> Iterator[str]:
    with connection.cursor(row_factory=scalar_row) as cursor:
        # if there is none, its trigger is missing too
        if cursor.execute(_RUNS_AS_ITS_OWNER).fetchone() is False:
            yield "function ocr_keep_old_text() runs with the privileges of its caller, which may not suffice"


_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid)
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
WHERE t.relname IN ('extraction_queue', 'ocr_attempt')
  AND t.relnamespace = %(schema)s::oid
"""


def _index_differences(connection: Connection, sources: Sequence[str], *, with_attempts: bool) -> Iterator[str]:
    definitions: dict[str, str] = dict(
        connection.execute(_INDEXES, {"schema": _expected_schema(connection)}).fetchall()
    )
    invalid = {name.split(".")[-1] for name in invalid_indexes(connection)}
    wanted = INDEXES | {claim_index(source): CLAIM_INDEX.format(source=source) for source in sources}
    for name, definition in wanted.items():
        if name not in definitions:
            yield f"index {name} is missing"
        elif name in invalid:
            yield f"index {name} is INVALID (a concurrent build was interrupted)"
        elif _normalised(definitions[name].split("(", 1)[1]) != _normalised(definition):
            yield f"index {name} has another definition: {definitions[name]}"
    if with_attempts:
        yield from _one_open_difference(definitions.get("ocr_attempt_one_open"), invalid)


def _one_open_difference(definition: str | None, invalid: set[str]) -> Iterator[str]:
    consequence = "one document can be claimed twice"
    if definition is None:
        yield f"index ocr_attempt_one_open is missing: {consequence}"
    elif "ocr_attempt_one_open" in invalid:
        yield f"index ocr_attempt_one_open is INVALID: {consequence}"
    elif "UNIQUE" not in definition or _normalised(definition.split("(", 1)[1]) != "queue_idwherefinished_atisnull":
        yield f"index ocr_attempt_one_open has another definition, and {consequence}: {definition}"


def _normalised(definition: str) -> str:
    """Return an index definition without the quotes, casts, parentheses and white space that Postgres adds."""
    return re.sub(r"::[a-z ]+|[()\s]", "", definition.replace('"', "")).lower()
