"""Measures the outcome of documents whose workers are killed or frozen, with each queue; every wait is bounded."""

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.systems import Installed, send_start_signal
from benchmarks.peers.worker_side import FREEZE, POISON

MAX_EXECUTIONS = 10
"""So many executions of a poisoned document are enough to say that there is no end."""

LEASE_SECONDS = 2.0
WAIT_SECONDS = 45.0


@dataclass(frozen=True)
class Correctness:
    """The results of one queue; None if a situation was not reached in time."""

    system: str
    poison_executions: int
    poison_ended: bool
    kill_documents: int
    kill_begun_twice: int
    kill_finished_twice: int
    kill_lost: int
    kill_seconds_to_end: float | None
    late_write_ended_document: bool | None
    late_text_stands: bool | None


class _EventLog:
    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name

    def events(self) -> list[tuple[str, str, int]]:
        if not self.path.exists():
            return []
        lines = (line.split() for line in self.path.read_text(encoding="utf-8").splitlines())
        return [(event, document, int(pid)) for event, document, pid, _ in lines]

    def count(self, event: str) -> Counter[str]:
        return Counter(document for what, document, _ in self.events() if what == event)


def measure_correctness(installed: Installed, documents: int) -> Correctness:
    """Measure one queue."""
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder:
        executions, ended = _poison(installed, _EventLog(Path(folder), "poison"))
        begun, finished, lost, seconds = _kill_one_of_two(installed, _EventLog(Path(folder), "kill"), documents)
        accepted, stands = _late_write(installed, _EventLog(Path(folder), "late"))
    return Correctness(
        installed.system.name, executions, ended, documents, begun, finished, lost, seconds, accepted, stands
    )


def _poison(installed: Installed, event_log: _EventLog) -> tuple[int, bool]:
    """Start worker after worker on a document that kills each; return its executions, and whether it was given up."""
    installed.fill(finished=0, failed=0, waiting=0)
    installed.run("enqueue", count=1)
    order = installed.order("serve", lease_seconds=LEASE_SECONDS, behaviour=POISON, event_log=str(event_log.path))
    for _ in range(MAX_EXECUTIONS):
        before = len(event_log.events())
        with installed.workers(order) as (worker,):
            send_start_signal([worker])
            _until(lambda: worker.poll() is not None, LEASE_SECONDS * 5)
        if len(event_log.events()) == before:
            break
        time.sleep(LEASE_SECONDS * 1.2)
        installed.run("recover", lease_seconds=LEASE_SECONDS)
    return len(event_log.events()), installed.is_finished()


def _kill_one_of_two(installed: Installed, event_log: _EventLog, documents: int) -> tuple[int, int, int, float | None]:
    """Kill one of two workers in the middle; return begun twice, finished twice, lost, and seconds until all was done."""
    installed.fill(finished=0, failed=0, waiting=0)
    installed.run("enqueue", count=documents)
    order = installed.order(
        "serve", batch=5, lease_seconds=LEASE_SECONDS, job_seconds=0.05, event_log=str(event_log.path)
    )
    seconds = None
    with installed.workers(order, order) as workers:
        send_start_signal(workers)
        _until(lambda: event_log.count("end").total() >= documents / 3, WAIT_SECONDS)
        workers[0].kill()
        killed = time.monotonic()
        while time.monotonic() - killed < WAIT_SECONDS:
            if installed.is_finished():
                seconds = time.monotonic() - killed
                break
            time.sleep(0.2)
            installed.run("recover", lease_seconds=LEASE_SECONDS)
        time.sleep(0.5)
    begun, ended = event_log.count("start"), event_log.count("end")
    twice = [sum(number > 1 for number in counter.values()) for counter in (begun, ended)]
    return twice[0], twice[1], documents - len(ended), seconds


def _late_write(installed: Installed, event_log: _EventLog) -> tuple[bool | None, bool | None]:
    """Freeze a worker past its lease, let another take the document, resume the first while the second still works.

    Returns whether the first worker's end ended the document in the queue, and whether it could store its text.
    """
    installed.fill(finished=0, failed=0, waiting=0)
    installed.run("enqueue", count=1)
    common = {"lease_seconds": LEASE_SECONDS, "event_log": str(event_log.path)}
    frozen = installed.order("serve", behaviour=FREEZE, **common)
    with installed.workers(frozen) as (first,), _resumed(first.pid):
        send_start_signal([first])
        if not _until(lambda: len(event_log.events()) == 1, 10):
            return None, None
        time.sleep(LEASE_SECONDS * 1.5)
        installed.run("recover", lease_seconds=LEASE_SECONDS)
        # it takes the job over only when it holds the first one's heartbeat for old
        taking_over = installed.order("serve", job_seconds=6, **common)
        with installed.workers(taking_over) as (other,):
            send_start_signal([other])
            if not _until(lambda: event_log.count("start").total() == 2, 10):
                return None, None
            os.kill(first.pid, signal.SIGCONT)
            _until(lambda: any(pid == first.pid and what != "start" for what, _, pid in event_log.events()), 3)
            time.sleep(1)
            events = event_log.events()
            if any(pid == other.pid and what != "start" for what, _, pid in events):
                return None, None
            stored = any(pid == first.pid and what == "end" for what, _, pid in events)
            return installed.is_finished(), stored


@contextmanager
def _resumed(pid: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
