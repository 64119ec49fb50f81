"""Recovers rows that nobody works on any more, and rows that no list shows.

Leases run out, claims of other programs stuck, attempts left open, texts without their status, maxima missing. Every
repair of an attempt writes its reason. Each kind of repair goes through its rows in chunks (`chunks`), and one that fails
does not keep the others from their work. Exhausted documents are requeued elsewhere (`requeue`).
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg import Connection

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.database.chunks import Refusals, change_rows, describe_error, iterate_chunks
from notaflow_pipeline.job_queue.model import ERROR_PREFIX

LEASE_EXPIRED = "its worker stopped renewing the lease (killed, frozen or cut off)"
STUCK_ELSEWHERE = "no lease covers it and it was not finished in time (claimed by another program)"

_UNDER_OCR = """
SELECT id, NULL
FROM extraction_queue
WHERE status_id = 6
  AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(rows)s
"""

# Both rows are locked, and the lease is read again once they are: a renewal in flight holds its lock and is skipped.
_RECOVER_EXPIRED = """
WITH expired AS MATERIALIZED (
    SELECT q.id, a.id AS token
    FROM extraction_queue AS q
    JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id
    WHERE q.id = ANY(%(ids)s)
      AND q.status_id + 0 = 6
      AND a.finished_at IS NULL
      AND a.lease_expires_at < clock_timestamp()
    FOR UPDATE OF q, a SKIP LOCKED
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
    -- a document that was only to be read again keeps its text: a trigger has set it to 5
    RETURNING expired.token, q.ocr_last_error_at, q.ocr_attempts >= q.ocr_max_attempts AND q.status_id <> 5 AS exhausted
)
UPDATE ocr_attempt AS a
SET finished_at = recovered.ocr_last_error_at,
    outcome = 'stuck',
    exhausted = recovered.exhausted,
    failure_kind = %(expired_kind)s,
    error = %(expired_sentence)s
FROM recovered
WHERE a.id = recovered.token
RETURNING a.id
"""

# The ten-minute rule of the document, for rows that no lease covers; a row without a start time would never be stuck. A
# program that sets the status alone leaves an earlier attempt's start there: its own is no earlier than the end of the last
# attempt that is known. The attempt counts even where the other program did not count it, or its document would be tried
# for ever; and where the document was exhausted already, its maximum grows with it: attempts never exceed the maximum, and
# it is exhausted as before.
_RECOVER_STUCK_ELSEWHERE = """
WITH abandoned AS MATERIALIZED (
    SELECT q.id, began.at AS began_at,
           GREATEST(COALESCE(q.ocr_attempts, 0), 1 + before.attempts)::integer AS attempts,
           won.claimed_at AS won_claimed_at, won.finished_at AS won_finished_at
    FROM extraction_queue AS q
    CROSS JOIN LATERAL (
        SELECT max(COALESCE(a.finished_at, 'infinity')) AS ended_at,
               count(*) FILTER (WHERE a.outcome IS DISTINCT FROM 'released') AS attempts
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
    ) AS before
    CROSS JOIN LATERAL (
        -- other programs write their own clock's time, or what is no time (infinity): such a row would never be stuck
        SELECT CASE
            WHEN q.ocr_started_at BETWEEN '0001-01-02' AND clock_timestamp() + interval '1 day'
            THEN GREATEST(q.ocr_started_at, before.ended_at)
        END AS at
    ) AS began
    LEFT JOIN LATERAL (
        SELECT a.claimed_at, a.finished_at
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
          AND a.outcome = 'succeeded'
        ORDER BY a.id DESC
        LIMIT 1
    ) AS won ON TRUE
    WHERE q.id = ANY(%(ids)s)
      AND q.status_id + 0 = 6
      -- an attempt that is open, whoever holds the row, ends first
      AND before.ended_at IS DISTINCT FROM 'infinity'
      AND (began.at IS NULL OR began.at < clock_timestamp() - %(stuck_after)s)
    FOR UPDATE OF q SKIP LOCKED
),
recovered AS (
    UPDATE extraction_queue AS q
    SET status_id = CASE
            WHEN q.file_content IS NOT NULL THEN 5 -- it was done before that program took it
            WHEN abandoned.attempts >= COALESCE(q.ocr_max_attempts, 3) THEN %(exhausted_status)s
            ELSE 3
        END,
        ocr_started_at = CASE WHEN q.file_content IS NULL THEN q.ocr_started_at ELSE abandoned.won_claimed_at END,
        ocr_completed_at = CASE
            WHEN q.file_content IS NOT NULL THEN COALESCE(abandoned.won_finished_at, clock_timestamp())
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
    RETURNING q.id, q.ocr_attempts, q.document_source, q.ocr_worker_id, q.ocr_last_error_at,
              COALESCE(abandoned.began_at, q.ocr_last_error_at) AS began_at,
              q.ocr_attempts >= q.ocr_max_attempts AND q.status_id <> 5 AS exhausted
)
INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                         finished_at, outcome, failure_kind, error, exhausted)
SELECT id, ocr_attempts, document_source, COALESCE(ocr_worker_id, 'unknown'),
       began_at, began_at, ocr_last_error_at, 'stuck', %(elsewhere_kind)s, %(elsewhere_sentence)s, exhausted
