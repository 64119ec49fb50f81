"""Cancels documents and sets their priority, when a person names them by id.

A cancelled document stays at status 3 with `ocr_max_attempts = ocr_attempts`, so that no claim takes it, and the reason is
in `ocr_error`. The contract has no status for it. A row in `ocr_attempt` with the outcome `released` and the kind
`cancelled` records who cancelled it; released attempts count neither as attempts nor as failures. `requeue` makes it ready
again, when it is named by its id or by the kind `cancelled`; the nightly retry leaves it out.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.job_queue.database.sessions import short_transaction
from notaflow_pipeline.job_queue.model import ERROR_PREFIX, storable

MIN_PRIORITY, MAX_PRIORITY = -32768, 32767
"""The range of smallint."""

# In the order of all statements that lock several rows. Claims pass locked rows over, so the states below cannot change.
_LOCK = """
SELECT id
FROM extraction_queue
WHERE id = ANY(%(ids)s)
  AND document_source = ANY(%(sources)s)
ORDER BY id
FOR NO KEY UPDATE
"""

# As a release: the attempt does not count. A trigger sets a document that was being reread to 5 again, with its text, and
# withdraws the request, because no attempts are left. A claim of another program has no token and is left alone. A claim
# ends only where its row was updated: a trigger of another program can drop that.
_END_CLAIMS = """
WITH held AS MATERIALIZED (
    SELECT q.id, a.id AS token, GREATEST(q.ocr_attempts, 1) - 1 AS attempts,
           GREATEST(clock_timestamp(), a.claimed_at) AS now
    FROM extraction_queue AS q
    JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id
    WHERE q.id = ANY(%(ids)s)
      AND q.status_id + 0 = 6
      AND a.finished_at IS NULL
),
cancelled AS (
    UPDATE extraction_queue AS q
    SET status_id = 3,
        ocr_attempts = held.attempts,
        ocr_max_attempts = held.attempts,
        ocr_worker_id = NULL,
        ocr_started_at = NULL,
        ocr_claim_id = NULL,
        ocr_error = CASE WHEN q.file_content IS NULL THEN %(error)s ELSE q.ocr_error END,
        ocr_last_error_at = CASE WHEN q.file_content IS NULL THEN held.now ELSE q.ocr_last_error_at END,
        error_message = CASE WHEN q.file_content IS NULL AND %(mirror)s THEN %(error)s ELSE q.error_message END,
        updated_at = clock_timestamp()
    FROM held
    WHERE q.id = held.id
    RETURNING q.id, q.document_number, CASE WHEN q.status_id = 5 THEN 'reread' ELSE 'active' END AS was,
              held.token, held.now
),
ended AS (
    UPDATE ocr_attempt AS a
    SET finished_at = cancelled.now,
        outcome = 'released',
        failure_kind = 'cancelled',
        error = %(sentence)s
    FROM cancelled
    WHERE a.id = cancelled.token
      AND a.outcome IS NULL
)
SELECT id, document_number, was
FROM cancelled
"""

# An exhausted document can be cancelled too: the nightly retry then leaves it out. One that is cancelled already is not.
# superseded: an attempt is still open if another program took the row from its worker; attempts never overlap.
_CANCEL_WAITING = """
WITH waiting AS MATERIALIZED (
    SELECT q.id, q.document_source, COALESCE(q.ocr_attempts, 0) AS attempts,
           GREATEST(clock_timestamp(), last.claimed_at, last.finished_at) AS now
    FROM extraction_queue AS q
    LEFT JOIN LATERAL (
        SELECT a.failure_kind, a.claimed_at, a.finished_at
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
        ORDER BY a.id DESC
        LIMIT 1
    ) AS last ON TRUE
    WHERE q.id = ANY(%(ids)s)
      AND q.status_id + 0 = 3
      AND q.file_content IS NULL
      AND (
          last.failure_kind IS DISTINCT FROM 'cancelled'
          OR COALESCE(q.ocr_attempts, 0) < COALESCE(q.ocr_max_attempts, 3)
      )
),
superseded AS (
    UPDATE ocr_attempt AS a
    SET finished_at = waiting.now,
        outcome = 'superseded'
    FROM waiting
    WHERE a.queue_id = waiting.id
      AND a.outcome IS NULL
),
cancelled AS (
    UPDATE extraction_queue AS q
    SET ocr_attempts = waiting.attempts,
        ocr_max_attempts = waiting.attempts,
        ocr_next_attempt_at = NULL,
        ocr_error = %(error)s,
        ocr_last_error_at = waiting.now,
        error_message = CASE WHEN %(mirror)s THEN %(error)s ELSE q.error_message END,
        updated_at = clock_timestamp()
    FROM waiting
    WHERE q.id = waiting.id
    RETURNING q.id, q.document_number
),
recorded AS (
    INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at, finished_at,
                             outcome, failure_kind, error)
    SELECT id, LEAST(attempts::bigint + 1, 2147483647), document_source, %(worker_id)s, now, now, now, 'released',
           'cancelled', %(sentence)s
    FROM waiting
    JOIN cancelled USING (id)
)
SELECT id, document_number, 'waiting' AS was
FROM cancelled
"""

_WITHDRAW_REREADS = """
UPDATE extraction_queue
SET ocr_reread_requested_at = NULL,
    updated_at = clock_timestamp()
