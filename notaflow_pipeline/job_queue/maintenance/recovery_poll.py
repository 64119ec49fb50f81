"""Counts what needs recovery, at a cost that depends neither on the queue's length nor on the planner's estimates.

A sensor asks every half minute, and any number above zero makes it act. So each part counts no further than `COUNTED`, and
a poll compares the digests of a few texts only, from another place in their index each time: where other programs left
many texts at 3, one of ours among them is found by a later poll.
"""

from collections.abc import Sequence
from datetime import timedelta
from random import SystemRandom
from uuid import UUID

from psycopg import Connection
from psycopg.rows import scalar_row

COUNTED = 1000
"""Rows of one kind are counted no further."""

TEXTS_COMPARED = 100
"""Rows at 3 with a text, of which one poll computes the digests; texts can be megabytes long."""

# Bounds are a part of each plan: without them the planner expects a third of a long queue to be at 3 with a text, and
# compiles the statement (`jit`) for a second or two to compare none. Rows that another session has locked are left out, as
# recovery passes them over: one that stays locked would otherwise start a run every half minute.
_COUNT_NEEDED = """
SELECT (
    SELECT count(*)
    FROM (
        SELECT
        FROM extraction_queue AS q
        LEFT JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id AND a.finished_at IS NULL
        WHERE q.status_id = 6
          AND CASE
              WHEN a.id IS NOT NULL THEN a.lease_expires_at < clock_timestamp()
              ELSE (
                  SELECT max(COALESCE(b.finished_at, 'infinity')) IS DISTINCT FROM 'infinity' AND CASE
                      WHEN q.ocr_started_at BETWEEN '0001-01-02' AND clock_timestamp() + interval '1 day'
                      THEN GREATEST(q.ocr_started_at, max(b.finished_at)) < clock_timestamp() - %(stuck_after)s
                      ELSE TRUE
                  END
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
          AND a.lease_expires_at < clock_timestamp()
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
    ) AS won ON won.text_sha256 = sha256(convert_to(q.file_content, 'UTF8'))
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
"""

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


def count_needing_recovery(connection: Connection, *, sources: Sequence[str], stuck_after: timedelta) -> int:
    """Count what `recover` would repair at this moment, within the bounds above: cheap enough to poll.

    Args:
        connection: to the queue.
        sources: enabled document sources.
        stuck_after: how long a row that no lease covers may stay at 6.
    """
    arguments = {
        "sources": list(sources),
        "stuck_after": stuck_after,
        "counted": COUNTED,
        "compared": TEXTS_COMPARED,
        "begin": _any_text(connection),
    }
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(_COUNT_NEEDED, arguments).fetchone() or 0)


def _any_text(connection: Connection) -> UUID:
    """Return a place in the index of rows at 3 with a text, between its first row and its last."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        first = cursor.execute(_FIRST_TEXT).fetchone()
        last = cursor.execute(_LAST_TEXT).fetchone()
    if first is None or last is None:
        return UUID(int=0)
    return UUID(int=SystemRandom().randint(min(first.int, last.int), max(first.int, last.int)))
