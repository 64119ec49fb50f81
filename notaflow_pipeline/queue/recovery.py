"""What became of rows that nobody works on any more, and of rows that no list shows.

Leases run out, claims of other programs stuck, attempts left open, texts without their status, maxima missing. Every
repair of an attempt writes its reason. What does not belong here: the wish to try exhausted documents again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.queue.claims import WRITE_MISSING_MAXIMA
from notaflow_pipeline.queue.database import short_transaction
from notaflow_pipeline.queue.model import ERROR_PREFIX

LEASE_EXPIRED = "its worker stopped renewing the lease (killed, frozen or cut off)"
STUCK_ELSEWHERE = "no lease covers it and it was not finished in time (claimed by another program)"

# Both rows are locked, and the lease is read again once they are: a renewal in flight holds its lock and is skipped.
_RECOVER_EXPIRED = """
WITH expired AS MATERIALIZED (
    SELECT q.id, a.id AS token
    FROM extraction_queue AS q
    JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id
    WHERE q.status_id = 6
      AND a.finished_at IS NULL
      AND a.lease_expires_at < clock_timestamp()
    FOR UPDATE OF q, a SKIP LOCKED
),
recovered AS (
    UPDATE extraction_queue AS q
    SET status_id = CASE WHEN q.ocr_attempts >= q.ocr_max_attempts THEN %(exhausted_status)s ELSE 3 END,
        ocr_error = %(error)s,
        ocr_last_error_at = clock_timestamp(),
        error_message = CASE WHEN %(mirror)s THEN %(error)s ELSE q.error_message END,
        ocr_claim_id = NULL,
        updated_at = clock_timestamp()
    FROM expired
    WHERE q.id = expired.id
    -- a document that was only to be read again keeps its text: a trigger has set it to 5
    RETURNING expired.token, q.ocr_last_error_at, q.ocr_attempts >= q.ocr_max_attempts AND q.status_id <> 5 AS exhausted
)
UPDATE ocr_attempt AS a
SET finished_at = recovered.ocr_last_error_at,
    outcome = 'stuck',
    exhausted = recovered.exhausted,
    failure_kind = 'lease_expired',
    error = %(sentence)s
FROM recovered
WHERE a.id = recovered.token
RETURNING a.id
"""

# The ten-minute rule of the document, for rows that no lease covers; a row without a start time would never be stuck. A
# program that sets the status alone leaves an earlier attempt's start there: its own is no earlier than the end of the last
# attempt that is known. The attempt counts even where the other program did not count it, or its document would go round
# for ever.
_RECOVER_STUCK_ELSEWHERE = """
WITH abandoned AS MATERIALIZED (
    SELECT q.id, before.ended_at, GREATEST(COALESCE(q.ocr_attempts, 0), 1 + before.attempts)::integer AS attempts
    FROM extraction_queue AS q
    CROSS JOIN LATERAL (
        SELECT max(COALESCE(a.finished_at, 'infinity')) AS ended_at,
               count(*) FILTER (WHERE a.outcome IS DISTINCT FROM 'released') AS attempts
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
    ) AS before
    WHERE q.status_id = 6
      AND (q.ocr_started_at IS NULL
           OR GREATEST(q.ocr_started_at, before.ended_at) < clock_timestamp() - %(stuck_after)s)
      AND NOT EXISTS (
          SELECT
          FROM ocr_attempt AS a
          WHERE a.id = q.ocr_claim_id
            AND a.finished_at IS NULL
      )
    FOR UPDATE OF q SKIP LOCKED
),
recovered AS (
    UPDATE extraction_queue AS q
    SET status_id = CASE
            WHEN abandoned.attempts >= COALESCE(q.ocr_max_attempts, 3) THEN %(exhausted_status)s
            ELSE 3
        END,
        ocr_attempts = abandoned.attempts,
        ocr_max_attempts = COALESCE(q.ocr_max_attempts, 3),
        ocr_error = %(error)s,
        ocr_last_error_at = clock_timestamp(),
        error_message = CASE WHEN %(mirror)s THEN %(error)s ELSE q.error_message END,
        ocr_claim_id = NULL,
        updated_at = clock_timestamp()
    FROM abandoned
    WHERE q.id = abandoned.id
    RETURNING q.id, q.ocr_attempts, q.document_source, q.ocr_worker_id, q.ocr_last_error_at,
              CASE
                  WHEN q.ocr_started_at IS NULL THEN q.ocr_last_error_at
                  ELSE GREATEST(q.ocr_started_at, abandoned.ended_at)
              END AS began_at,
              q.ocr_attempts >= q.ocr_max_attempts AND q.status_id <> 5 AS exhausted
)
INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                         finished_at, outcome, failure_kind, error, exhausted)
SELECT id, ocr_attempts, document_source, COALESCE(ocr_worker_id, 'unknown'),
       began_at, began_at, ocr_last_error_at, 'stuck', 'no_lease', %(sentence)s, exhausted
FROM recovered
RETURNING id
"""

# The row went elsewhere (another program reset or finished it) while our attempt stayed open. It ended when somebody
# else began, if that is known: attempts of a document never overlap.
_CLOSE_ORPHANS = """
WITH orphaned AS MATERIALIZED (
    SELECT a.id, taken.ocr_started_at AS taken_at
    FROM ocr_attempt AS a
    LEFT JOIN extraction_queue AS taken ON taken.id = a.queue_id AND taken.ocr_started_at > a.claimed_at
    WHERE a.finished_at IS NULL
      AND a.lease_expires_at < clock_timestamp()
      AND NOT EXISTS (
          SELECT
          FROM extraction_queue AS q
          WHERE q.id = a.queue_id
            AND q.status_id = 6
            AND q.ocr_claim_id = a.id
      )
    FOR UPDATE OF a SKIP LOCKED
)
UPDATE ocr_attempt AS a
SET finished_at = COALESCE(orphaned.taken_at, clock_timestamp()),
    outcome = 'superseded',
    error = 'another program changed the row'
