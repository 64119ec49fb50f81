"""How a claim stays held while its document is being read: a thread of its own renews what is in hand.

OCR runs in other processes, so nothing here starves it. What does not belong here: what is done about a lost claim.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.queue import claims
from notaflow_pipeline.queue.database import what_passes

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Renews the leases of the claims that it is told to hold, three times a lease; reports those that were lost."""

    def __init__(self, pool: ConnectionPool[Connection], lease: timedelta, on_lost: Callable[[int], None]) -> None:
        """Start with nothing held; `on_lost` is called with a token, in the keeper's thread."""
        self._pool = pool
        self._lease = lease
        self._on_lost = on_lost
        self._tokens: set[int] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="ocr-lease-keeper", daemon=True)

    def hold(self, token: int) -> None:
        """Renew this claim from now on."""
        with self._lock:
            self._tokens.add(token)

    def let_go(self, token: int) -> None:
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
        self._thread.join(timeout=2)  # a daemon: stopping does not wait for a database that is away

    def _keep(self) -> None:
        wait = third = self._lease.total_seconds() / 3
        while not self._stop.wait(wait):
            with self._lock:
                held = set(self._tokens)
            # what was not answered has cost time already
            wait = third if not held or self._renew(held) else min(1.0, third)

    def _renew(self, held: set[int]) -> bool:
        try:
            with self._pool.connection() as connection:
                renewed = claims.renew(connection, held, self._lease)
        except psycopg.Error as unreachable:  # a pool's time-out is one
            # not lost yet: the next renewal comes before the lease runs out, and a finish is fenced anyhow
            log.warning("leases could not be renewed: %s", what_passes(unreachable))
            return False
        for token in held - renewed:
            self.let_go(token)
            self._on_lost(token)
        return True
