"""Disturbs workers and the database: each method causes one kind of disturbance."""

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, LiteralString

import psutil
import psycopg

from notaflow_pipeline_tests.chaos.runner import LEASE_SECONDS, WORKERS, World
from notaflow_pipeline_tests.faults.servers import pull_the_plug

if TYPE_CHECKING:
    import subprocess

KILLED = "workers killed"
OCR_KILLED = "OCR processes killed"
FROZEN = "workers frozen past their lease"
STOPPED = "workers told to stop"
CUT = "connections cut"
RESTARTED = "database restarts (immediate)"
FAILED_OVER = "failovers to a read-only server"

HARMS = (KILLED, OCR_KILLED, FROZEN, STOPPED, CUT, RESTARTED, FAILED_OVER)

TERMINATE_BACKENDS: LiteralString = """
SELECT count(pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE application_name = 'notaflow_pipeline'
  AND pid <> pg_backend_pid()
"""


class Actors:
    """Disturbs workers and the database; `go_on` and `end` end what lasts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._read_only_until: float | None = None

    def kill(self) -> None:
        if victim := self._victim():
            victim.kill()
            victim.wait()
            self._world.done[KILLED] += 1

    def kill_ocr_process(self) -> None:
        if victim := self._victim():
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(victim.pid).children()
                if children:
                    self._world.chance.choice(children).kill()
                    self._world.done[OCR_KILLED] += 1

    def freeze(self) -> None:
        """Stop a worker for longer than its lease; it continues as if it still held its claims."""
        if len(self._world.frozen) < WORKERS - 1 and (victim := self._victim()):
            os.kill(victim.pid, signal.SIGSTOP)
            seconds = LEASE_SECONDS * self._world.chance.uniform(1.2, 2.5)
            self._world.frozen[victim.pid] = time.monotonic() + seconds
            self._world.done[FROZEN] += 1

    def stop(self) -> None:
        if victim := self._victim():
            victim.terminate()
            self._world.done[STOPPED] += 1

    def cut_connections(self) -> None:
        with self._world.connected() as connection:
            row = connection.execute(TERMINATE_BACKENDS).fetchone()
            self._world.done[CUT] += row[0] if row else 0

    def restart_database(self) -> None:
        """Restart it without a shutdown, with recovery from the log at the start."""
        pull_the_plug(self._world.folder / "home")
        self._world.done[RESTARTED] += 1

    def fail_over(self) -> None:
        """Make the server refuse to write for some seconds, as after a failover."""
        if self._read_only_until is None:
            self._set_read_only("on")
            self._read_only_until = time.monotonic() + self._world.chance.uniform(3, 6)

    def go_on(self) -> None:
        """End disturbances that have lasted long enough."""
        self._thaw()
        if self._read_only_until is not None and time.monotonic() > self._read_only_until:
            self._set_read_only("off")
            self._read_only_until = None
            self._world.done[FAILED_OVER] += 1

    def end(self) -> None:
        """End all disturbances."""
        self._thaw(everybody=True)
        if self._read_only_until is not None:
            self._set_read_only("off")
            self._read_only_until = None

    def _victim(self) -> "subprocess.Popen[bytes] | None":
        awake = [one for one in self._world.workers if one.poll() is None and one.pid not in self._world.frozen]
        return self._world.chance.choice(awake) if awake else None

    def _thaw(self, *, everybody: bool = False) -> None:
        for pid, until in list(self._world.frozen.items()):
            if everybody or time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                del self._world.frozen[pid]

    def _set_read_only(self, value: LiteralString) -> None:
        with self._world.connected() as connection:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = " + value)
            connection.execute("SELECT pg_reload_conf()")
            with suppress(psycopg.OperationalError):
                connection.execute(TERMINATE_BACKENDS)
