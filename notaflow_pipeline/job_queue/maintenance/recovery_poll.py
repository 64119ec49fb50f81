"""Counts rows that need recovery, at a cost that depends neither on the queue's length nor on the planner's estimates.

A sensor polls every half minute, and starts a run for any number above zero. Each part counts up to `MAX_COUNTED`, and a poll
compares the digests of a few texts only, from a random id on: if other programs left many texts at 3, a later
poll finds one of ours among them.
"""

from collections.abc import Sequence
from datetime import timedelta
from random import SystemRandom
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.started_at import LEASE_ENDED, STARTED_AT

MAX_COUNTED = 1000
"""Rows of one kind are counted up to this number."""

TEXTS_COMPARED = 100
"""How many digests of rows at 3 with a text one poll computes; texts can have megabytes."""

# Without limits the planner expects a third of a long queue to be at 3 with a text, and compiles the statement (`jit`) for
# a second or two. Locked rows are skipped as in recovery: one that stays locked would start a run every half minute.
_COUNT_NEEDED = sql.SQL("""
SELECT (
    SELECT count(*)
    FROM (
        SELECT
        FROM extraction_queue AS q
        LEFT JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id AND a.finished_at IS NULL
        WHERE q.status_id = 6
          AND CASE
              WHEN a.id IS NOT NULL THEN {lease_ended}
              ELSE (
                  SELECT max(COALESCE(b.finished_at, 'infinity')) IS DISTINCT FROM 'infinity'
                     AND COALESCE({started_at} < clock_timestamp() - %(stuck_after)s, TRUE)
                  FROM ocr_attempt AS b
                  WHERE b.queue_id = q.id
              )
          END
        LIMIT %(counted)s
        FOR NO KEY UPDATE OF q SKIP LOCKED
    ) AS abandoned
) + (
    SELECT count(*)
    FROM (
        SELECT
        FROM ocr_attempt AS a
        WHERE a.finished_at IS NULL
          AND {lease_ended}
          AND NOT EXISTS (
              SELECT
              FROM extraction_queue AS q
              WHERE q.id = a.queue_id
                AND q.status_id = 6
                AND q.ocr_claim_id = a.id
          )
        LIMIT %(counted)s
        FOR NO KEY UPDATE OF a SKIP LOCKED
    ) AS orphaned
) + (
    SELECT count(*)
    FROM (
        SELECT around.id, around.file_content
        FROM (
            (
                SELECT id, file_content
                FROM extraction_queue
                WHERE status_id = 3
                  AND file_content IS NOT NULL
                  AND id >= %(begin)s
                ORDER BY id
                LIMIT %(compared)s
            )
            UNION ALL
            (
                SELECT id, file_content
                FROM extraction_queue
                WHERE status_id = 3
                  AND file_content IS NOT NULL
                  AND id < %(begin)s
                ORDER BY id
                LIMIT %(compared)s
            )
        ) AS around
        LIMIT %(compared)s
    ) AS q
    JOIN LATERAL (
        SELECT a.text_sha256
        FROM ocr_attempt AS a
        WHERE a.queue_id = q.id
          AND a.outcome = 'succeeded'
        ORDER BY a.id DESC
        LIMIT 1
    ) AS success ON success.text_sha256 = sha256(convert_to(q.file_content, 'UTF8'))
) + (
    SELECT count(*)
    FROM (
        SELECT
        FROM extraction_queue AS q
        WHERE q.status_id = 3
          AND q.file_content IS NULL
          AND q.ocr_max_attempts IS NULL
          AND q.document_source = ANY(%(sources)s)
        LIMIT %(counted)s
        FOR NO KEY UPDATE OF q SKIP LOCKED
    ) AS without_maximum
)
""").format(started_at=STARTED_AT.format(last_end=sql.SQL("max(b.finished_at)")), lease_ended=LEASE_ENDED)


def count_needing_recovery(connection: Connection, *, sources: Sequence[str], stuck_after: timedelta) -> int:
    """Count what `recover` would repair now, within the limits above; cheap enough to poll.

    Args:
        connection: to the queue.
        sources: enabled document sources.
        stuck_after: how long a row without a lease may stay at 6.
    """
    arguments = {
        "sources": list(sources),
        "stuck_after": stuck_after,
        "counted": MAX_COUNTED,
        "compared": TEXTS_COMPARED,
        "begin": _random_id(connection),
    }
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(_COUNT_NEEDED, arguments).fetchone() or 0)


_FIRST_TEXT = """
SELECT id
FROM extraction_queue
WHERE status_id = 3
  AND file_content IS NOT NULL
ORDER BY id
LIMIT 1
"""

_LAST_TEXT = """
SELECT id
FROM extraction_queue
WHERE status_id = 3
  AND file_content IS NOT NULL
ORDER BY id DESC
LIMIT 1
"""


def _random_id(connection: Connection) -> UUID:
    """Return a random id between those of the first and the last row at 3 with a text."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        first = cursor.execute(_FIRST_TEXT).fetchone()
        last = cursor.execute(_LAST_TEXT).fetchone()
    if first is None or last is None:
        return UUID(int=0)
    return UUID(int=SystemRandom().randint(min(first.int, last.int), max(first.int, last.int)))
