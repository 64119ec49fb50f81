"""Requeues exhausted documents, selected by day, kind of failure or id, up to a number of requeues.

The number of attempts only ever grows, so that it matches the history; `ocr_max_attempts` is raised. Documents are found and
requeued in chunks (`chunks`), the longest exhausted first, and any run can claim them from then on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.job_queue.database.chunks import (
    ChangeResult,
    Refusals,
    change_rows,
    iterate_chunks,
    require_updated,
)
from notaflow_pipeline.job_queue.database.sessions import long_scan
from notaflow_pipeline.job_queue.model import DEFAULT_MAX_ATTEMPTS

NO_LIMIT = 2**31 - 1

# Status 4 mostly means an error of extraction. A row at 4 is ours if OCR_EXHAUSTED_STATUS is 4, its last attempt exhausted
# it, that failure is the row's last OCR error, and the row was not written since: our failure sets `updated_at` in the same
# statement, and `error_message` has our mirrored error. In doubt (mirroring is off, and extraction left a message before it
# succeeded) the row counts as one of extraction.
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


@dataclass(frozen=True)
class ExhaustedDocument:
    """A document that has used up its attempts, and how often it was requeued."""

    id: UUID
    document_number: str
    document_source: str
    ocr_attempts: int
    failure_kind: str | None
    ocr_last_error_at: datetime | None
    requeues: int


@dataclass(frozen=True)
class RequeuedDocument:
    """A document that a run requeued, and its state now."""

    id: UUID | None
    document_number: str | None
    last_failure_kind: str | None
    attempts_before: int
    state: str


@dataclass(frozen=True)
class ExhaustedFilter:
    """Conditions that select exhausted documents; all given conditions must hold, and `until` is exclusive."""

    sources: tuple[str, ...]
    ids: tuple[UUID, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[str, ...] | None = None
    except_kinds: tuple[str, ...] = ()
    max_requeues: int = NO_LIMIT
    limit: int = NO_LIMIT
    exhausted_status: int = 3
    """Status of exhausted documents (`OCR_EXHAUSTED_STATUS`)."""

    def arguments(self) -> dict[str, object]:
        """Return the conditions as arguments of the statements, without the limit."""
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


_NO_LOCK = sql.SQL("")


def find_exhausted(connection: Connection, filters: ExhaustedFilter) -> Iterator[ExhaustedDocument]:
    """Yield the selected exhausted documents, the longest exhausted first; nothing is changed.

    Args:
        connection: outside any transaction.
        filters: the conditions.
    """
    selection = _Selection(connection, filters, _NO_LOCK)
    for candidates in selection.candidates():
        selected = selection.select(candidates)
        yield from selected
        selection.remaining -= len(selected)


_LOCK = sql.SQL("FOR NO KEY UPDATE OF q SKIP LOCKED")

_REQUEUE = """
UPDATE extraction_queue
SET status_id = 3,
    ocr_max_attempts = LEAST(ocr_attempts::bigint + %(more_attempts)s, 2147483647),
    ocr_next_attempt_at = NULL,
    updated_at = clock_timestamp()
WHERE id = ANY(%(ids)s)
"""

_RECORD = """
INSERT INTO ocr_round (queue_id, sent_at, attempts_before, last_failure_kind, run_id)
SELECT queue_id, clock_timestamp(), attempts_before, last_failure_kind, %(run_id)s
FROM unnest(%(ids)s::uuid [], %(attempts)s::integer [], %(kinds)s::text [])
AS exhausted (queue_id, attempts_before, last_failure_kind)
"""


def requeue_exhausted(
    connection: Connection,
    filters: ExhaustedFilter,
    *,
    run_id: str | None = None,
    more_attempts: int = DEFAULT_MAX_ATTEMPTS,
    on_requeued: Callable[[Sequence[ExhaustedDocument]], None] = lambda _documents: None,
) -> ChangeResult:
    """Make exhausted documents ready again, with `more_attempts` new attempts; return how many.

    Each chunk is a transaction: after an interruption the rest stays exhausted, for the next call.

    Args:
        connection: outside any transaction.
        filters: the conditions; locked rows are skipped.
        run_id: the Dagster run that requeues them, or None.
        more_attempts: of each document.
        on_requeued: is called with the documents of each chunk after the commit, in their earlier state.
    """
    selection = _Selection(connection, filters, _LOCK)
    refusals = Refusals()

    def requeue(candidates: Sequence[UUID]) -> list[ExhaustedDocument]:
        selected = selection.select(candidates)
        if selected:
            ids = [one.id for one in selected]
            requeued = connection.execute(_REQUEUE, {"ids": ids, "more_attempts": more_attempts})
            require_updated(requeued.rowcount, len(selected))
            connection.execute(_RECORD, _records(selected, run_id))
        selection.remaining -= len(selected)
        return selected

    rows = 0
    for candidates in selection.candidates():
        documents = change_rows(connection, candidates, requeue, refusals)
        rows += len(documents)
        if documents:
            on_requeued(documents)
    return ChangeResult(rows, refusals.describe())


# A document was exhausted on the day of its last error. The first two conditions are those of the index.
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

# A document's kind of failure is that of its last counted attempt. Excluded are documents that were requeued since the
# command started and are exhausted again, or the command might never end, and documents whose number of attempts cannot
# grow because another program wrote the largest integer.
_SELECT = sql.SQL("""
SELECT q.id, q.document_number, q.document_source, q.ocr_attempts, last.failure_kind, q.ocr_last_error_at,
       (SELECT count(*) FROM ocr_round AS r WHERE r.queue_id = q.id)::integer AS requeues
