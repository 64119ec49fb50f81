"""The kinds of repair that recovery makes, each with the SQL that finds candidate rows and the SQL that repairs them.

A repair works through its candidates in chunks (`chunks`), and checks each row again once it is locked. `status_id + 0`
keeps the planner from reading a partial index completely for each chunk.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import scalar_row

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.database.chunks import Refusals, change_rows, iterate_chunks, require_updated
from notaflow_pipeline.job_queue.database.hidden_rows import HIDDEN, hidden_among
from notaflow_pipeline.job_queue.database.sessions import short_statement
from notaflow_pipeline.job_queue.missing_maxima import WRITE_MAXIMA
from notaflow_pipeline.job_queue.model import ERROR_PREFIX
from notaflow_pipeline.job_queue.started_at import CLAIM_ENDED, LEASE_ENDED, STARTED_AT, STARTED_AT_OF_ROW

LEASE_EXPIRED = "its worker stopped renewing the lease (killed, frozen or cut off)"
STUCK_ELSEWHERE = "no lease covers it and it was not finished in time (claimed by another program)"

ERRORS: dict[str, object] = {
    "expired_kind": FailureKind.LEASE_EXPIRED,
    "expired_error": ERROR_PREFIX + LEASE_EXPIRED,
    "expired_sentence": LEASE_EXPIRED,
    "elsewhere_kind": FailureKind.NO_LEASE,
    "elsewhere_error": ERROR_PREFIX + STUCK_ELSEWHERE,
    "elsewhere_sentence": STUCK_ELSEWHERE,
}
"""What the repairs write to rows and attempts; arguments of the statements."""

_UNDER_OCR = sql.SQL("""
SELECT id, NULL
FROM extraction_queue
WHERE status_id = 6
  AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(rows)s
""")

# Locks both rows, and reads the lease again once they are locked: a row with a renewal in progress is skipped.
_RECOVER_EXPIRED = sql.SQL("""
WITH expired AS MATERIALIZED (
    SELECT q.id, a.id AS token
    FROM extraction_queue AS q
    JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id
    WHERE q.id = ANY(%(ids)s)
      AND q.status_id + 0 = 6
      AND a.finished_at IS NULL
      AND {ended}
    FOR NO KEY UPDATE OF q, a SKIP LOCKED
),
recovered AS (
    UPDATE extraction_queue AS q
    SET status_id = CASE
            WHEN q.ocr_attempts >= COALESCE(q.ocr_max_attempts, 3) THEN %(exhausted_status)s
            ELSE 3
        END,
        ocr_max_attempts = GREATEST(COALESCE(q.ocr_max_attempts, 3), q.ocr_attempts),
        ocr_error = %(expired_error)s,
        ocr_last_error_at = GREATEST(clock_timestamp(), q.ocr_started_at),
        error_message = CASE WHEN %(mirror)s THEN %(expired_error)s ELSE q.error_message END,
        ocr_claim_id = NULL,
        updated_at = clock_timestamp()
    FROM expired
    WHERE q.id = expired.id
    -- a document that was to be reread keeps its text: a trigger sets it to 5
    RETURNING expired.token, CASE WHEN {claim_ended} THEN q.ocr_last_error_at END AS ended_at,
              q.ocr_attempts >= q.ocr_max_attempts AND q.status_id <> 5 AS exhausted
)
UPDATE ocr_attempt AS a
SET finished_at = recovered.ended_at,
    outcome = 'stuck',
    exhausted = recovered.exhausted,
    failure_kind = %(expired_kind)s,
    error = %(expired_sentence)s
