"""Lists documents for people: each with its state, the time of its last change of state, and its worker."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import class_row

from notaflow_pipeline.job_queue.database.sessions import long_scan
from notaflow_pipeline.job_queue.maintenance.requeue import EXHAUSTED_AT_4
from notaflow_pipeline.job_queue.refusals import IS_REFUSED
from notaflow_pipeline.job_queue.started_at import LEASE_ENDED, STARTED_AT_OF_ROW


class DocumentState(StrEnum):
    """The state of a document; those that `queries.count_queue` counts, and `cancelled`."""

    READY = "ready"
    REFUSED = "refused"
    ACTIVE = "active"
    STUCK = "stuck"
    BACKING_OFF = "backing_off"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"
    TO_REREAD = "to_reread"
    DONE = "done"


STATUSES = {
    DocumentState.READY: (3,),
    DocumentState.REFUSED: (3,),
    DocumentState.ACTIVE: (6,),
    DocumentState.STUCK: (6,),
    DocumentState.BACKING_OFF: (3,),
    DocumentState.EXHAUSTED: (3, 4),
    DocumentState.CANCELLED: (3,),
    DocumentState.TO_REREAD: (5,),
    DocumentState.DONE: (5,),
}

UNFINISHED = tuple(state for state in DocumentState if state is not DocumentState.DONE)

# The states are those of `queries.count_queue`, which a test compares. A row at 3 that is in none of them is not for OCR.
_LIST = sql.SQL("""
WITH job AS (
    SELECT q.id, q.document_number, q.document_source, q.ocr_worker_id AS worker_id, a.run_id, a.lease_expires_at,
           COALESCE(q.ocr_attempts, 0) AS attempts, COALESCE(q.ocr_max_attempts, 3) AS max_attempts,
           q.ocr_priority AS priority, q.ocr_next_attempt_at AS next_attempt_at, last.failure_kind, q.ocr_error AS error,
           q.created_at, q.updated_at, q.ocr_started_at, q.ocr_completed_at, q.ocr_last_error_at, q.ocr_reread_requested_at,
           CASE
               WHEN q.status_id = 6 AND a.id IS NOT NULL THEN
                   CASE WHEN {lease_ended} THEN 'stuck' ELSE 'active' END
               WHEN q.status_id = 6 THEN
                   CASE WHEN {started_at} >= clock_timestamp() - %(stuck_after)s THEN 'active' ELSE 'stuck' END
               WHEN q.status_id = 5 AND q.ocr_reread_requested_at IS NOT NULL THEN 'to_reread'
               WHEN q.status_id = 5 THEN 'done'
               WHEN q.file_content IS NOT NULL THEN NULL
               WHEN q.status_id = 3 AND COALESCE(q.ocr_attempts, 0) < COALESCE(q.ocr_max_attempts, 3) THEN
                   CASE
                       WHEN q.ocr_next_attempt_at > clock_timestamp() THEN 'backing_off'
                       WHEN {is_refused} THEN 'refused'
                       ELSE 'ready'
                   END
               WHEN q.status_id = 3 AND last.failure_kind = 'cancelled' THEN 'cancelled'
               WHEN q.ocr_attempts > 0
                    AND q.ocr_attempts >= COALESCE(q.ocr_max_attempts, 3)
                    AND (q.status_id = 3 OR {exhausted_at_4}) THEN 'exhausted'
           END AS state
    FROM extraction_queue AS q
    LEFT JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id AND a.finished_at IS NULL
    LEFT JOIN LATERAL (
        SELECT b.failure_kind
        FROM ocr_attempt AS b
        WHERE b.queue_id = q.id
          AND b.failure_kind IS NOT NULL
        ORDER BY b.id DESC
        LIMIT 1
    ) AS last ON q.status_id <> 5
    WHERE q.document_source = ANY(%(sources)s)
      AND q.status_id = ANY(%(statuses)s)
      AND (%(worker)s::text IS NULL OR q.ocr_worker_id = %(worker)s)
),
dated AS (
    SELECT *,
           CASE
               WHEN state IN ('active', 'stuck') THEN ocr_started_at
               WHEN state IN ('backing_off', 'exhausted', 'cancelled') THEN ocr_last_error_at
               WHEN state = 'to_reread' THEN ocr_reread_requested_at
               WHEN state = 'done' THEN ocr_completed_at
               ELSE GREATEST(created_at, updated_at)
           END AS since
    FROM job
)
SELECT id, document_number, document_source, state, since, worker_id, run_id, lease_expires_at, attempts, max_attempts,
       priority, next_attempt_at, failure_kind, error, created_at
FROM dated
WHERE state = ANY(%(states)s)
  AND (%(kinds)s::text[] IS NULL OR failure_kind = ANY(%(kinds)s))
  AND (%(older_than)s::interval IS NULL OR since < clock_timestamp() - %(older_than)s::interval)
ORDER BY priority DESC, created_at, id
LIMIT %(limit)s
""")


@dataclass(frozen=True)
class ListedDocument:
    """A document as `notaflow list` shows it."""

    id: UUID
    document_number: str
    document_source: str
    state: str
    since: datetime | None
    """When it entered this state: the claim, last error, end, request for a reread, or last change of a ready document."""

    worker_id: str | None
    run_id: str | None
    lease_expires_at: datetime | None
    attempts: int
    max_attempts: int
    priority: int
    next_attempt_at: datetime | None
    failure_kind: str | None
    error: str | None
    created_at: datetime | None


def list_documents(
    connection: Connection,
    *,
    sources: Sequence[str],
    stuck_after: timedelta,
    exhausted_status: int,
    states: Collection[DocumentState] = UNFINISHED,
    kinds: Collection[str] | None = None,
    worker: str | None = None,
    older_than: timedelta | None = None,
    limit: int,
) -> list[ListedDocument]:
    """Return documents in the order of claims; every condition that is given must hold.

    Reads every row with one of the states' statuses: for people, not for a poll.

    Args:
        connection: outside any transaction.
        sources: document sources.
        stuck_after: how long a row without a lease may stay at 6.
        exhausted_status: where this installation puts exhausted documents.
        states: the states to list.
        kinds: only documents whose last failure is of these kinds.
        worker: only documents of this `OCR_WORKER_ID`.
        older_than: only documents that have had their state for longer.
        limit: at most this many.
    """
    arguments = {
        "sources": list(sources),
        "stuck_after": stuck_after,
        "exhausted_status": exhausted_status,
        "states": [str(state) for state in states],
        "statuses": sorted({status for state in states for status in STATUSES[state]}),
        "kinds": None if kinds is None else list(kinds),
        "worker": worker,
        "older_than": older_than,
        "limit": limit,
    }
    statement = _LIST.format(
        exhausted_at_4=EXHAUSTED_AT_4,
        started_at=STARTED_AT_OF_ROW,
        lease_ended=LEASE_ENDED,
        is_refused=IS_REFUSED,
    )
    with (
        connection.transaction(),
        long_scan(connection),
        connection.cursor(row_factory=class_row(ListedDocument)) as cursor,
    ):
        return cursor.execute(statement, arguments).fetchall()
