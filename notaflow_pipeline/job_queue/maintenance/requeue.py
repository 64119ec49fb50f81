"""Requeues exhausted documents: chosen by day, kind of failure or id, and not for ever.

Attempts only ever grow, so the history stays true: what is raised is `ocr_max_attempts`. Documents are found and requeued in
chunks (`chunks`), the longest exhausted first, and any run works on them from then on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.job_queue.database.chunks import Changed, Refusals, change_rows, iterate_chunks
from notaflow_pipeline.job_queue.database.sessions import long_scan
from notaflow_pipeline.job_queue.model import DEFAULT_MAX_ATTEMPTS

NO_LIMIT = 2**31 - 1

# At 4 stand above all the errors of extraction, which are not ours. A row there is ours where OCR_EXHAUSTED_STATUS is 4, its
# last attempt used up the document, that failure is the row's last OCR error, and nobody has written the row since: our
# failure sets `updated_at` in the same statement, and an error of extraction stands in `error_message`, where ours is
# mirrored. In doubt (mirroring is off, and extraction left a message before it succeeded) the row is extraction's.
EXHAUSTED_AT_4 = sql.SQL("""q.status_id = 4 AND %(exhausted_status)s = 4 AND EXISTS (
          SELECT
          FROM ocr_attempt AS used_up
          WHERE used_up.queue_id = q.id
            AND used_up.id = (SELECT max(a.id) FROM ocr_attempt AS a WHERE a.queue_id = q.id)
            AND used_up.exhausted
            AND used_up.finished_at = q.ocr_last_error_at
            AND COALESCE(q.updated_at <= used_up.finished_at + interval '1 second', TRUE)
            AND COALESCE(q.error_message = q.ocr_error, TRUE)
      )""")

# The day on which a document was exhausted is that of its last error. The first two conditions are the index's.
_CANDIDATES = sql.SQL("""
SELECT q.id, q.ocr_last_error_at::text
FROM extraction_queue AS q
WHERE q.ocr_attempts >= q.ocr_max_attempts
  AND q.file_content IS NULL
  AND q.status_id IN (3, 4)
  AND q.document_source = ANY(%(sources)s)
  AND (%(ids)s::uuid[] IS NULL OR q.id = ANY(%(ids)s))
  AND (%(since)s::timestamptz IS NULL OR q.ocr_last_error_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR q.ocr_last_error_at < %(until)s)
  AND {place}
ORDER BY q.ocr_last_error_at, q.id
LIMIT %(rows)s
""")

_DATED = sql.SQL("""q.ocr_last_error_at IS NOT NULL
  AND (%(after)s::uuid IS NULL OR (q.ocr_last_error_at, q.id) > (%(after_place)s::timestamptz, %(after)s))""")

_UNDATED = sql.SQL("""q.ocr_last_error_at IS NULL
  AND (%(after)s::uuid IS NULL OR q.id > %(after)s)""")

# A document's kind of failure is that of its last counted attempt. One that was requeued since the command began, and is
# exhausted again, is left out, or the command would go on for as long as documents fail. So is one whose count of attempts
# cannot grow, because another program wrote the greatest number there is.
_CHOOSE = sql.SQL("""
SELECT q.id, q.document_number, q.document_source, q.ocr_attempts, last.failure_kind, q.ocr_last_error_at,
       (SELECT count(*) FROM ocr_round AS r WHERE r.queue_id = q.id)::integer AS requeues
FROM extraction_queue AS q
LEFT JOIN LATERAL (
    SELECT a.failure_kind
    FROM ocr_attempt AS a
    WHERE a.queue_id = q.id
      AND a.outcome IN ('failed', 'stuck')
    ORDER BY a.id DESC
    LIMIT 1
) AS last ON TRUE
WHERE q.id = ANY(%(candidates)s)
  AND (q.status_id = 3 OR {exhausted_at_4})
  AND q.file_content IS NULL
  AND q.ocr_attempts BETWEEN 1 AND 2147483646
  -- in another form than the index's, which would be read from end to end for each chunk
  AND q.ocr_attempts + 0 >= q.ocr_max_attempts
  AND (%(kinds)s::text[] IS NULL OR last.failure_kind = ANY(%(kinds)s))
  AND (last.failure_kind = ANY(%(except_kinds)s::text[])) IS NOT TRUE
  AND (SELECT count(*) FROM ocr_round AS r WHERE r.queue_id = q.id) < %(max_requeues)s
  AND NOT EXISTS (SELECT FROM ocr_round AS r WHERE r.queue_id = q.id AND r.sent_at >= %(began)s)
ORDER BY q.ocr_last_error_at, q.id
LIMIT %(limit)s
{lock}
""")

_NO_LOCK = sql.SQL("")

_LOCK = sql.SQL("FOR UPDATE OF q SKIP LOCKED")

_SEND = """
UPDATE extraction_queue
SET status_id = 3,
    ocr_max_attempts = LEAST(ocr_attempts::bigint + %(more_attempts)s, 2147483647),
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

_BECAME = sql.SQL("""
SELECT q.id, q.document_number, r.last_failure_kind, r.attempts_before,
       CASE
           WHEN q.id IS NULL THEN 'deleted'
           WHEN q.status_id = 5 THEN 'read'
           WHEN q.status_id = 6 THEN 'under OCR'
           WHEN q.status_id IN (3, 4) AND q.ocr_attempts >= q.ocr_max_attempts THEN 'exhausted again'
           WHEN q.status_id = 3 THEN 'waiting'
           ELSE 'sent elsewhere'
       END AS became
FROM ocr_round AS r
LEFT JOIN extraction_queue AS q ON q.id = r.queue_id
WHERE r.run_id = %(run_id)s
ORDER BY r.id
LIMIT %(at_most)s
""")