FROM expired
LEFT JOIN recovered USING (token)
WHERE a.id = expired.token
RETURNING TRUE
""").format(ended=LEASE_ENDED, claim_ended=CLAIM_ENDED)

# For rows without a lease, which may stay at 6 for OCR_STUCK_MINUTES. A row without a valid start time counts as stuck. The
# attempt is counted even if the other program did not count it, so that its document is not tried without end. If it was
# exhausted before, its maximum grows too: attempts never exceed the maximum, and it stays exhausted.
_RECOVER_STUCK_ELSEWHERE = sql.SQL("""
WITH abandoned AS MATERIALIZED (
    SELECT q.id, began.at AS began_at,
           GREATEST(COALESCE(q.ocr_attempts, 0), 1 + before.attempts)::integer AS attempts,
           success.claimed_at AS success_claimed_at, success.finished_at AS success_finished_at
    FROM extraction_queue AS q
    CROSS JOIN LATERAL (
        SELECT max(COALESCE(a.finished_at, 'infinity')) AS ended_at,
               -- not those of an earlier row with this id, which was deleted and inserted again
               count(*) FILTER (
                   WHERE a.outcome IS DISTINCT FROM 'released'
                     AND (q.created_at > a.claimed_at AND q.created_at <= clock_timestamp()) IS NOT TRUE
               ) AS attempts
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
    ) AS before
    CROSS JOIN LATERAL (
        SELECT {started_at} AS at
    ) AS began
    LEFT JOIN LATERAL (
        SELECT a.claimed_at, a.finished_at
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
          AND a.outcome = 'succeeded'
        ORDER BY a.id DESC
        LIMIT 1
    ) AS success ON TRUE
    WHERE q.id = ANY(%(ids)s)
      AND q.status_id + 0 = 6
      -- an open attempt has to end first
      AND before.ended_at IS DISTINCT FROM 'infinity'
      AND (began.at IS NULL OR began.at < clock_timestamp() - %(stuck_after)s)
    FOR NO KEY UPDATE OF q SKIP LOCKED
),
recovered AS (
    UPDATE extraction_queue AS q
    SET status_id = CASE
            WHEN q.file_content IS NOT NULL THEN 5 -- it was done before the other program claimed it
            WHEN abandoned.attempts >= COALESCE(q.ocr_max_attempts, 3) THEN %(exhausted_status)s
            ELSE 3
        END,
        ocr_started_at = CASE WHEN q.file_content IS NULL THEN q.ocr_started_at ELSE abandoned.success_claimed_at END,
        ocr_completed_at = CASE
            WHEN q.file_content IS NOT NULL THEN COALESCE(abandoned.success_finished_at, clock_timestamp())
        END,
        ocr_attempts = abandoned.attempts,
        ocr_max_attempts = GREATEST(COALESCE(q.ocr_max_attempts, 3), abandoned.attempts),
        ocr_error = %(elsewhere_error)s,
        ocr_last_error_at = clock_timestamp(),
        error_message = CASE WHEN %(mirror)s THEN %(elsewhere_error)s ELSE q.error_message END,
        ocr_claim_id = NULL,
        updated_at = clock_timestamp()
    FROM abandoned
    WHERE q.id = abandoned.id
    RETURNING q.id, {claim_ended} AS has_ended, q.ocr_attempts, q.document_source, q.ocr_worker_id, q.ocr_last_error_at,
              COALESCE(abandoned.began_at, q.ocr_last_error_at) AS began_at,
              q.ocr_attempts >= q.ocr_max_attempts AND q.status_id <> 5 AS exhausted
)
INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                         finished_at, outcome, failure_kind, error, exhausted)
SELECT CASE WHEN has_ended THEN id END, ocr_attempts, document_source, COALESCE(ocr_worker_id, 'unknown'),
       recovered.began_at, recovered.began_at, ocr_last_error_at, 'stuck', %(elsewhere_kind)s, %(elsewhere_sentence)s,
       exhausted
FROM abandoned
LEFT JOIN recovered USING (id)
RETURNING TRUE
""").format(started_at=STARTED_AT.format(last_end=sql.SQL("before.ended_at")), claim_ended=CLAIM_ENDED)

_STILL_STUCK = sql.SQL("""
SELECT q.id
FROM extraction_queue AS q
LEFT JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id AND a.finished_at IS NULL
WHERE q.status_id = 6
  AND row_security_active('extraction_queue')
  AND CASE
      WHEN %(with_lease)s THEN a.id IS NOT NULL AND {lease_ended}
      ELSE a.id IS NULL AND ({started_at} >= clock_timestamp() - %(stuck_after)s) IS NOT TRUE
  END
LIMIT 1000
""").format(lease_ended=LEASE_ENDED, started_at=STARTED_AT_OF_ROW)

_OPEN_AND_EXPIRED = sql.SQL("""
SELECT queue_id, NULL
FROM ocr_attempt AS a
WHERE finished_at IS NULL
  AND {ended}
  AND (%(after)s::uuid IS NULL OR queue_id > %(after)s)
