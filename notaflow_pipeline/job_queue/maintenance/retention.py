"""Removes the history of documents that were deleted long ago and whose days are in the daily tables.

A document's attempts and requeues are removed together or not at all: the invariants count the attempts of every document
with a row, and waiting times start at the end of the previous attempt.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.job_queue.database.sessions import short_transaction


@dataclass(frozen=True)
class PruningResult:
    """How much was removed, and whether the whole history was checked."""

    documents: int
    attempts: int
    requeues: int
    complete: bool


@dataclass(frozen=True)
class _Window:
    documents: int
    attempts: int
    requeues: int
    newest: datetime | None
    reached: datetime | None


# the time only ever grows
_REMEMBER_REMOVED = """
INSERT INTO ocr_attempts_pruned AS known (finished_before)
VALUES (%(newest)s + interval '1 microsecond')
ON CONFLICT (only_row) DO UPDATE
SET finished_before = GREATEST(known.finished_before, EXCLUDED.finished_before)
"""

_REMEMBER_REACHED = """
INSERT INTO ocr_pruning (resume_after, looked_at)
VALUES (%(reached)s, clock_timestamp())
ON CONFLICT (only_row) DO UPDATE
SET resume_after = EXCLUDED.resume_after,
    looked_at = EXCLUDED.looked_at
"""


def prune_attempts(
    connection: Connection, before: datetime, window_rows: int = 1000, *, timezone: str, seconds: float = 60.0
) -> PruningResult:
    """Remove the histories of documents that have no row and whose last attempt ended before `before`.

    Never removed are open attempts, attempts of a document in the queue, and those whose day is not in the daily tables.
    The next call continues where the time ran out. Each transaction that removes something updates
    `ocr_attempts_pruned`, so that no day is computed again from incomplete data.

    Args:
        connection: outside any transaction.
        before: histories with a younger attempt are kept.
        window_rows: attempts that one short transaction checks.
        timezone: of the daily tables (`NOTAFLOW_TIMEZONE`).
        seconds: after which no further window is read.
    """
    deadline = time.monotonic() + seconds
    after = _resume_after(connection)
    documents = attempts = requeues = 0
    while True:
        with short_transaction(connection):
            window = _prune_window(connection, before, after, window_rows, timezone)
            if window.newest is not None:
                connection.execute(_REMEMBER_REMOVED, vars(window))
            connection.execute(_REMEMBER_REACHED, vars(window))
        documents += window.documents
        attempts += window.attempts
        requeues += window.requeues
        after = window.reached
        if after is None or time.monotonic() > deadline:
            return PruningResult(documents, attempts, requeues, complete=after is None)


# Reads attempts oldest first in windows, so that the duration does not depend on the length of the history. A history is kept
# if its document has a row, a younger attempt, or an attempt whose day was never counted.
_PRUNE_WINDOW = """
WITH examined AS MATERIALIZED (
    SELECT queue_id, finished_at
    FROM ocr_attempt
    WHERE finished_at < %(before)s
      AND finished_at > COALESCE(%(after)s::timestamptz, '-infinity')
    ORDER BY finished_at
    FETCH FIRST %(window_rows)s ROWS WITH TIES
),
deleted AS MATERIALIZED (
    SELECT DISTINCT queue_id
    FROM examined
    WHERE NOT EXISTS (
            SELECT
            FROM extraction_queue AS q
            WHERE q.id = examined.queue_id
        )
      AND NOT EXISTS (
            SELECT
            FROM ocr_attempt AS kept
            WHERE kept.queue_id = examined.queue_id
              AND (
                  kept.finished_at IS NULL
                  OR kept.finished_at >= %(before)s
                  OR kept.outcome IN ('succeeded', 'failed', 'stuck')
                     AND NOT EXISTS (
                         SELECT
                         FROM ocr_daily_failure_rate AS counted
                         WHERE counted.day = (kept.finished_at AT TIME ZONE %(timezone)s)::date
                           AND counted.document_source = 'all'
                     )
              )
        )
),
attempts AS (
    DELETE FROM ocr_attempt AS a
    USING deleted
    WHERE a.queue_id = deleted.queue_id
    RETURNING a.finished_at
),
requeues AS (
    DELETE FROM ocr_round AS r
    USING deleted
    WHERE r.queue_id = deleted.queue_id
    RETURNING r.id
)
SELECT (SELECT count(*) FROM deleted) AS documents,
       (SELECT count(*) FROM attempts) AS attempts,
       (SELECT max(finished_at) FROM attempts) AS newest,
       (SELECT count(*) FROM requeues) AS requeues,
       (SELECT max(finished_at) FROM examined) AS reached
"""


def _prune_window(
    connection: Connection, before: datetime, after: datetime | None, window_rows: int, timezone: str
) -> _Window:
    arguments = {"before": before, "after": after, "window_rows": window_rows, "timezone": timezone}
    with connection.cursor(row_factory=class_row(_Window)) as cursor:
        window = cursor.execute(_PRUNE_WINDOW, arguments).fetchone()
    assert window is not None  # noqa: S101 - a SELECT of four aggregates
    return window


_RESUME_AFTER = """
SELECT resume_after
FROM ocr_pruning
"""


def _resume_after(connection: Connection) -> datetime | None:
    with connection.cursor(row_factory=scalar_row) as cursor:
        after: datetime | None = cursor.execute(_RESUME_AFTER).fetchone()
    return after