_COUNT_BECAME = sql.SQL("""
SELECT became, count(*)
FROM ({documents}) AS document
GROUP BY became
""")


_CLOCK = """
SELECT clock_timestamp()
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
    requeues: int


@dataclass(frozen=True)
class Requeued:
    """What became, so far, of a document that a run sent round."""

    id: UUID | None
    document_number: str | None
    last_failure_kind: str | None
    attempts_before: int
    became: str


@dataclass(frozen=True)
class ExhaustedFilter:
    """Which exhausted documents: every condition that is given must hold; `until` is exclusive."""

    sources: tuple[str, ...]
    ids: tuple[UUID, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] | None = None
    except_kinds: tuple[str, ...] = ()
    max_requeues: int = NO_LIMIT
    limit: int = NO_LIMIT
    exhausted_status: int = 3
    """Where this installation puts exhausted documents (`OCR_EXHAUSTED_STATUS`)."""

    def arguments(self) -> dict[str, object]:
        """Return the choice as the statements' arguments, but for its limit."""
        return {
            "sources": list(self.sources),
            "ids": None if self.ids is None else list(self.ids),
            "since": self.since,
            "until": self.until,
            "kinds": None if self.kinds is None else list(self.kinds),
            "except_kinds": list(self.except_kinds),
            "max_requeues": self.max_requeues,
            "exhausted_status": self.exhausted_status,
        }


def find_exhausted(connection: Connection, choice: ExhaustedFilter) -> Iterator[Exhausted]:
    """Yield the exhausted documents of a choice, the longest exhausted first; nothing is changed.

    Args:
        connection: outside any transaction.
        choice: which documents.
    """
    chooser = _Chooser(connection, choice, _NO_LOCK)
    for candidates in chooser.candidates():
        chosen = chooser.choose(candidates)
        yield from chosen
        chooser.left -= len(chosen)


def requeue_exhausted(
    connection: Connection,
    choice: ExhaustedFilter,
    *,
    run_id: str | None = None,
    more_attempts: int = DEFAULT_MAX_ATTEMPTS,
    on_requeued: Callable[[Sequence[Exhausted]], None] = lambda _documents: None,
) -> Changed:
    """Make exhausted documents ready again, with so many more attempts; return how many.

    Each chunk is a transaction of its own: a call that is broken off leaves the rest exhausted, for the next one.

    Args:
        connection: outside any transaction.
        choice: which documents; those that somebody else is just changing are passed over.
        run_id: the Dagster run that sends them, or None.
        more_attempts: how often each is tried again.
        on_requeued: is given the documents of each chunk once they are ready, as they were before.
    """
    chooser = _Chooser(connection, choice, _LOCK)
    refusals = Refusals()

    def send(candidates: Sequence[UUID]) -> list[Exhausted]:
        chosen = chooser.choose(candidates)
        if chosen:
            connection.execute(_SEND, {"ids": [one.id for one in chosen], "more_attempts": more_attempts})
            connection.execute(_NOTE, _note(chosen, run_id))
        chooser.left -= len(chosen)
        return chosen

    sent = 0
    for candidates in chooser.candidates():
        documents = change_rows(connection, candidates, send, refusals)
        sent += len(documents)
        if documents:
            on_requeued(documents)
    return Changed(sent, refusals.describe())


class _Chooser:
    """Chooses exhausted documents chunk by chunk, while the choice's limit leaves any (`left`)."""

    def __init__(self, connection: Connection, choice: ExhaustedFilter, lock: sql.SQL) -> None:
        with connection.cursor(row_factory=scalar_row) as cursor:
            began = cursor.execute(_CLOCK).fetchone()
        self._connection = connection
        self._statement = _CHOOSE.format(exhausted_at_4=EXHAUSTED_AT_4, lock=lock)
        self._arguments = {**choice.arguments(), "began": began}
        self.left = choice.limit

    def candidates(self) -> Iterator[list[UUID]]:
        """Yield the ids of documents that may be chosen; those without the time of an error come last."""
        for place in (_DATED, _UNDATED):
            for ids in iterate_chunks(self._connection, _CANDIDATES.format(place=place), self._arguments):
                yield ids
                if self.left <= 0:
                    return

    def choose(self, candidates: Sequence[UUID]) -> list[Exhausted]:
        """Return those of the candidates that the choice means."""
        arguments = {**self._arguments, "candidates": list(candidates), "limit": self.left}
        with self._connection.cursor(row_factory=class_row(Exhausted)) as cursor:
            return cursor.execute(self._statement, arguments).fetchall()


def _note(chosen: list[Exhausted], run_id: str | None) -> dict[str, object]:
    return {
        "ids": [one.id for one in chosen],
        "attempts": [one.ocr_attempts for one in chosen],
        "kinds": [one.failure_kind for one in chosen],
        "run_id": run_id,
    }


def requeue_results(connection: Connection, run_id: str, *, at_most: int = NO_LIMIT) -> list[Requeued]:
    """Return the documents that a run sent round, or the first of them, each with what has become of it so far."""
    with connection.cursor(row_factory=class_row(Requeued)) as cursor:
        return cursor.execute(_BECAME, {"run_id": run_id, "at_most": at_most}).fetchall()


def count_requeue_results(connection: Connection, run_id: str) -> dict[str, int]:
    """Return of how many documents that a run sent round what has become so far."""
    statement = _COUNT_BECAME.format(documents=_BECAME)
    with connection.transaction(), long_scan(connection):
        return dict(connection.execute(statement, {"run_id": run_id, "at_most": NO_LIMIT}).fetchall())
