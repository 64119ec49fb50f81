"""Other programs that write the same rows: a monitor without tokens, and a session that holds a transaction open."""

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from psycopg import Connection

from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline_tests.chaos.results import text_of_other_program
from notaflow_pipeline_tests.chaos.testbed import STUCK_SECONDS, Testbed

PROGRAM = "other-monitor"

CLAIMS_READY = "another program's claims of ready documents (3 to 6)"
CLAIMS_TAKEN = "another program's claims over others (6 to 6)"
FINISHES = "another program's finishes"
ABANDONED_CLAIMS = "another program's abandoned claims"
RESETS = "another program's resets"
REREADS = "rereads requested"
REREADS_RESET = "rereads that another program reset"
LOCKS = "foreign locks held past the lock timeout"

MONITOR_DISTURBANCES = (CLAIMS_READY, CLAIMS_TAKEN, FINISHES, ABANDONED_CLAIMS, RESETS)
REREAD_DISTURBANCES = (REREADS, REREADS_RESET)

SECONDS_BETWEEN_STEPS = 0.4

ANY_AT = """
SELECT id, document_number
FROM extraction_queue
WHERE status_id = %s
ORDER BY random()
LIMIT 1
"""

# racy: nothing guards against a claim since the row was chosen, and there is no token
CLAIM = """
UPDATE extraction_queue
SET status_id = 6,
    ocr_worker_id = 'other-monitor',
    ocr_started_at = clock_timestamp(),
    ocr_attempts = COALESCE(ocr_attempts, 0) + 1,
    updated_at = clock_timestamp()
WHERE id = %s
  AND status_id = %s
"""

FINISH = """
UPDATE extraction_queue
SET status_id = 5,
    file_content = %s,
    ocr_completed_at = clock_timestamp(),
    ocr_error = NULL,
    updated_at = clock_timestamp()
WHERE id = %s
"""

RESET = """
UPDATE extraction_queue
SET status_id = 3,
    ocr_attempts = 0,
    file_content = NULL,
    updated_at = clock_timestamp()
WHERE id = %s
"""

RESET_WITHOUT_ATTEMPTS = """
UPDATE extraction_queue
SET status_id = 3,
    file_content = NULL,
    updated_at = clock_timestamp()
WHERE id = %s
"""

REREAD_REQUESTED = """
SELECT id
FROM extraction_queue
WHERE id = %s
  AND ocr_reread_requested_at IS NOT NULL
"""

LOCK = """
SELECT id
FROM extraction_queue
WHERE status_id = %s
ORDER BY random()
LIMIT %s
FOR UPDATE SKIP LOCKED
"""

HELD_SECONDS = (12, 15)
"""More than the 10 s for which the pipeline waits for a lock."""


@dataclass
class Monitor:
    """Claims, finishes, abandons and resets rows like a program without tokens and leases."""

    testbed: Testbed
    rng: random.Random
    rereads: bool
    claims: bool
    claimed: dict[UUID, tuple[str, float, float]] = field(default_factory=dict)
    """The claimed rows, with their number, when each is finished and when it is too late for that."""

    def work(self, stopped: threading.Event) -> None:
        """Take one step after the other until stopped; claimed rows are left at 6."""
        while not stopped.wait(SECONDS_BETWEEN_STEPS):
            with suppress(psycopg.Error), self.testbed.connected(PROGRAM) as connection:
                connection.execute("SET lock_timeout = '2s'")
                self._step(connection)

    def _step(self, connection: Connection) -> None:
        if self.claims:
            self._finish_what_is_due(connection)
            self.rng.choices([self._claim_ready, self._claim_taken, self._reset], [3, 4, 2])[0](connection)
        if self.rereads and self.rng.random() < 0.3:
            self._reread(connection)

    def _chosen(self, connection: Connection, status: int) -> tuple[UUID, str] | None:
        row = connection.execute(ANY_AT, [status]).fetchone()
        return None if row is None else (row[0], row[1])

    def _claim_ready(self, connection: Connection) -> None:
        self._claim(connection, 3, CLAIMS_READY)

    def _claim_taken(self, connection: Connection) -> None:
        self._claim(connection, 6, CLAIMS_TAKEN)

    def _claim(self, connection: Connection, status: int, what: str) -> None:
        if (chosen := self._chosen(connection, status)) is None:
            return
        time.sleep(self.rng.uniform(0, 0.05))
        if connection.execute(CLAIM, [chosen[0], status]).rowcount == 0:
            return
        self.testbed.occurrences[what] += 1
        self.claimed.pop(chosen[0], None)
        if self.rng.random() < 0.3:
            self.testbed.occurrences[ABANDONED_CLAIMS] += 1
            return
        now = time.monotonic()
        self.claimed[chosen[0]] = (chosen[1], now + self.rng.uniform(0.1, 3), now + STUCK_SECONDS / 2)

    def _finish_what_is_due(self, connection: Connection) -> None:
        now = time.monotonic()
        for document, (number, due, too_late) in list(self.claimed.items()):
            if now > too_late:  # the database was unavailable: another program may have finished it
                del self.claimed[document]
            elif now > due:
                connection.execute(FINISH, [text_of_other_program(number), document])
                self.testbed.occurrences[FINISHES] += 1
                del self.claimed[document]

    def _reset(self, connection: Connection) -> None:
        if (chosen := self._chosen(connection, self.rng.choice([3, 5, 6]))) is not None:
            self.claimed.pop(chosen[0], None)
            connection.execute(RESET, [chosen[0]])
            self.testbed.occurrences[RESETS] += 1

    def _reread(self, connection: Connection) -> None:
        """Request that a finished document be read again; in half of the cases reset it before or during that."""
        if (chosen := self._chosen(connection, 5)) is None:
            return
        request_reread(connection, sources=["index"], ids=[chosen[0]])
        self.testbed.occurrences[REREADS] += connection.execute(REREAD_REQUESTED, [chosen[0]]).rowcount
        if self.rng.random() < 0.5:
            time.sleep(self.rng.uniform(0, 0.3))
            self.claimed.pop(chosen[0], None)
            reset = self.rng.choice([RESET, RESET_WITHOUT_ATTEMPTS])
            self.testbed.occurrences[REREADS_RESET] += connection.execute(reset, [chosen[0]]).rowcount


class ForeignLock:
    """An open transaction that holds rows for longer than the pipeline waits for a lock."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._holding: threading.Thread | None = None

    @property
    def is_held(self) -> bool:
        """Whether it holds rows at this moment."""
        return self._holding is not None and self._holding.is_alive()

    def hold(self) -> None:
        """Lock a row at 6 and some at 3, unless some are locked already."""
        if not self.is_held:
            seconds = self._testbed.rng.uniform(*HELD_SECONDS)
            self._holding = threading.Thread(target=self._hold, args=[seconds], daemon=True)
            self._holding.start()

    def wait(self) -> None:
        """Wait until no row is held."""
        if self._holding is not None:
            self._holding.join()

    def _hold(self, seconds: float) -> None:
        with (
            # the server may be unavailable, or read-only during a failover
            suppress(psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction),
            self._testbed.connected("person") as connection,
            connection.transaction(force_rollback=True),
        ):
            locked = 0
            give_up_at = time.monotonic() + seconds
            while not locked and time.monotonic() < give_up_at:
                locked = connection.execute(LOCK, [6, 1]).rowcount
            connection.execute(LOCK, [3, 3])
            time.sleep(seconds)
            connection.execute("SELECT 1")  # it was held to the end
            self._testbed.occurrences[LOCKS] += locked
