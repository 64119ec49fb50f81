"""Measures the queue for alerts: rows under OCR, the oldest waiting document, exhausted documents, idle time.

Cheap enough for every minute: each statement uses a partial index, so that its cost does not depend on the history. Exact
counts are in `queries`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import Connection, sql
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.job_queue.claiming.claim_statements import claimable
from notaflow_pipeline.job_queue.maintenance.requeue import EXHAUSTED_AT_4
from notaflow_pipeline.job_queue.queries import count_ready
from notaflow_pipeline.job_queue.refusals import find_refusals
from notaflow_pipeline.job_queue.started_at import STARTED_AT

MAX_COUNTED = 1000
"""Ready documents are counted up to this number: only whether there are any matters."""


@dataclass(frozen=True)
class UnderOcrCounts:
    """Rows at 6: with a live worker, and stuck without one."""

    active: int
    stuck: int


# Uses the index `ocr_active`. A row without a lease started at ocr_started_at, or at an unknown time.
_UNDER_OCR = sql.SQL("""
SELECT count(*) FILTER (WHERE ends_at >= clock_timestamp()) AS active,
       count(*) FILTER (WHERE ends_at < clock_timestamp() - %(longer_than)s) AS stuck
FROM (
    SELECT COALESCE(
               a.lease_expires_at,
               {started_at} + %(stuck_after)s,
               LEAST(q.updated_at, clock_timestamp()) + %(stuck_after)s,
               '-infinity') AS ends_at
    FROM extraction_queue AS q
    LEFT JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id AND a.finished_at IS NULL
    WHERE q.status_id = 6
      AND q.document_source = ANY(%(sources)s)
) AS job
""").format(
    started_at=STARTED_AT.format(
        last_end=sql.SQL("(SELECT max(b.finished_at) FROM ocr_attempt AS b WHERE b.queue_id = q.id)")
    )
)


def count_under_ocr(
    connection: Connection, *, sources: Sequence[str], stuck_after: timedelta, longer_than: timedelta
) -> UnderOcrCounts:
    """Count rows under OCR.

    Args:
        connection: to the queue.
        sources: enabled document sources.
        stuck_after: how long a row without a lease may stay at 6.
        longer_than: how long after that it counts as stuck, so that recovery can repair it before.
    """
    with connection.cursor(row_factory=class_row(UnderOcrCounts)) as cursor:
        parameters = {"sources": list(sources), "stuck_after": stuck_after, "longer_than": longer_than}
        counts = cursor.execute(_UNDER_OCR, parameters).fetchone()
    assert counts is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return counts


# The last change is when a row became ready, as far as is known; `created_at` is when it was ordered. Infinity cannot be
# subtracted and is ignored; a time in the future counts as now.
_OLDEST = sql.SQL("""
SELECT CASE WHEN min(since) IS NOT NULL THEN
           GREATEST(EXTRACT(EPOCH FROM clock_timestamp() - min(since)), 0)::double precision
       END
FROM (
    SELECT GREATEST(
               CASE WHEN isfinite(created_at) THEN created_at END,
               CASE WHEN isfinite(updated_at) THEN updated_at END
           ) AS since
    FROM ({branches}) AS ready
) AS waiting
""")

_WAITING_BRANCH = sql.SQL("""
    SELECT created_at, updated_at
    FROM extraction_queue
    WHERE {condition}
      AND id <> ALL(%(refused)s::uuid[])