FROM orphaned
WHERE a.id = orphaned.id
RETURNING a.id
"""

# Another program set a finished document back to 3 and left its text: without this it would be in no list for ever.
_FINISH_LIMBO = """
WITH limbo AS MATERIALIZED (
    SELECT q.id, won.claimed_at, won.finished_at
    FROM extraction_queue AS q
    JOIN LATERAL (
        SELECT a.claimed_at, a.finished_at, a.text_sha256
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
          AND a.outcome = 'succeeded'
        ORDER BY a.id DESC
        LIMIT 1
    ) AS won ON won.text_sha256 = sha256(convert_to(q.file_content, 'UTF8'))
    WHERE q.status_id = 3
      AND q.file_content IS NOT NULL
    FOR UPDATE OF q SKIP LOCKED
)
UPDATE extraction_queue AS q
SET status_id = 5,
    ocr_started_at = limbo.claimed_at,
    ocr_completed_at = limbo.finished_at,
    ocr_error = NULL,
    ocr_next_attempt_at = NULL,
    ocr_reread_requested_at = NULL,
    updated_at = clock_timestamp()
FROM limbo
WHERE q.id = limbo.id
RETURNING q.id
"""

_COUNT_NEEDED = """
SELECT (
    SELECT count(*)
    FROM extraction_queue AS q
    LEFT JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id AND a.finished_at IS NULL
    WHERE q.status_id = 6
      AND CASE
          WHEN a.id IS NOT NULL THEN a.lease_expires_at < clock_timestamp()
          ELSE q.ocr_started_at IS NULL OR GREATEST(
              q.ocr_started_at,
              (SELECT max(COALESCE(b.finished_at, 'infinity')) FROM ocr_attempt AS b WHERE b.queue_id = q.id)
          ) < clock_timestamp() - %(stuck_after)s
      END
) + (
    SELECT count(*)
    FROM ocr_attempt AS a
    WHERE a.finished_at IS NULL
      AND a.lease_expires_at < clock_timestamp()
      AND NOT EXISTS (
          SELECT
          FROM extraction_queue AS q
          WHERE q.id = a.queue_id
            AND q.status_id = 6
            AND q.ocr_claim_id = a.id
      )
) + (
    SELECT count(*)
    FROM extraction_queue AS q
    JOIN LATERAL (
        SELECT a.text_sha256
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
          AND a.outcome = 'succeeded'
        ORDER BY a.id DESC
        LIMIT 1
    ) AS won ON won.text_sha256 = sha256(convert_to(q.file_content, 'UTF8'))
    WHERE q.status_id = 3
      AND q.file_content IS NOT NULL
) + (
    SELECT count(*)
    FROM extraction_queue AS q
    WHERE q.status_id = 3
      AND q.file_content IS NULL
      AND q.ocr_max_attempts IS NULL
      AND q.document_source = ANY(%(sources)s)
)
"""


@dataclass(frozen=True)
class Recovered:
    """How many rows were repaired, by what was wrong with them."""

    expired_leases: int
    orphaned_attempts: int
    stuck_elsewhere: int
    texts_without_status: int
    missing_maxima: int

    @property
    def total(self) -> int:
        """All repairs together."""
        return sum(vars(self).values())


def count_needing_recovery(connection: Connection, *, sources: Sequence[str], stuck_after: timedelta) -> int:
    """Count what `recover` would repair at this moment; cheap enough to poll, because every part has its index."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        arguments = {"sources": list(sources), "stuck_after": stuck_after}
        return int(cursor.execute(_COUNT_NEEDED, arguments).fetchone() or 0)


def recover(
    connection: Connection,
    *,
    sources: Sequence[str],
    stuck_after: timedelta,
    mirror_errors: bool,
    exhausted_status: int,
) -> Recovered:
    """Send every row that nobody works on any more back to ready, or to exhausted when its attempts are used up.

    Args:
        connection: outside any transaction.
        sources: enabled document sources.
        stuck_after: how long a row that no lease covers may stay at 6 (`OCR_STUCK_MINUTES`).
        mirror_errors: whether `error_message` gets the error too.
        exhausted_status: 3, or 4 for installations that want that.
    """
    settings = {"mirror": mirror_errors, "exhausted_status": exhausted_status}
    expired = {"error": ERROR_PREFIX + LEASE_EXPIRED, "sentence": LEASE_EXPIRED, **settings}
    elsewhere = {"error": ERROR_PREFIX + STUCK_ELSEWHERE, "sentence": STUCK_ELSEWHERE, **settings}
    repairs: dict[str, tuple[str, Mapping[str, object]]] = {
        "expired_leases": (_RECOVER_EXPIRED, expired),
        "orphaned_attempts": (_CLOSE_ORPHANS, {}),
        "stuck_elsewhere": (_RECOVER_STUCK_ELSEWHERE, {**elsewhere, "stuck_after": stuck_after}),
        "texts_without_status": (_FINISH_LIMBO, {}),
        "missing_maxima": (WRITE_MISSING_MAXIMA, {"sources": list(sources)}),
    }
    with short_transaction(connection):
        repaired = {what: connection.execute(statement, given) for what, (statement, given) in repairs.items()}
    return Recovered(**{what: len(rows.fetchall()) for what, rows in repaired.items()})