FROM extraction_queue AS q
LEFT JOIN LATERAL (
    SELECT a.failure_kind
    FROM ocr_attempt AS a
    WHERE a.queue_id = q.id
      AND (a.outcome IN ('failed', 'stuck') OR a.failure_kind = 'cancelled')
    ORDER BY a.id DESC
    LIMIT 1
) AS last ON TRUE
WHERE q.id = ANY(%(candidates)s)
  AND (q.status_id = 3 OR {exhausted_at_4})
  AND q.file_content IS NULL
  AND q.ocr_attempts BETWEEN 0 AND 2147483646
  -- a document that was never tried is exhausted only if it was cancelled, and a cancelled one must be named
  AND (q.ocr_attempts > 0 OR last.failure_kind = 'cancelled')
  AND (
      last.failure_kind IS DISTINCT FROM 'cancelled'
      OR %(ids)s::uuid[] IS NOT NULL
      OR 'cancelled' = ANY(%(kinds)s::text[])
  )
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

_CLOCK = """
SELECT clock_timestamp()
"""


class _Selection:
    """Selects exhausted documents in chunks, up to the limit of the filter."""

    def __init__(self, connection: Connection, filters: ExhaustedFilter, lock: sql.SQL) -> None:
        with connection.cursor(row_factory=scalar_row) as cursor:
            began = cursor.execute(_CLOCK).fetchone()
        self._connection = connection
        self._statement = _SELECT.format(exhausted_at_4=EXHAUSTED_AT_4, lock=lock)
        self._arguments = {**filters.arguments(), "began": began}
        self.remaining = filters.limit

    def candidates(self) -> Iterator[list[UUID]]:
        """Yield the ids of possible documents; those without the time of an error come last."""
        for place in (_DATED, _UNDATED):
            for ids in iterate_chunks(self._connection, _CANDIDATES.format(place=place), self._arguments):
                yield ids
                if self.remaining <= 0:
                    return

    def select(self, candidates: Sequence[UUID]) -> list[ExhaustedDocument]:
        """Return the candidates that fulfil all conditions."""
        arguments = {**self._arguments, "candidates": list(candidates), "limit": self.remaining}
        with self._connection.cursor(row_factory=class_row(ExhaustedDocument)) as cursor:
            return cursor.execute(self._statement, arguments).fetchall()


def _records(selected: list[ExhaustedDocument], run_id: str | None) -> dict[str, object]:
    return {
        "ids": [one.id for one in selected],
        "attempts": [one.ocr_attempts for one in selected],
        "kinds": [one.failure_kind for one in selected],
        "run_id": run_id,
    }


_RESULTS = sql.SQL("""
SELECT q.id, q.document_number, r.last_failure_kind, r.attempts_before,
       CASE
           WHEN q.id IS NULL THEN 'deleted'
           WHEN q.status_id = 5 THEN 'read'
           WHEN q.status_id = 6 THEN 'under OCR'
           WHEN q.status_id IN (3, 4) AND q.ocr_attempts >= q.ocr_max_attempts THEN 'exhausted again'
           WHEN q.status_id = 3 THEN 'waiting'
           ELSE 'changed elsewhere'
       END AS state
FROM ocr_round AS r
LEFT JOIN extraction_queue AS q ON q.id = r.queue_id
WHERE r.run_id = %(run_id)s
ORDER BY r.id
LIMIT %(at_most)s
""")


def requeue_results(connection: Connection, run_id: str, *, at_most: int = NO_LIMIT) -> list[RequeuedDocument]:
    """Return the first `at_most` documents that a run requeued, each with its state now."""
    with connection.cursor(row_factory=class_row(RequeuedDocument)) as cursor:
        return cursor.execute(_RESULTS, {"run_id": run_id, "at_most": at_most}).fetchall()


_COUNT_RESULTS = sql.SQL("""
SELECT state, count(*)
FROM ({documents}) AS document
GROUP BY state
""")


def count_requeue_results(connection: Connection, run_id: str) -> dict[str, int]:
    """Count the documents that a run requeued by their state now."""
    statement = _COUNT_RESULTS.format(documents=_RESULTS)
    with connection.transaction(), long_scan(connection):
        return dict(connection.execute(statement, {"run_id": run_id, "at_most": NO_LIMIT}).fetchall())