ORDER BY queue_id
LIMIT %(rows)s
""").format(ended=LEASE_ENDED)

# Another program reset or finished the row while our attempt stayed open. The attempt ended when the next claim started, if
# that is known: attempts of a document never overlap.
_CLOSE_ORPHANS = sql.SQL("""
WITH orphaned AS MATERIALIZED (
    SELECT a.id, taken.ocr_started_at AS taken_at
    FROM ocr_attempt AS a
    LEFT JOIN extraction_queue AS taken ON taken.id = a.queue_id AND taken.ocr_started_at > a.claimed_at
    WHERE a.queue_id = ANY(%(ids)s)
      AND a.finished_at IS NULL
      AND {ended}
      AND NOT EXISTS (
          SELECT
          FROM extraction_queue AS q
          WHERE q.id = a.queue_id
            AND q.status_id = 6
            AND q.ocr_claim_id = a.id
      )
    FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE ocr_attempt AS a
-- the other program's clock may be ahead, or have written infinity
SET finished_at = LEAST(orphaned.taken_at, clock_timestamp()),
    outcome = 'superseded',
    error = 'another program changed the row'
FROM orphaned
WHERE a.id = orphaned.id
RETURNING TRUE
""").format(ended=LEASE_ENDED)

_TEXT_AT_3 = sql.SQL("""
SELECT id, NULL
FROM extraction_queue
WHERE status_id = 3
  AND file_content IS NOT NULL
  AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(rows)s
""")

# Another program reset a finished document to 3 and kept its text: no list would contain it.
_FINISH_READ = sql.SQL("""
WITH read_but_ready AS MATERIALIZED (
    SELECT q.id, success.claimed_at, success.finished_at
    FROM extraction_queue AS q
    JOIN LATERAL (
        SELECT a.claimed_at, a.finished_at, a.text_sha256
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
          AND a.outcome = 'succeeded'
        ORDER BY a.id DESC
        LIMIT 1
    ) AS success ON success.text_sha256 = sha256(convert_to(q.file_content, 'UTF8'))
    WHERE q.id = ANY(%(ids)s)
      AND q.status_id + 0 = 3
      AND q.file_content IS NOT NULL
    FOR NO KEY UPDATE OF q SKIP LOCKED
),
finished AS (
    UPDATE extraction_queue AS q
    SET status_id = 5,
        ocr_started_at = read_but_ready.claimed_at,
        ocr_completed_at = read_but_ready.finished_at,
        ocr_error = NULL,
        ocr_next_attempt_at = NULL,
        ocr_reread_requested_at = NULL,
        updated_at = clock_timestamp()
    FROM read_but_ready
    WHERE q.id = read_but_ready.id
    RETURNING q.id, q.status_id <> 3 AND {claim_ended} AS has_ended
)
SELECT finished.has_ended
FROM read_but_ready
LEFT JOIN finished USING (id)
""").format(claim_ended=CLAIM_ENDED)

_WITHOUT_MAXIMUM = sql.SQL("""
SELECT id, NULL
FROM extraction_queue
WHERE status_id = 3
  AND file_content IS NULL
  AND ocr_max_attempts IS NULL
  AND document_source = ANY(%(sources)s)
  AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(rows)s
""")

_WRITE_MAXIMA_OF_CHUNK = WRITE_MAXIMA.format(
    rows=sql.SQL("""
    SELECT id
    FROM extraction_queue
    WHERE id = ANY(%(ids)s)
      AND status_id + 0 = 3
      AND file_content IS NULL
      AND ocr_max_attempts IS NULL
    FOR NO KEY UPDATE SKIP LOCKED
""")
)


class Repair(StrEnum):
    """The kinds of repair, in the order in which they are made.

    Open attempts of a row that another program claimed end before that claim is checked.
    """

    EXPIRED_LEASES = "expired_leases"
    ORPHANED_ATTEMPTS = "orphaned_attempts"
    STUCK_ELSEWHERE = "stuck_elsewhere"
    TEXTS_WITHOUT_STATUS = "texts_without_status"
    MISSING_MAXIMA = "missing_maxima"


@dataclass(frozen=True)
class _Statements:
    find: sql.SQL | sql.Composed
    """Returns candidates in the form that `iterate_chunks` needs."""

    repair: sql.SQL | sql.Composed
    """Repairs those of `%(ids)s` that need it, and returns one row for each, which ends in whether it was updated."""


_STATEMENTS = {
    Repair.EXPIRED_LEASES: _Statements(_UNDER_OCR, _RECOVER_EXPIRED),
    Repair.ORPHANED_ATTEMPTS: _Statements(_OPEN_AND_EXPIRED, _CLOSE_ORPHANS),
    Repair.STUCK_ELSEWHERE: _Statements(_UNDER_OCR, _RECOVER_STUCK_ELSEWHERE),
    Repair.TEXTS_WITHOUT_STATUS: _Statements(_TEXT_AT_3, _FINISH_READ),
    Repair.MISSING_MAXIMA: _Statements(_WITHOUT_MAXIMUM, _WRITE_MAXIMA_OF_CHUNK),
}


def repair_rows(
    connection: Connection, kind: Repair, arguments: Mapping[str, object], refusals: Refusals
) -> Iterator[int]:
    """Make one kind of repair; yield how many rows of each chunk were repaired.

    Args:
        connection: outside any transaction.
        kind: of the repair.
        arguments: of the statements, besides `ERRORS`.
        refusals: counts the rows that the database refused to change.
    """
    statements = _STATEMENTS[kind]
    arguments = {**ERRORS, **arguments}

    def change(ids: Sequence[UUID]) -> list[tuple[object, ...]]:
        repaired = connection.execute(statements.repair, {**arguments, "ids": list(ids)}).fetchall()
        require_updated(sum(bool(updated) for *_, updated in repaired), len(repaired))
        return repaired

    for ids in iterate_chunks(connection, statements.find, arguments):
        yield len(change_rows(connection, ids, change, refusals))
    if kind in (Repair.EXPIRED_LEASES, Repair.STUCK_ELSEWHERE):
        _note_hidden(connection, {**arguments, "with_lease": kind is Repair.EXPIRED_LEASES}, refusals)


def _note_hidden(connection: Connection, arguments: Mapping[str, object], refusals: Refusals) -> None:
    """Count the stuck rows that a policy hides from this login as refused."""
    with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
        stuck = cursor.execute(_STILL_STUCK, arguments).fetchall()
    refusals.note(hidden_among(connection, [one for one in stuck if one not in set(refusals.keys)]), HIDDEN)
