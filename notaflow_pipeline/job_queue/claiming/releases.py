"""Releases claims: their documents are ready again, and no attempt is used up."""

import logging
from collections.abc import Collection, Sequence
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.database.chunks import change_all_possible
from notaflow_pipeline.job_queue.database.row_locks import retry_while_locked
from notaflow_pipeline.job_queue.database.sessions import short_statement
from notaflow_pipeline.job_queue.model import storable
from notaflow_pipeline.job_queue.started_at import CLAIM_ENDED

log = logging.getLogger(__name__)


def release(connection: Connection, tokens: Collection[int], *, reason: str) -> int:
    """Release these claims; return how many were released."""
    return _release(connection, reason, tokens=tokens)


def release_run(connection: Connection, run_id: str, *, reason: str) -> int:
    """Release all claims of a Dagster run; return how many were released."""
    return _release(connection, reason, run_id=run_id)


def release_instance(connection: Connection, instance: UUID, *, reason: str) -> int:
    """Release all claims of a process, including those whose commit it did not see; return how many were released."""
    return _release(connection, reason, instance=instance)


_HELD = sql.SQL("""
    SELECT a.id AS token, q.id
    FROM extraction_queue AS q
    JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id
    WHERE q.status_id = 6
      AND a.finished_at IS NULL
      AND (a.id = ANY(%(tokens)s) OR a.run_id = %(run_id)s OR a.worker_instance = %(instance)s)
""")

# A row that another session has locked keeps its claim until the lease expires. A dropped update fails as in `outcomes`.
_RELEASE = (
    sql.SQL("""
WITH held AS MATERIALIZED ({held}),
free AS MATERIALIZED (
    SELECT q.id, held.token
    FROM extraction_queue AS q
    JOIN held ON held.id = q.id
    JOIN ocr_attempt AS a ON a.id = held.token
    WHERE q.status_id = 6
      AND q.ocr_claim_id = held.token
      AND a.outcome IS NULL
    FOR NO KEY UPDATE OF q, a SKIP LOCKED
),
released AS (
    UPDATE extraction_queue AS q
    SET status_id = 3,
        ocr_attempts = GREATEST(q.ocr_attempts, 1) - 1,
        ocr_worker_id = NULL,
        ocr_started_at = NULL,
        ocr_claim_id = NULL,
        updated_at = clock_timestamp()
    FROM free
    WHERE q.id = free.id
    RETURNING free.token, {ended} AS has_ended
),
ended AS (
    UPDATE ocr_attempt AS a
    SET finished_at = CASE WHEN released.has_ended THEN GREATEST(clock_timestamp(), a.claimed_at) END,
        outcome = 'released',
        error = %(reason)s
    FROM free
    LEFT JOIN released USING (token)
    WHERE a.id = free.token
      AND a.outcome IS NULL
    RETURNING a.id
)
SELECT (SELECT count(*) FROM ended), (SELECT count(*) FROM held)
""")
    .format(held=_HELD, ended=CLAIM_ENDED)
    .as_bytes(None)
)


def _release(
    connection: Connection,
    reason: str,
    *,
    tokens: Collection[int] = (),
    run_id: str | None = None,
    instance: UUID | None = None,
) -> int:
    """Release these claims, except those that the database refuses to release, whose leases expire."""
    run_id = run_id and storable(run_id)
    arguments = {"tokens": list(tokens), "run_id": run_id, "instance": instance, "reason": storable(reason)}
    released: list[int] = []

    def release_unlocked() -> bool:
        """Return whether some claims are left because their rows are locked."""
        with short_statement(connection):
            [(ended, held)] = connection.execute(_RELEASE, arguments).fetchall()
        released.append(ended)
        return bool(ended < held)

    def release_all() -> list[int]:
        retry_while_locked(release_unlocked, lambda are_left: are_left)
        return []  # counted in `released`, also if the database refuses a later statement

    def find() -> list[int]:
        with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(_HELD, arguments).fetchall()

    def release_some(some: Sequence[int]) -> list[int]:
        only = {**arguments, "tokens": list(some), "run_id": None, "instance": None}
        return [ended for ended, _ in connection.execute(_RELEASE, only).fetchall()]

    in_parts, refusals = change_all_possible(connection, release_all, find, release_some)
    if refusals.rows:
        log.warning("claims were not released, and their leases will expire: %s", refusals.describe())
    return sum(released) + sum(in_parts)
