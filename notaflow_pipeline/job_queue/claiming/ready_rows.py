"""The conditions on rows that a claim takes, in the form of the indexes; finds those that a policy hides from it."""

from collections.abc import Collection, Sequence
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.claiming.claim_statements import claimable
from notaflow_pipeline.job_queue.database.hidden_rows import hidden_among
from notaflow_pipeline.job_queue.database.sessions import short_statement

_NO_BACKOFF = sql.SQL("ocr_next_attempt_at IS NULL")

_BACKOFF_ENDED = sql.SQL("ocr_next_attempt_at <= statement_timestamp()")

_HAS_BACKOFF = sql.SQL("ocr_next_attempt_at IS NOT NULL")

_NO_BACKOFF_OR_ENDED = sql.SQL("(ocr_next_attempt_at IS NULL OR ocr_next_attempt_at <= statement_timestamp())")

_ANY_TIME = sql.SQL("TRUE")

_NO_MAXIMUM = sql.SQL("""status_id = 3
      AND file_content IS NULL
      AND ocr_max_attempts IS NULL
      AND document_source = ANY(%(sources)s)
      AND COALESCE(ocr_attempts, 0) < 3""")

_TO_REREAD = sql.SQL("""status_id = 5
      AND ocr_reread_requested_at IS NOT NULL
      AND document_source = ANY(%(sources)s)
      AND ocr_attempts < ocr_max_attempts""")


def conditions_of_rows(sources: Sequence[str], *, ready: bool) -> list[tuple[sql.Composable, sql.SQL]]:
    """Return the conditions on rows that can be claimed now, or at any time; each uses an index."""
    claimables: list[sql.Composable] = [claimable(source) for source in sources]
    return [
        *((condition, _NO_BACKOFF) for condition in claimables),
        *((condition, _BACKOFF_ENDED if ready else _HAS_BACKOFF) for condition in claimables),
        *((condition, _NO_BACKOFF_OR_ENDED if ready else _ANY_TIME) for condition in (_NO_MAXIMUM, _TO_REREAD)),
    ]


# each branch uses one index; a source's rows are in two: that of the claim, and that of rows in backoff
_BRANCH = sql.SQL("""
    SELECT id
    FROM extraction_queue
    WHERE {condition}
      AND {backoff}
      AND id <> ALL(%(left_out)s::uuid[])
""")


def claimable_rows(sources: Sequence[str], *, ready: bool) -> sql.Composed:
    """Return SQL that selects the ids of rows that can be claimed now, or at any time, but for those of `%(left_out)s`."""
    return sql.SQL("UNION ALL").join(
        [
            _BRANCH.format(condition=condition, backoff=backoff)
            for condition, backoff in conditions_of_rows(sources, ready=ready)
        ]
    )


_READY = sql.SQL("""
SELECT id
FROM ({branches}) AS ready
WHERE row_security_active('extraction_queue')
  AND NOT EXISTS (SELECT FROM ocr_pause)
LIMIT 1000
""")


def find_hidden(connection: Connection, sources: Sequence[str], left_out: Collection[UUID]) -> list[UUID]:
    """Return ready documents that this login may read and a row-level security policy hides from its updates, up to 1000.

    A claim does not see them, as if another session had locked them, and no error says so.

    Args:
        connection: outside any transaction, except to try a claim and roll it back.
        sources: enabled document sources.
        left_out: documents that are not examined.
    """
    arguments = {"sources": list(sources), "left_out": list(left_out)}
    with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
        ready = cursor.execute(_READY.format(branches=claimable_rows(sources, ready=True)), arguments).fetchall()
    return hidden_among(connection, ready)
