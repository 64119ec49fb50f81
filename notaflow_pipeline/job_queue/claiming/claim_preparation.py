"""Makes rows claimable whose backoff has ended or whose maximum is missing, and skips tokens that are in use.

Locked rows are changed before the next claim. A row that the database refuses to change, or whose update a trigger of another
program drops, is left out.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.database.chunks import DROPPED, Refusals, change_all_possible
from notaflow_pipeline.job_queue.database.sessions import short_statement
from notaflow_pipeline.job_queue.missing_maxima import WRITE_MAXIMA
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch

# Rows in backoff have their own index, so that a claim does not read them. clock_timestamp() is volatile, and would not limit
# the search in it. At most a thousand rows at once, so that the statement stays short when many failures are due together.
_DUE = sql.SQL("""
    SELECT id
    FROM extraction_queue
    WHERE status_id = 3
      AND file_content IS NULL
      AND ocr_next_attempt_at <= statement_timestamp()
      AND id <> ALL(%(left_out)s::uuid[])
      AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s))
    ORDER BY ocr_next_attempt_at
    LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
""")

_END_BACKOFF = (
    sql.SQL("""
WITH due AS MATERIALIZED ({}),
ended AS (
    UPDATE extraction_queue AS q
    SET ocr_next_attempt_at = NULL,
        updated_at = clock_timestamp()
    FROM due
    WHERE q.id = due.id
    RETURNING q.id, q.ocr_next_attempt_at
)
SELECT due.id, ended.id IS NOT NULL AND ended.ocr_next_attempt_at IS NULL
FROM due
LEFT JOIN ended USING (id)
""")
    .format(_DUE)
    .as_bytes(None)
)


def end_backoff(connection: Connection, position: ClaimPosition, refusals: Refusals) -> None:
    """Make documents claimable whose backoff has ended."""
    _change(connection, _DUE, _END_BACKOFF, {}, position, refusals)


# comparisons with NULL exclude these rows from every list
_WITHOUT_MAXIMUM = sql.SQL("""
    SELECT id
    FROM extraction_queue
    WHERE status_id = 3
      AND file_content IS NULL
      AND ocr_max_attempts IS NULL
      AND document_source = ANY(%(sources)s)
      AND id <> ALL(%(left_out)s::uuid[])
      AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s))
    ORDER BY created_at, id
    LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
""")

_WRITE_MISSING_MAXIMA = WRITE_MAXIMA.format(rows=_WITHOUT_MAXIMUM).as_bytes(None)


def write_missing_maxima(
    connection: Connection, sources: Sequence[str], position: ClaimPosition, refusals: Refusals
) -> int:
    """Write the maximum of documents without one; return how many."""
    return _change(connection, _WITHOUT_MAXIMUM, _WRITE_MISSING_MAXIMA, {"sources": list(sources)}, position, refusals)


def _change(
    connection: Connection,
    find: sql.SQL,
    change: bytes,
    arguments: Mapping[str, object],
    position: ClaimPosition,
    refusals: Refusals,
) -> int:
    """Change the rows with one statement, or in parts where the database refuses; return how many were changed."""
    left_out = position.left_out

    def values(ids: Sequence[UUID] | None) -> dict[str, object]:
        return {**arguments, "left_out": left_out, "ids": None if ids is None else list(ids)}

    def run(ids: Sequence[UUID] | None) -> list[tuple[UUID, bool]]:
        with short_statement(connection):
            return connection.execute(change, values(ids)).fetchall()

    def find_ids() -> list[UUID]:
        with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(find, values(None)).fetchall()

    locked, refused = change_all_possible(connection, lambda: run(None), find_ids, run)
    refused.note([document for document, updated in locked if not updated], DROPPED)
    position.leave_out(refused.keys)
    refusals.note(refused.keys, refused.reason)
    return sum(updated for _, updated in locked)


MAX_TOKENS_SKIPPED = 10_000_000
"""If the sequence is further behind, its owner has to set it: skipping a million numbers takes about a second."""

TOKENS_SKIPPED_AT_ONCE = 1_000_000

# a sequence that was restored from an older state returns existing tokens; a worker's role may use it, but not set it
_COUNT_USED_TOKENS = """
SELECT (SELECT max(id) FROM ocr_attempt) - nextval('ocr_attempt_id_seq')
"""

_SKIP_TOKENS = """
SELECT count(nextval('ocr_attempt_id_seq'))
FROM generate_series(1, %(count)s)
"""


def skip_used_tokens(connection: Connection) -> None:
    """Advance the sequence of tokens behind the largest one in use.

    Raises:
        SchemaMismatch: it is too far behind for a worker to advance it.
    """
    with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
        behind = int(cursor.execute(_COUNT_USED_TOKENS).fetchone() or 0)
    if behind > MAX_TOKENS_SKIPPED:
        raise SchemaMismatch(
            f"the sequence ocr_attempt_id_seq is {behind} numbers behind ocr_attempt.id, so that no document can be claimed; "
            "its owner has to set it to the largest id with setval()"
        )
    for skipped in range(0, behind, TOKENS_SKIPPED_AT_ONCE):
        with short_statement(connection):
            connection.execute(_SKIP_TOKENS, {"count": min(TOKENS_SKIPPED_AT_ONCE, behind - skipped)})
