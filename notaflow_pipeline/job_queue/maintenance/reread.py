"""Requests that finished documents are read again, for example with another engine; the old text stays until the new one.

The documents stay at 5 until a worker claims them, return to 5 whatever the outcome, and come after documents that were never
read. They are found and marked in chunks (`chunks`). Documents without a text are requeued instead (`requeue`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.database.chunks import (
    ChangeResult,
    Refusals,
    change_rows,
    iterate_chunks,
    require_updated,
)
from notaflow_pipeline.job_queue.model import DEFAULT_MAX_ATTEMPTS

# conditions on the row alone, so that the history is read for few rows
_CANDIDATES = """
SELECT id, NULL
FROM extraction_queue
WHERE status_id = 5
  AND ocr_reread_requested_at IS NULL
  AND document_source = ANY(%(sources)s)
  AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s))
  AND (%(before)s::timestamptz IS NULL OR ocr_completed_at < %(before)s)
  AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(rows)s
"""

# Only texts of this project: another program's text has no attempt to return to. If another program set the number of
# attempts to the largest integer, no attempt is left.
_SELECT = """
SELECT q.id
FROM extraction_queue AS q
JOIN LATERAL (
    SELECT a.engine, a.mean_confidence, a.coverage
    FROM ocr_attempt AS a
    WHERE a.queue_id = q.id
      AND a.outcome = 'succeeded'
    ORDER BY a.id DESC
    LIMIT 1
) AS success ON TRUE
WHERE q.id = ANY(%(candidates)s)
  AND q.status_id = 5
  AND q.ocr_reread_requested_at IS NULL
  AND COALESCE(q.ocr_attempts, 0) < 2147483647
  AND (%(not_engine)s::text IS NULL OR success.engine IS DISTINCT FROM %(not_engine)s)
  AND (%(confidence_below)s::real IS NULL OR success.mean_confidence < %(confidence_below)s)
  AND (%(coverage_below)s::real IS NULL OR success.coverage < %(coverage_below)s::real)
ORDER BY q.id
"""

_LOCK = """
FOR NO KEY UPDATE OF q SKIP LOCKED
"""

_REQUEST = """
UPDATE extraction_queue
SET ocr_reread_requested_at = clock_timestamp(),
    ocr_attempts = COALESCE(ocr_attempts, 0),
    ocr_max_attempts = LEAST(COALESCE(ocr_attempts, 0)::bigint + %(more_attempts)s, 2147483647),
    ocr_next_attempt_at = NULL,
    updated_at = clock_timestamp()
WHERE id = ANY(%(ids)s)
"""


def request_reread(
    connection: Connection,
    *,
    sources: Sequence[str],
    ids: Sequence[UUID] | None = None,
    before: datetime | None = None,
    not_engine: str | None = None,
    confidence_below: float | None = None,
    coverage_below: float | None = None,
    more_attempts: int = DEFAULT_MAX_ATTEMPTS,
    dry_run: bool = False,
    on_requested: Callable[[Sequence[UUID]], None] = lambda _documents: None,
) -> ChangeResult:
    """Request that finished documents are read again; return how many. All given conditions must hold.

    Each chunk is a transaction: after an interruption the rest is unchanged, for the next call.

    Args:
        connection: outside any transaction.
        sources: enabled document sources.
        ids: only these.
        before: only those read before this time.
        not_engine: only those that another engine than this one read, as `ocr_attempt.engine` names it.
        confidence_below: only those with less mean confidence, 0 to 100.
        coverage_below: only those with less coverage, 0 to 1; not those without a measured one.
        more_attempts: of each document.
        dry_run: change nothing.
        on_requested: is called with the documents of each chunk once they are marked (in a dry run, found).
    """
    arguments = {
        "sources": list(sources),
        "ids": None if ids is None else list(ids),
        "before": before,
        "not_engine": not_engine,
        "confidence_below": confidence_below,
        "coverage_below": coverage_below,
    }
    refusals = Refusals()

    def request(candidates: Sequence[UUID]) -> list[UUID]:
        with connection.cursor(row_factory=scalar_row) as cursor:
            select = _SELECT + ("" if dry_run else _LOCK)
            selected = cursor.execute(select, {**arguments, "candidates": list(candidates)}).fetchall()
            if selected and not dry_run:
                requested = cursor.execute(_REQUEST, {"ids": selected, "more_attempts": more_attempts})
                require_updated(requested.rowcount, len(selected))
        return selected

    rows = 0
    for candidates in iterate_chunks(connection, _CANDIDATES, arguments):
        requested = change_rows(connection, candidates, request, refusals)
        rows += len(requested)
        if requested:
            on_requested(requested)
    return ChangeResult(rows, refusals.describe())
