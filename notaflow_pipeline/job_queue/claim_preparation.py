"""Makes rows claimable whose backoff has ended or whose maximum is missing, and skips tokens that are used already."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.database.sessions import short_statement
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch

# Rows in backoff have their own index, so that a claim does not read them. Locked rows follow with the next claim; at most a
# thousand at once, so that the statement stays short when many failures are due together.
_END_BACKOFF = """
WITH due AS MATERIALIZED (
    SELECT id
    FROM extraction_queue
    WHERE status_id = 3
      AND file_content IS NULL
      AND ocr_next_attempt_at <= clock_timestamp()
    ORDER BY ocr_next_attempt_at
    LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE extraction_queue AS q
SET ocr_next_attempt_at = NULL,
    updated_at = clock_timestamp()
FROM due
WHERE q.id = due.id
"""


def end_backoff(connection: Connection) -> None:
    """Make documents claimable whose backoff has ended."""
    with short_statement(connection):
        connection.execute(_END_BACKOFF)


# comparisons with NULL exclude these rows from every list; locked rows follow with the next claim
_WRITE_MISSING_MAXIMA = """
WITH without_maximum AS (
    SELECT id
    FROM extraction_queue
    WHERE status_id = 3
      AND file_content IS NULL
      AND ocr_max_attempts IS NULL
      AND document_source = ANY(%(sources)s)
    ORDER BY created_at, id
    LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE extraction_queue AS q
SET ocr_max_attempts = GREATEST(3, q.ocr_attempts),
    ocr_attempts = COALESCE(q.ocr_attempts, 0),
    updated_at = clock_timestamp()
FROM without_maximum
WHERE q.id = without_maximum.id
RETURNING q.id
"""


def write_missing_maxima(connection: Connection, sources: Sequence[str]) -> int:
    """Write the maximum of documents without one; return how many."""
    with short_statement(connection):
        return connection.execute(_WRITE_MISSING_MAXIMA, {"sources": list(sources)}).rowcount


MAX_TOKENS_SKIPPED = 10_000_000
"""If the sequence is further behind, its owner has to set it: skipping a million numbers takes about a second."""

TOKENS_SKIPPED_AT_ONCE = 1_000_000

# a sequence restored from an older state returns existing tokens; a worker's role may not set it, but may use it
_COUNT_USED_TOKENS = """
SELECT (SELECT max(id) FROM ocr_attempt) - nextval('ocr_attempt_id_seq')
"""

_SKIP_TOKENS = """
SELECT count(nextval('ocr_attempt_id_seq'))
FROM generate_series(1, %(count)s)
"""


def skip_used_tokens(connection: Connection) -> None:
    """Advance the sequence of tokens behind the largest one in use.

    Raises:
        SchemaMismatch: it is too far behind for a worker to advance it.
    """
    with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
        behind = int(cursor.execute(_COUNT_USED_TOKENS).fetchone() or 0)
    if behind > MAX_TOKENS_SKIPPED:
        raise SchemaMismatch(
            f"the sequence ocr_attempt_id_seq is {behind} numbers behind ocr_attempt.id, so that no document can be claimed; "
            "its owner has to set it to the largest id with setval()"
        )
    for skipped in range(0, behind, TOKENS_SKIPPED_AT_ONCE):
        with short_statement(connection):
            connection.execute(_SKIP_TOKENS, {"count": min(TOKENS_SKIPPED_AT_ONCE, behind - skipped)})
