"""Reads the queue: counts, documents, attempts and texts."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import class_row, dict_row, scalar_row

from notaflow_pipeline.job_queue.claiming.ready_rows import claimable_rows, conditions_of_rows
from notaflow_pipeline.job_queue.database.sessions import long_scan
from notaflow_pipeline.job_queue.maintenance.requeue import EXHAUSTED_AT_4
from notaflow_pipeline.job_queue.model import Attempt, ExtractionQueueJob
from notaflow_pipeline.job_queue.refusals import IS_REFUSED
from notaflow_pipeline.job_queue.started_at import LEASE_ENDED, STARTED_AT_OF_ROW


@dataclass(frozen=True)
class QueueCounts:
    """The state of the queue's enabled sources at one moment."""

    ready: int
    refused: int
    active: int
    stuck: int
    backing_off: int
    exhausted: int
    done: int
    to_reread: int


# every row of an enabled source at 3 is in exactly one count, and every row at 6 is active or stuck
_COUNTS = sql.SQL("""
WITH job AS (
    SELECT q.status_id,
           q.file_content IS NULL AS unread,
           q.ocr_reread_requested_at IS NOT NULL AS again,
           COALESCE(q.ocr_attempts, 0) AS attempts,
           COALESCE(q.ocr_max_attempts, 3) AS maximum,
           COALESCE(q.ocr_next_attempt_at > clock_timestamp(), FALSE) AS waits,
           q.status_id = 6 AND CASE
               WHEN a.id IS NOT NULL THEN NOT {lease_ended}
               ELSE {started_at} >= clock_timestamp() - %(stuck_after)s
           END IS TRUE AS alive,
           q.status_id = 3 OR {exhausted_at_4} AS ours,
           q.status_id = 3 AND {is_refused} AS refused
    FROM extraction_queue AS q
    LEFT JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id AND a.finished_at IS NULL
    WHERE q.document_source = ANY(%(sources)s)
      AND q.status_id IN (3, 4, 5, 6)
)
SELECT count(*) FILTER (WHERE status_id = 3 AND unread AND attempts < maximum AND NOT waits AND NOT refused) AS ready,
       count(*) FILTER (WHERE status_id = 3 AND unread AND attempts < maximum AND NOT waits AND refused) AS refused,
       count(*) FILTER (WHERE status_id = 6 AND alive) AS active,
       count(*) FILTER (WHERE status_id = 6 AND NOT alive) AS stuck,
       count(*) FILTER (WHERE status_id = 3 AND unread AND attempts < maximum AND waits) AS backing_off,
       count(*) FILTER (WHERE ours AND unread AND attempts > 0 AND attempts >= maximum) AS exhausted,
       count(*) FILTER (WHERE status_id = 5) AS done,
       count(*) FILTER (WHERE status_id = 5 AND again) AS to_reread
FROM job
""")


def count_queue(
    connection: Connection, *, sources: Sequence[str], stuck_after: timedelta, exhausted_status: int = 3
) -> QueueCounts:
    """Count every state exactly. Reads all rows of the sources; too slow for polling.

    Args:
        connection: to the queue.
        sources: enabled document sources.
        stuck_after: how long a row without a lease may stay at 6.
        exhausted_status: status of exhausted documents here; at 4 only those of this project are counted.
    """
    arguments = {"sources": list(sources), "stuck_after": stuck_after, "exhausted_status": exhausted_status}
    with connection.cursor(row_factory=class_row(QueueCounts)) as cursor:
        statement = _COUNTS.format(
            exhausted_at_4=EXHAUSTED_AT_4,
            started_at=STARTED_AT_OF_ROW,
            lease_ended=LEASE_ENDED,
            is_refused=IS_REFUSED,
        )
        counts = cursor.execute(statement, arguments).fetchone()
    assert counts is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return counts


