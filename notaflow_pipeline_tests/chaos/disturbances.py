"""Disturbs workers and the database: each method causes one kind of disturbance."""

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, LiteralString

import psutil
import psycopg

from notaflow_pipeline_tests.chaos.testbed import LEASE_SECONDS, WORKERS, Testbed
from notaflow_pipeline_tests.faults.servers import crash_and_restart

if TYPE_CHECKING:
    import subprocess

KILLED = "workers killed"
OCR_KILLED = "OCR processes killed"
FROZEN = "workers frozen past their lease"
STOPPED = "workers terminated"
CUT = "connections cut"
RESTARTED = "database restarts (immediate)"
FAILED_OVER = "failovers to a read-only server"

DISTURBANCES = (KILLED, OCR_KILLED, FROZEN, STOPPED, CUT, RESTARTED, FAILED_OVER)

TERMINATE_BACKENDS: LiteralString = """
SELECT count(pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE application_name = 'notaflow_pipeline'
  AND pid <> pg_backend_pid()
"""


class Disturbances:
    """Disturbs workers and the database; `end_expired` and `end` end what lasts."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._read_only_until: float | None = None

    def kill(self) -> None:
        if worker := self._random_worker():
            worker.kill()
            worker.wait()
            self._testbed.occurrences[KILLED] += 1

    def kill_ocr_process(self) -> None:
        if worker := self._random_worker():
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(worker.pid).children()
                if children:
                    self._testbed.rng.choice(children).kill()
                    self._testbed.occurrences[OCR_KILLED] += 1

    def freeze(self) -> None:
        """Stop a worker for longer than its lease; it continues as if it still held its claims."""
        if len(self._testbed.frozen) < WORKERS - 1 and (worker := self._random_worker()):
            os.kill(worker.pid, signal.SIGSTOP)
            seconds = LEASE_SECONDS * self._testbed.rng.uniform(1.2, 2.5)
            self._testbed.frozen[worker.pid] = time.monotonic() + seconds
            self._testbed.occurrences[FROZEN] += 1

    def stop(self) -> None:
        if worker := self._random_worker():
            worker.terminate()
            self._testbed.occurrences[STOPPED] += 1

    def cut_connections(self) -> None:
        with self._testbed.connected() as connection:
            row = connection.execute(TERMINATE_BACKENDS).fetchone()
            self._testbed.occurrences[CUT] += row[0] if row else 0

    def restart_database(self) -> None:
        """Restart it without a shutdown, with recovery from the log at the start."""
        crash_and_restart(self._testbed.folder / "home")
        self._testbed.occurrences[RESTARTED] += 1

    def fail_over(self) -> None:
        """Make the server refuse to write for some seconds, as after a failover."""
        if self._read_only_until is None:
            self._set_read_only("on")
            self._read_only_until = time.monotonic() + self._testbed.rng.uniform(3, 6)

    def end_expired(self) -> None:
        """End disturbances that have lasted long enough."""
        self._resume()
        if self._read_only_until is not None and time.monotonic() > self._read_only_until:
            self._set_read_only("off")
            self._read_only_until = None
            self._testbed.occurrences[FAILED_OVER] += 1

    def end(self) -> None:
        """End all disturbances."""
        self._resume(all_workers=True)
        if self._read_only_until is not None:
            self._set_read_only("off")
            self._read_only_until = None

    def _random_worker(self) -> "subprocess.Popen[bytes] | None":
        running = [one for one in self._testbed.workers if one.poll() is None and one.pid not in self._testbed.frozen]
        return self._testbed.rng.choice(running) if running else None

    def _resume(self, *, all_workers: bool = False) -> None:
        for pid, until in list(self._testbed.frozen.items()):
            if all_workers or time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                del self._testbed.frozen[pid]

    def _set_read_only(self, value: LiteralString) -> None:
        with self._testbed.connected() as connection:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = " + value)
            connection.execute("SELECT pg_reload_conf()")
            with suppress(psycopg.OperationalError):
                connection.execute(TERMINATE_BACKENDS)