WHERE id = ANY(%(ids)s)
  AND status_id + 0 = 5
  AND ocr_reread_requested_at IS NOT NULL
RETURNING id, document_number, 'reread' AS was
"""

_SET_PRIORITY = """
UPDATE extraction_queue
SET ocr_priority = %(priority)s,
    updated_at = clock_timestamp()
WHERE id = ANY(%(ids)s)
  AND document_source = ANY(%(sources)s)
  AND (status_id IN (3, 6) OR (status_id = 5 AND ocr_reread_requested_at IS NOT NULL))
RETURNING id
"""


@dataclass(frozen=True)
class CancelledDocument:
    """A document that was cancelled, and what it was: `active`, `waiting`, or `reread` (to be reread; it keeps its text)."""

    id: UUID
    document_number: str
    was: str


def cancel_documents(
    connection: Connection,
    ids: Collection[UUID],
    *,
    sources: Sequence[str],
    worker_id: str,
    reason: str,
    mirror_errors: bool,
) -> list[CancelledDocument]:
    """Cancel documents that wait, are being read, or are to be reread; return them.

    The worker of an active document learns of it when it renews its lease, stops, and writes nothing. Documents that are
    finished, cancelled already, claimed by another program, or not extracted yet stay as they are.

    Args:
        connection: outside any transaction.
        ids: the documents.
        sources: enabled document sources.
        worker_id: `OCR_WORKER_ID`, recorded with a document that no worker holds.
        reason: a sentence for `ocr_error`.
        mirror_errors: whether `error_message` gets it too.
    """
    sentence = storable(f"cancelled: {reason}")
    arguments = {
        "sources": list(sources),
        "worker_id": storable(worker_id),
        "sentence": sentence,
        "error": ERROR_PREFIX + sentence,
        "mirror": mirror_errors,
    }
    cancelled: list[CancelledDocument] = []
    with short_transaction(connection):
        with connection.cursor(row_factory=scalar_row) as cursor:
            locked = cursor.execute(_LOCK, {**arguments, "ids": list(ids)}).fetchall()
        with connection.cursor(row_factory=class_row(CancelledDocument)) as cursor:
            # the waiting ones first: an ended claim leaves a waiting document
            for statement in (_CANCEL_WAITING, _END_CLAIMS, _WITHDRAW_REREADS):
                cancelled += cursor.execute(statement, {**arguments, "ids": locked}).fetchall()
    return cancelled


def set_priority(connection: Connection, ids: Collection[UUID], priority: int, *, sources: Sequence[str]) -> list[UUID]:
    """Set the priority of documents that are still to be read; return those whose priority was set.

    Args:
        connection: to the queue.
        ids: the documents.
        priority: the highest is claimed first; 0 is the default. Between `MIN_PRIORITY` and `MAX_PRIORITY`.
        sources: enabled document sources.
    """
    arguments = {"ids": list(ids), "priority": priority, "sources": list(sources)}
    with short_transaction(connection), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(_LOCK, arguments)
        return cursor.execute(_SET_PRIORITY, arguments).fetchall()