_TODAY = """
SELECT count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded_today,
       count(*) FILTER (WHERE outcome IN ('failed', 'stuck')) AS failed_today,
       COALESCE(sum(pages) FILTER (WHERE outcome = 'succeeded'), 0) AS pages_today
FROM ocr_attempt
WHERE finished_at >= date_trunc('day', statement_timestamp() AT TIME ZONE %(timezone)s) AT TIME ZONE %(timezone)s
  AND document_source = ANY(%(sources)s)
"""


def count_today(connection: Connection, *, sources: Sequence[str], timezone: str) -> dict[str, int]:
    """Return `succeeded_today`, `failed_today` and `pages_today`, of attempts that ended since midnight in `timezone`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_TODAY, {"sources": list(sources), "timezone": timezone}).fetchone()
    return {name: int(value) for name, value in (row or {}).items()}


_COUNT_READY = sql.SQL("""
SELECT count(*)
FROM (
    {branches}
    LIMIT %(at_most)s
) AS ready
""")


def count_ready(
    connection: Connection, *, sources: Sequence[str], at_most: int, left_out: Collection[UUID] = ()
) -> int:
    """Count the documents that a new run would claim, other than `left_out`, up to `at_most`; cheap enough to poll."""
    arguments = {"sources": list(sources), "at_most": at_most, "left_out": list(left_out)}
    statement = _COUNT_READY.format(branches=claimable_rows(sources, ready=True))
    [(ready,)] = connection.execute(statement, arguments).fetchall()
    return int(ready)


# a row that another session has locked is ready, but cannot be claimed
_ONE_UNLOCKED = sql.SQL("""
SELECT id
FROM extraction_queue
WHERE {condition}
  AND {backoff}
  AND id <> ALL(%(left_out)s::uuid[])
LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
""")


def can_claim(connection: Connection, *, sources: Sequence[str], left_out: Collection[UUID] = ()) -> bool:
    """Whether a claim would find a document now, other than `left_out`. Locks one briefly, so call `count_ready` first."""
    arguments = {"sources": list(sources), "left_out": list(left_out)}
    return any(
        connection.execute(_ONE_UNLOCKED.format(condition=condition, backoff=backoff), arguments).fetchone() is not None
        for condition, backoff in conditions_of_rows(sources, ready=True)
    )


_HAS_UNFINISHED = sql.SQL("""
SELECT EXISTS ({branches}) OR EXISTS (
    SELECT
    FROM extraction_queue
    WHERE status_id = 6
      AND document_source = ANY(%(sources)s)
)
""")


def has_unfinished(connection: Connection, *, sources: Sequence[str]) -> bool:
    """Whether any document is ready, backing off or under OCR, in this or another program."""
    statement = _HAS_UNFINISHED.format(branches=claimable_rows(sources, ready=False))
    return connection.execute(statement, {"sources": list(sources), "left_out": []}).fetchone() == (True,)


_JOB_COLUMNS = """
SELECT id, document_source, document_number, status_id, supabase_path, created_at, ocr_worker_id, ocr_started_at,
       ocr_completed_at, ocr_attempts, ocr_max_attempts, ocr_error, ocr_last_error_at, ocr_claim_id,
       ocr_next_attempt_at, ocr_priority
FROM extraction_queue
"""

_JOBS_BY_NUMBER = (
    _JOB_COLUMNS
    + """
WHERE document_number = %(number)s
   OR document_number_normalized = regexp_replace(%(number)s, '\\s', '', 'g')
ORDER BY created_at, id
"""
)

_JOB_BY_ID = (
    _JOB_COLUMNS
    + """
WHERE id = %(id)s
"""
)


def find_jobs(connection: Connection, id_or_number: str) -> list[ExtractionQueueJob]:
    """Return the row with this id, or the rows with this document number, with or without its spaces."""
    with connection.cursor(row_factory=class_row(ExtractionQueueJob)) as cursor:
        try:
            return cursor.execute(_JOB_BY_ID, {"id": UUID(id_or_number)}).fetchall()
        except ValueError:
            return cursor.execute(_JOBS_BY_NUMBER, {"number": id_or_number}).fetchall()


_ATTEMPT_COLUMNS = """
SELECT id, queue_id, attempt_number, document_source, worker_id, run_id, claimed_at, lease_expires_at, finished_at,
       outcome, failure_kind, error, pages, characters, mean_confidence, fetch_seconds, ocr_seconds, source_bytes,
       engine, pages_blank, pages_text_layer, pages_damaged, pages_failed, low_confidence_share, passes, coverage