""")


def oldest_waiting_seconds(connection: Connection, *, sources: Sequence[str]) -> float | None:
    """Return for how long the oldest waiting document has not changed; None when none waits but those that were refused.

    Terminal, report and alert show this figure. It counts from the row's last change. Its creation is no measure: NotaFlow
    creates a row when a document is ordered, days before it is ready, and the document may have been reset, requeued or
    tried since.
    """
    branches = sql.SQL("UNION ALL").join(_WAITING_BRANCH.format(condition=claimable(source)) for source in sources)
    refused = [one.document_id for one in find_refusals(connection, sources)]
    with connection.cursor(row_factory=scalar_row) as cursor:
        seconds: float | None = cursor.execute(_OLDEST.format(branches=branches), {"refused": refused}).fetchone()
    return seconds


_UNACKNOWLEDGED = sql.SQL("""
SELECT count(*)
FROM extraction_queue AS q
WHERE q.ocr_attempts >= q.ocr_max_attempts
  AND q.file_content IS NULL
  AND q.ocr_attempts > 0
  AND (q.status_id = 3 OR {exhausted_at_4})
  AND q.document_source = ANY(%(sources)s)
  AND COALESCE(q.ocr_last_error_at, q.updated_at, q.created_at) < clock_timestamp() - %(grace)s
  AND COALESCE(q.ocr_last_error_at, q.updated_at, q.created_at) > COALESCE(
      (SELECT seen_until FROM ocr_exhausted_seen), '-infinity')
  AND NOT EXISTS (
      SELECT
      FROM ocr_attempt AS cancelled
      WHERE cancelled.queue_id = q.id
        AND cancelled.failure_kind = 'cancelled'
        AND cancelled.finished_at = q.ocr_last_error_at
  )
""")


def count_unacknowledged_exhausted(
    connection: Connection, *, sources: Sequence[str], grace: timedelta, exhausted_status: int = 3
) -> int:
    """Count documents that were exhausted longer ago than `grace`, and after the last call of `acknowledge_exhausted`.

    `exhausted_status` is the status of exhausted documents here; at 4 only those of this project are counted.
    """
    arguments = {"sources": list(sources), "grace": grace, "exhausted_status": exhausted_status}
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(_UNACKNOWLEDGED.format(exhausted_at_4=EXHAUSTED_AT_4), arguments).fetchone() or 0)


_ACKNOWLEDGE = """
INSERT INTO ocr_exhausted_seen (seen_until)
VALUES (clock_timestamp())
ON CONFLICT (only_row) DO UPDATE
SET seen_until = EXCLUDED.seen_until
"""


def acknowledge_exhausted(connection: Connection) -> None:
    """Record that a person has seen all documents that are exhausted now."""
    connection.execute(_ACKNOWLEDGE)


@dataclass(frozen=True)
class QueueProgress:
    """How many documents are ready (counted up to `MAX_COUNTED`), and for how long none has been worked on."""

    ready: int
    idle_seconds: float
    refused: int
    """How many documents the database refused to claim; they do not count as ready."""

    refusal: str
    """Why the last one was refused."""


# Idle time is measured by repeated observations, not from the rows' times: a document that was ordered yesterday may have
# become ready just now. An observation that is not idle stores -1, which no claim has, so that the next idle one starts a
# new measurement.
_IDLE = """
WITH latest AS (
    SELECT CASE WHEN %(not_idle)s THEN -1 ELSE COALESCE(max(id), 0) END AS claim_id
    FROM ocr_attempt
)
INSERT INTO ocr_progress_watch AS watch (last_claim_id, idle_since)
SELECT claim_id, clock_timestamp()
FROM latest
ON CONFLICT (only_row) DO UPDATE
SET last_claim_id = EXCLUDED.last_claim_id,
    idle_since = CASE
        WHEN %(not_idle)s OR watch.last_claim_id <> EXCLUDED.last_claim_id THEN EXCLUDED.idle_since
        ELSE watch.idle_since
    END
RETURNING EXTRACT(EPOCH FROM clock_timestamp() - idle_since)::double precision
"""


def measure_progress(connection: Connection, *, sources: Sequence[str], active: int, paused: bool) -> QueueProgress:
    """Observe the queue, and store the observation; the idle time starts with the first of consecutive idle observations.

    An observation is idle if documents are ready, none is under OCR, and the queue is not paused.

    Args:
        connection: to the queue; the observation is stored in `ocr_progress_watch`.
        sources: enabled document sources.
        active: documents with a live worker.
        paused: whether claims are paused.
    """
    refusals = find_refusals(connection, sources)
    refused = [one.document_id for one in refusals]
    ready = count_ready(connection, sources=sources, at_most=MAX_COUNTED, left_out=refused)
    with connection.cursor(row_factory=scalar_row) as cursor:
        idle = cursor.execute(_IDLE, {"not_idle": active > 0 or ready == 0 or paused}).fetchone()
    return QueueProgress(ready, float(idle or 0), len(refused), refusals[0].reason if refusals else "")
