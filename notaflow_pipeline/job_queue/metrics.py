"""Is the queue being worked on? The few figures that are cheap enough to look at every minute.

Each is served by a partial index, so the cost depends on what waits and not on the history. What does not belong here:
exact counts for people (`queries`), repairing (`recovery`), and what is alarming (`alerting`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import Connection, sql
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.job_queue.claims import claimable
from notaflow_pipeline.job_queue.maintenance.requeue import EXHAUSTED_AT_4
from notaflow_pipeline.job_queue.queries import count_ready

COUNTED = 1000
"""Ready documents are counted no further: that there are any is what matters."""

# Rows at 6 by the index `ocr_active`. A row that no lease covers began at an unknown time, or when it says.
_UNDER_OCR = """
SELECT count(*) FILTER (WHERE ends_at >= clock_timestamp()) AS active,
       count(*) FILTER (WHERE ends_at < clock_timestamp() - %(longer_than)s) AS stuck
FROM (
    SELECT COALESCE(
               a.lease_expires_at,
               -- no earlier than the last attempt ended, and with what is no time at all passed over, as `recovery` has it
               CASE WHEN q.ocr_started_at BETWEEN '0001-01-02' AND clock_timestamp() + interval '1 day' THEN GREATEST(
                   q.ocr_started_at,
                   (SELECT max(b.finished_at) FROM ocr_attempt AS b WHERE b.queue_id = q.id)
               ) END + %(stuck_after)s,
               LEAST(q.updated_at, clock_timestamp()) + %(stuck_after)s,
               '-infinity') AS ends_at
    FROM extraction_queue AS q
    LEFT JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id AND a.finished_at IS NULL
    WHERE q.status_id = 6
      AND q.document_source = ANY(%(sources)s)
) AS job
"""

# What NotaFlow knows of when a row became ready is its last change; `created_at` is when it was ordered. Infinity, which a
# timestamp may be and which cannot be subtracted, is no time, and one that lies ahead is now.
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
""")

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
""")

_ACKNOWLEDGE = """
INSERT INTO ocr_exhausted_seen (seen_until)
VALUES (clock_timestamp())
ON CONFLICT (only_row) DO UPDATE
SET seen_until = EXCLUDED.seen_until
"""

# Idleness is measured by looking, not from the rows' times: a document that was ordered yesterday may have become ready now.
# A look that finds nobody idle leaves no claim's number but -1, so that the next one, whenever it comes, begins anew: what
# happened in between, nobody has seen.
_IDLE = """
WITH latest AS (
    SELECT CASE WHEN %(excused)s THEN -1 ELSE COALESCE(max(id), 0) END AS claim_id
    FROM ocr_attempt
)
INSERT INTO ocr_progress_watch AS watch (last_claim_id, idle_since)
SELECT claim_id, clock_timestamp()
FROM latest
ON CONFLICT (only_row) DO UPDATE
SET last_claim_id = EXCLUDED.last_claim_id,
    idle_since = CASE
        WHEN %(excused)s OR watch.last_claim_id <> EXCLUDED.last_claim_id THEN EXCLUDED.idle_since
        ELSE watch.idle_since
    END
RETURNING EXTRACT(EPOCH FROM clock_timestamp() - idle_since)::double precision
"""


@dataclass(frozen=True)
class UnderOcr:
    """Rows at 6: with a live worker, and without one for too long."""

    active: int
    stuck: int


def count_under_ocr(
    connection: Connection, *, sources: Sequence[str], stuck_after: timedelta, longer_than: timedelta
) -> UnderOcr:
    """Count rows under OCR.

    Args:
        connection: to the queue.
        sources: enabled document sources.
        stuck_after: when a row that no lease covers counts as left behind.
        longer_than: how long after that it is stuck here: recovery has its chance before.
    """
    with connection.cursor(row_factory=class_row(UnderOcr)) as cursor:
        parameters = {"sources": list(sources), "stuck_after": stuck_after, "longer_than": longer_than}
        counts = cursor.execute(_UNDER_OCR, parameters).fetchone()
    assert counts is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return counts


def oldest_waiting_seconds(connection: Connection, *, sources: Sequence[str]) -> float | None:
    """Return for how long the oldest waiting document has not changed; None when none waits.

    The terminal, the page and the alert all show this one figure. It counts from the row's last change and not from its
    creation: NotaFlow creates a row when a document is ordered, days before it lies there to be read, and what a person
    resets, sends round or has failed a moment ago has not been left waiting since it was ordered.
    """
    branches = sql.SQL("UNION ALL").join(_WAITING_BRANCH.format(condition=claimable(source)) for source in sources)
    with connection.cursor(row_factory=scalar_row) as cursor:
        seconds: float | None = cursor.execute(_OLDEST.format(branches=branches)).fetchone()
    return seconds


def count_unacknowledged_exhausted(
    connection: Connection, *, sources: Sequence[str], grace: timedelta, exhausted_status: int = 3
) -> int:
    """Count the documents that failed for good longer ago than `grace`, and since `acknowledge_exhausted` was last called.

    `exhausted_status` is where this installation puts them; at 4 only those that it put there are counted.
    """
    arguments = {"sources": list(sources), "grace": grace, "exhausted_status": exhausted_status}
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(_UNACKNOWLEDGED.format(exhausted_at_4=EXHAUSTED_AT_4), arguments).fetchone() or 0)


def acknowledge_exhausted(connection: Connection) -> None:
    """Note that a person has looked at everything that is exhausted now."""
    connection.execute(_ACKNOWLEDGE)


@dataclass(frozen=True)
class QueueProgress:
    """How many documents are ready (counted to `COUNTED`), and for how long nobody has been working on any."""

    ready: int
    idle_seconds: float


def measure_progress(connection: Connection, *, sources: Sequence[str], active: int, paused: bool) -> QueueProgress:
    """Look, and remember the look: idle is the time over which every look found documents ready and nobody at work.

    It begins with the first such look, however long nobody looked before it.

    Args:
        connection: to the queue; the look is written to `ocr_progress_watch`.
        sources: enabled document sources.
        active: documents that somebody works on now.
        paused: whether a person has stopped all claims.
    """
    ready = count_ready(connection, sources=sources, at_most=COUNTED)
    with connection.cursor(row_factory=scalar_row) as cursor:
        idle = cursor.execute(_IDLE, {"excused": active > 0 or ready == 0 or paused}).fetchone()
    return QueueProgress(ready, float(idle or 0))