FROM ocr_attempt
"""

_ATTEMPTS_OF_DOCUMENT = (
    _ATTEMPT_COLUMNS
    + """
WHERE queue_id = %(id)s
ORDER BY id
"""
)


def attempts_of_document(connection: Connection, document_id: UUID) -> list[Attempt]:
    """Return the history of a document, oldest first."""
    with connection.cursor(row_factory=class_row(Attempt)) as cursor:
        return cursor.execute(_ATTEMPTS_OF_DOCUMENT, {"id": document_id}).fetchall()


_ATTEMPTS_OF_RUN = (
    _ATTEMPT_COLUMNS
    + """
WHERE run_id = %(run_id)s
ORDER BY id
"""
)


def attempts_of_run(connection: Connection, run_id: str) -> list[Attempt]:
    """Return the attempts of a Dagster run."""
    with connection.cursor(row_factory=class_row(Attempt)) as cursor:
        return cursor.execute(_ATTEMPTS_OF_RUN, {"run_id": run_id}).fetchall()


_SINCE_LAST_LEASE = """
SELECT run_id, EXTRACT(EPOCH FROM clock_timestamp() - max(lease_expires_at))::double precision
FROM ocr_attempt
WHERE run_id = ANY(%(run_ids)s)
GROUP BY run_id
"""


def seconds_since_last_lease(connection: Connection, run_ids: Collection[str]) -> dict[str, float]:
    """Return for how long each of these runs has held no lease; negative while it holds one. Omits runs without a claim."""
    return dict(connection.execute(_SINCE_LAST_LEASE, {"run_ids": list(run_ids)}).fetchall())


_NUMBERS = """
SELECT id, document_number
FROM extraction_queue
WHERE id = ANY(%(ids)s)
"""


def document_numbers(connection: Connection, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the document numbers of these ids; omits deleted rows."""
    return dict(connection.execute(_NUMBERS, {"ids": list(ids)}).fetchall())


_TEXT = """
SELECT file_content
FROM extraction_queue
WHERE id = %(id)s
"""


def text_of(connection: Connection, document_id: UUID) -> str | None:
    """Return a document's text; None while it has none."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        text: str | None = cursor.execute(_TEXT, {"id": document_id}).fetchone()
    return text


_EXPORT = """
SELECT q.id, q.document_number, q.status_id, q.supabase_path, q.file_content, q.ocr_attempts, q.ocr_error,
       success.mean_confidence, success.pages
FROM extraction_queue AS q
LEFT JOIN LATERAL (
    SELECT mean_confidence, pages
    FROM ocr_attempt AS a
    WHERE a.queue_id = q.id
      AND a.outcome = 'succeeded'
    ORDER BY a.id DESC
    LIMIT 1
) AS success ON TRUE
WHERE q.document_source = ANY(%(sources)s)
  AND (%(since)s::timestamptz IS NULL OR q.ocr_completed_at >= %(since)s OR q.ocr_last_error_at >= %(since)s)
ORDER BY q.created_at, q.id
"""


def export(connection: Connection, *, sources: Sequence[str], since: datetime | None) -> Iterator[dict[str, Any]]:
    """Yield the enabled sources' rows with their text, oldest first; a server-side cursor keeps few in memory.

    Args:
        connection: outside any transaction; it is in one while rows are read.
        sources: enabled document sources.
        since: only documents that ended at or after this time.
    """
    with (
        connection.transaction(),
        long_scan(connection),
        connection.cursor("ocr_export", row_factory=dict_row) as cursor,
    ):
        cursor.itersize = 100
        cursor.execute(_EXPORT, {"sources": list(sources), "since": since})
        yield from cursor
