"""How exhausted documents are sent round again: chosen by day, kind of failure or id, and not for ever.

Attempts only ever grow, so the history stays true: what is raised is `ocr_max_attempts`. What does not belong here:
working on them, which any run does from then on.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from notaflow_pipeline.queue.database import short_transaction
from notaflow_pipeline.queue.model import DEFAULT_MAX_ATTEMPTS

NO_LIMIT = 2**31 - 1

# An exhausted document is at 3, or at 4 with an OCR error where installations want that. The day on which it was
# exhausted is that of its last error; its kind of failure is that of its last counted attempt.
_CHOOSE = """
SELECT q.id, q.document_number, q.document_source, q.ocr_attempts, last.failure_kind, q.ocr_last_error_at,
       (SELECT count(*) FROM ocr_round AS r WHERE r.queue_id = q.id)::integer AS rounds
FROM extraction_queue AS q
LEFT JOIN LATERAL (
    SELECT a.failure_kind
    FROM ocr_attempt AS a
    WHERE a.queue_id = q.id
      AND a.outcome IN ('failed', 'stuck')
    ORDER BY a.id DESC
    LIMIT 1
) AS last ON TRUE
WHERE (q.status_id = 3 OR (q.status_id = 4 AND q.ocr_error IS NOT NULL))
  AND q.document_source = ANY(%(sources)s)
  AND q.file_content IS NULL
  AND q.ocr_attempts > 0
  AND q.ocr_attempts >= q.ocr_max_attempts
  AND (%(ids)s::uuid[] IS NULL OR q.id = ANY(%(ids)s))
  AND (%(since)s::timestamptz IS NULL OR q.ocr_last_error_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR q.ocr_last_error_at < %(until)s)
  AND (%(kinds)s::text[] IS NULL OR last.failure_kind = ANY(%(kinds)s))
  AND (last.failure_kind = ANY(%(but_kinds)s::text[])) IS NOT TRUE
  AND (SELECT count(*) FROM ocr_round AS r WHERE r.queue_id = q.id) < %(max_rounds)s
ORDER BY q.ocr_last_error_at, q.id
LIMIT %(limit)s
"""

_LOCK = """
FOR UPDATE OF q SKIP LOCKED
"""

_SEND = """
UPDATE extraction_queue
SET status_id = 3,
    ocr_max_attempts = ocr_attempts + %(more_attempts)s,
    ocr_next_attempt_at = NULL,
    updated_at = clock_timestamp()
WHERE id = ANY(%(ids)s)
"""

_NOTE = """
INSERT INTO ocr_round (queue_id, sent_at, attempts_before, last_failure_kind, run_id)
SELECT queue_id, clock_timestamp(), attempts_before, last_failure_kind, %(run_id)s
FROM unnest(%(ids)s::uuid [], %(attempts)s::integer [], %(kinds)s::text [])
AS exhausted (queue_id, attempts_before, last_failure_kind)
"""

_BECAME = """
SELECT q.id, q.document_number, r.last_failure_kind, r.attempts_before,
       CASE
           WHEN q.id IS NULL THEN 'deleted'
           WHEN q.status_id = 5 THEN 'read'
           WHEN q.status_id = 6 THEN 'under OCR'
           WHEN q.ocr_attempts >= q.ocr_max_attempts THEN 'exhausted again'
           WHEN q.status_id = 3 THEN 'waiting'
           ELSE 'sent elsewhere'
       END AS became
FROM ocr_round AS r
LEFT JOIN extraction_queue AS q ON q.id = r.queue_id
WHERE r.run_id = %(run_id)s
ORDER BY r.id
"""


@dataclass(frozen=True)
class Exhausted:
    """A document that has used up its attempts, and how often it went round before."""

    id: UUID
    document_number: str
    document_source: str
    ocr_attempts: int
    failure_kind: str | None
    ocr_last_error_at: datetime | None
    rounds: int


@dataclass(frozen=True)
class SentRound:
    """What became, so far, of a document that a run sent round."""

    id: UUID | None
    document_number: str | None
    last_failure_kind: str | None
    attempts_before: int
    became: str


@dataclass(frozen=True)
class Choice:
    """Which exhausted documents: every condition that is given must hold; `until` is exclusive."""

    sources: tuple[str, ...]
    ids: tuple[UUID, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] | None = None
    but_kinds: tuple[str, ...] = ()
    max_rounds: int = NO_LIMIT
    limit: int = NO_LIMIT

    def arguments(self) -> dict[str, object]:
        """Return the choice as the statement's arguments."""
        return {
            "sources": list(self.sources),
            "ids": None if self.ids is None else list(self.ids),
            "since": self.since,
            "until": self.until,
            "kinds": None if self.kinds is None else list(self.kinds),
            "but_kinds": list(self.but_kinds),
            "max_rounds": self.max_rounds,
            "limit": self.limit,
        }


def find_exhausted(connection: Connection, choice: Choice) -> list[Exhausted]:
    """Return the exhausted documents of a choice, the longest exhausted first; nothing is changed."""
    with connection.cursor(row_factory=class_row(Exhausted)) as cursor:
        return cursor.execute(_CHOOSE, choice.arguments()).fetchall()


def send_round(
    connection: Connection, choice: Choice, *, run_id: str | None = None, more_attempts: int = DEFAULT_MAX_ATTEMPTS
) -> list[Exhausted]:
    """Make exhausted documents ready again, with so many more attempts; return them.

    Args:
        connection: outside any transaction.
        choice: which documents; those that somebody else is just changing are passed over.
        run_id: the Dagster run that sends them, or None.
        more_attempts: how often each is tried again.
    """
    with short_transaction(connection), connection.cursor(row_factory=class_row(Exhausted)) as cursor:
        chosen = cursor.execute(_CHOOSE + _LOCK, choice.arguments()).fetchall()
        if chosen:
            cursor.execute(_SEND, {"ids": [one.id for one in chosen], "more_attempts": more_attempts})
            cursor.execute(_NOTE, _note(chosen, run_id))
    return chosen


def _note(chosen: list[Exhausted], run_id: str | None) -> dict[str, object]:
    return {
        "ids": [one.id for one in chosen],
        "attempts": [one.ocr_attempts for one in chosen],
        "kinds": [one.failure_kind for one in chosen],
        "run_id": run_id,
    }


def what_became(connection: Connection, run_id: str) -> list[SentRound]:
    """Return the documents that a run sent round, each with what has become of it so far."""
    with connection.cursor(row_factory=class_row(SentRound)) as cursor:
        return cursor.execute(_BECAME, {"run_id": run_id}).fetchall()