FROM recovered
RETURNING id
"""

_OPEN_AND_EXPIRED = """
SELECT queue_id, NULL
FROM ocr_attempt
WHERE finished_at IS NULL
  AND lease_expires_at < clock_timestamp()
  AND (%(after)s::uuid IS NULL OR queue_id > %(after)s)
ORDER BY queue_id
LIMIT %(rows)s
"""

# The row went elsewhere (another program reset or finished it) while our attempt stayed open. It ended when somebody
# else began, if that is known: attempts of a document never overlap.
_CLOSE_ORPHANS = """
WITH orphaned AS MATERIALIZED (
    SELECT a.id, taken.ocr_started_at AS taken_at
    FROM ocr_attempt AS a
    LEFT JOIN extraction_queue AS taken ON taken.id = a.queue_id AND taken.ocr_started_at > a.claimed_at
    WHERE a.queue_id = ANY(%(ids)s)
      AND a.finished_at IS NULL
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
-- another program's clock may be ahead, and what it wrote may be no time at all
SET finished_at = LEAST(orphaned.taken_at, clock_timestamp()),
    outcome = 'superseded',
    error = 'another program changed the row'
FROM orphaned
WHERE a.id = orphaned.id
RETURNING a.id
"""

_TEXT_AT_3 = """
SELECT id, NULL
FROM extraction_queue
WHERE status_id = 3
  AND file_content IS NOT NULL
  AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(rows)s
"""

# Another program set a finished document back to 3 and left its text: without this it would be in no list for ever.
_FINISH_READ = """
WITH read_but_ready AS MATERIALIZED (
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
    WHERE q.id = ANY(%(ids)s)
      AND q.status_id + 0 = 3
      AND q.file_content IS NOT NULL
    FOR UPDATE OF q SKIP LOCKED
)
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
RETURNING q.id
"""

_WITHOUT_MAXIMUM = """
SELECT id, NULL
FROM extraction_queue
WHERE status_id = 3
  AND file_content IS NULL
  AND ocr_max_attempts IS NULL
  AND document_source = ANY(%(sources)s)
  AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(rows)s
"""

# the claim does the same for the rows that it comes upon
_WRITE_MAXIMA = """
WITH without_maximum AS MATERIALIZED (
    SELECT id
    FROM extraction_queue
    WHERE id = ANY(%(ids)s)
      AND status_id + 0 = 3
      AND file_content IS NULL
      AND ocr_max_attempts IS NULL
    FOR UPDATE SKIP LOCKED
)
UPDATE extraction_queue AS q
SET ocr_max_attempts = GREATEST(3, q.ocr_attempts),
    ocr_attempts = COALESCE(q.ocr_attempts, 0),
    updated_at = clock_timestamp()
FROM without_maximum
WHERE q.id = without_maximum.id
RETURNING q.id
"""

# name -> (the rows to go through, the repair of those of them that need it), in the order in which they are made: what is
# still open of a row that another program claimed ends before that claim is judged. `status_id + 0` keeps the planner from
# reading a partial index from end to end for each chunk.
REPAIRS: dict[str, tuple[LiteralString, LiteralString]] = {
    "expired_leases": (_UNDER_OCR, _RECOVER_EXPIRED),
    "orphaned_attempts": (_OPEN_AND_EXPIRED, _CLOSE_ORPHANS),
    "stuck_elsewhere": (_UNDER_OCR, _RECOVER_STUCK_ELSEWHERE),
    "texts_without_status": (_TEXT_AT_3, _FINISH_READ),
    "missing_maxima": (_WITHOUT_MAXIMUM, _WRITE_MAXIMA),
}


@dataclass(frozen=True)
class Recovered:
    """How many rows were repaired, by what was wrong with them, and which repairs could not be made."""

    expired_leases: int = 0
    orphaned_attempts: int = 0
    stuck_elsewhere: int = 0
    texts_without_status: int = 0
    missing_maxima: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    """A repair that the database refused, for all or for some rows, with the reason."""

    complete: bool = True
    """Whether every row was looked at: there was time enough."""

    @property
    def counts(self) -> dict[str, int]:
        """The repaired rows alone."""
        return {name: count for name, count in asdict(self).items() if name in REPAIRS}

    @property
    def total(self) -> int:
        """All repairs together."""
        return sum(self.counts.values())

    def __add__(self, other: "Recovered") -> "Recovered":
        """Return both together."""
        counts = {name: count + other.counts[name] for name, count in self.counts.items()}
        failed = {**self.failed, **other.failed}
        return Recovered(**counts, failed=failed, complete=self.complete and other.complete)


def recover(
    connection: Connection,
    *,
    sources: Sequence[str],
    stuck_after: timedelta,
    mirror_errors: bool,
    exhausted_status: int,
    repairs: Iterable[str] = tuple(REPAIRS),
    seconds: float | None = None,
    on_progress: Callable[[str, int], None] = lambda _name, _rows: None,
) -> Recovered:
    """Send every row that nobody works on any more back to ready, or to exhausted when its attempts are used up.

    Each kind of repair is made in short transactions of its own. What a call does not come to, another one finds again.

    Args:
        connection: outside any transaction.
        sources: enabled document sources.
        stuck_after: how long a row that no lease covers may stay at 6 (`OCR_STUCK_MINUTES`).
        mirror_errors: whether `error_message` gets the error too.
        exhausted_status: 3, or 4 for installations that want that.
        repairs: the kinds of repair to make, in the order of `REPAIRS`.
        seconds: after which each kind of repair ends with the chunk that it is at; None goes through all rows.
        on_progress: is told, after each chunk, the kind of repair and how many of its rows were repaired so far.

    Raises:
        psycopg.Error: the connection is lost. Every other error is in the result.
    """
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    arguments = {
        "sources": list(sources),
        "stuck_after": stuck_after,
        "mirror": mirror_errors,
        "exhausted_status": exhausted_status,
        "expired_kind": FailureKind.LEASE_EXPIRED,
        "elsewhere_kind": FailureKind.NO_LEASE,
        "expired_error": ERROR_PREFIX + LEASE_EXPIRED,
        "expired_sentence": LEASE_EXPIRED,
        "elsewhere_error": ERROR_PREFIX + STUCK_ELSEWHERE,
        "elsewhere_sentence": STUCK_ELSEWHERE,
    }
    counts = dict.fromkeys(REPAIRS, 0)
    failed: dict[str, str] = {}
    complete = True
    for name in repairs:
        refusals = Refusals()
        try:
            for repaired in _repair(connection, name, arguments, refusals):
                counts[name] += repaired
                on_progress(name, counts[name])
                if time.monotonic() > deadline:
                    complete = False
                    break
        except psycopg.Error as error:
            if connection.closed:
                raise
            failed[name] = describe_error(error)
        if refusals.rows:
            failed.setdefault(name, refusals.describe())
    return Recovered(**counts, failed=failed, complete=complete)


def _repair(connection: Connection, name: str, arguments: Mapping[str, object], refusals: Refusals) -> Iterator[int]:
    """Make one kind of repair; yield how many rows of each chunk needed it."""
    rows, repair = REPAIRS[name]

    def change(ids: Sequence[UUID]) -> list[tuple[object, ...]]:
        return connection.execute(repair, {**arguments, "ids": list(ids)}).fetchall()

    for ids in iterate_chunks(connection, rows, arguments):
        yield len(change_rows(connection, ids, change, refusals))
