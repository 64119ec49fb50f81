"""Renews the leases of claims: one statement, and a thread that repeats it while documents are being read.

OCR runs in other processes, so that it cannot delay the thread.
"""

import logging
import threading
from collections.abc import Callable, Collection
from datetime import timedelta
from types import TracebackType
from typing import Self

import psycopg
from psycopg import Connection
from psycopg.rows import scalar_row
from psycopg_pool import ConnectionPool

from notaflow_pipeline.job_queue.database.chunks import change_all_possible
from notaflow_pipeline.job_queue.database.sessions import short_statement
from notaflow_pipeline.job_queue.database.transient import describe_transient

log = logging.getLogger(__name__)

# a lease that another session has locked is not extended, and not reported as lost
_RENEW = """
WITH held AS MATERIALIZED (
    SELECT a.id
    FROM ocr_attempt AS a
    JOIN extraction_queue AS q ON q.id = a.queue_id
    WHERE a.id = ANY(%(tokens)s)
      AND a.outcome IS NULL
      AND q.status_id + 0 = 6
      AND q.ocr_claim_id = a.id
),
free AS MATERIALIZED (
    SELECT a.id
    FROM ocr_attempt AS a
    JOIN held ON held.id = a.id
    WHERE a.outcome IS NULL
    FOR NO KEY UPDATE OF a SKIP LOCKED
),
renewed AS (
    UPDATE ocr_attempt AS a
    SET lease_expires_at = clock_timestamp() + %(lease)s
    FROM free
    WHERE a.id = free.id
)
SELECT id
FROM held
"""


def renew(connection: Connection, tokens: Collection[int], lease: timedelta) -> set[int]:
    """Extend the leases of these claims from now; return the tokens that are still held, the others are lost.

    A lease that the database refuses to extend costs no other lease its renewal; it is held until it expires.
    """

    def renew_some(some: Collection[int]) -> list[int]:
        with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(_RENEW, {"tokens": list(some), "lease": lease}).fetchall()

    renewed, refusals = change_all_possible(connection, lambda: renew_some(tokens), lambda: list(tokens), renew_some)
    if refusals.rows:
        log.warning("leases were not renewed: %s", refusals.describe())
    return {*renewed, *refusals.keys}


class LeaseRenewal:
    """Renews the leases of the held claims three times per lease duration, in a thread; reports lost claims."""

    def __init__(self, pool: ConnectionPool[Connection], lease: timedelta, on_lost: Callable[[int], None]) -> None:
        """Start with nothing held; `on_lost` is called with a token in the renewing thread."""
        self._pool = pool
        self._lease = lease
        self._on_lost = on_lost
        self._tokens: set[int] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ocr-lease-renewal", daemon=True)

    def hold(self, token: int) -> None:
        """Renew this claim from now on."""
        with self._lock:
            self._tokens.add(token)

    def drop(self, token: int) -> None:
        """Renew this claim no longer."""
        with self._lock:
            self._tokens.discard(token)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=2)  # a daemon thread: stopping does not wait for an unavailable database

    def _run(self) -> None:
        wait = third = self._lease.total_seconds() / 3
        while not self._stop.wait(wait):
            with self._lock:
                held = set(self._tokens)
            # after a failure try again soon: it has already cost time
            wait = third if not held or self._renew(held) else min(1.0, third)

    def _renew(self, held: set[int]) -> bool:
        try:
            with self._pool.connection() as connection:
                renewed = renew(connection, held, self._lease)
        except psycopg.Error as unreachable:  # includes the pool's timeout
            # not lost yet: the next renewal comes before the lease expires, and outcomes check the token anyway
            log.warning("leases could not be renewed: %s", describe_transient(unreachable))
            return False
        for token in held - renewed:
            self.drop(token)
            self._on_lost(token)
        return True
