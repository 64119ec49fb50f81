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

from benchmarks.peers.systems import Installed, go
from benchmarks.peers.worker_side import FREEZE, POISON

MAX_EXECUTIONS = 10
"""So many executions of a poisoned document are enough to say that there is no end."""

LEASE_SECONDS = 2.0
WAIT_SECONDS = 45.0


@dataclass(frozen=True)
class Correctness:
    """The sheet of one queue; None is a question that got no answer in its time."""

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


class _Diary:
    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name

    def events(self) -> list[tuple[str, str, int]]:
        if not self.path.exists():
            return []
        lines = (line.split() for line in self.path.read_text(encoding="utf-8").splitlines())
        return [(event, document, int(pid)) for event, document, pid, _ in lines]

    def count(self, event: str) -> Counter[str]:
        return Counter(document for what, document, _ in self.events() if what == event)


def examine(installed: Installed, documents: int) -> Correctness:
    """Ask all questions of one queue."""
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder:
        executions, ended = _poison(installed, _Diary(Path(folder), "poison"))
        begun, finished, lost, seconds = _kill_one_of_two(installed, _Diary(Path(folder), "kill"), documents)
        accepted, stands = _late_write(installed, _Diary(Path(folder), "late"))
    return Correctness(
        installed.system.name, executions, ended, documents, begun, finished, lost, seconds, accepted, stands
    )


def _poison(installed: Installed, diary: _Diary) -> tuple[int, bool]:
    """Start worker after worker on a document that kills each; return its executions, and whether it was given up."""
    installed.fill(finished=0, failed=0, waiting=0)
    installed.run("enqueue", count=1)
    order = installed.order("serve", lease_seconds=LEASE_SECONDS, behaviour=POISON, diary=str(diary.path))
    for _ in range(MAX_EXECUTIONS):
        before = len(diary.events())
        with installed.workers(order) as (worker,):
            go([worker])
            _until(lambda: worker.poll() is not None, LEASE_SECONDS * 5)
        if len(diary.events()) == before:
            break
        time.sleep(LEASE_SECONDS * 1.2)
        installed.run("rescue", lease_seconds=LEASE_SECONDS)
    return len(diary.events()), installed.is_finished()


def _kill_one_of_two(installed: Installed, diary: _Diary, documents: int) -> tuple[int, int, int, float | None]:
    """Kill one of two workers in the middle; return begun twice, finished twice, lost, and seconds until all was done."""
    installed.fill(finished=0, failed=0, waiting=0)
    installed.run("enqueue", count=documents)
    order = installed.order("serve", batch=5, lease_seconds=LEASE_SECONDS, job_seconds=0.05, diary=str(diary.path))
    seconds = None
    with installed.workers(order, order) as workers:
        go(workers)
        _until(lambda: diary.count("end").total() >= documents / 3, WAIT_SECONDS)
        workers[0].kill()
        killed = time.monotonic()
        while time.monotonic() - killed < WAIT_SECONDS:
            if installed.is_finished():
                seconds = time.monotonic() - killed
                break
            time.sleep(0.2)
            installed.run("rescue", lease_seconds=LEASE_SECONDS)
        time.sleep(0.5)
    begun, ended = diary.count("start"), diary.count("end")
    twice = [sum(number > 1 for number in counter.values()) for counter in (begun, ended)]
    return twice[0], twice[1], documents - len(ended), seconds


def _late_write(installed: Installed, diary: _Diary) -> tuple[bool | None, bool | None]:
    """Freeze a worker past its lease, let another take the document, thaw the first while the second still works.

    Returns whether the first worker's end ended the document in the queue, and whether it could store its text.
    """
    installed.fill(finished=0, failed=0, waiting=0)
    installed.run("enqueue", count=1)
    common = {"lease_seconds": LEASE_SECONDS, "diary": str(diary.path)}
    frozen = installed.order("serve", behaviour=FREEZE, **common)
    with installed.workers(frozen) as (first,), _thawed(first.pid):
        go([first])
        if not _until(lambda: len(diary.events()) == 1, 10):
            return None, None
        time.sleep(LEASE_SECONDS * 1.5)
        installed.run("rescue", lease_seconds=LEASE_SECONDS)
        # it takes the job over only when it holds the first one's heartbeat for old
        taking_over = installed.order("serve", job_seconds=6, **common)
        with installed.workers(taking_over) as (other,):
            go([other])
            if not _until(lambda: diary.count("start").total() == 2, 10):
                return None, None
            os.kill(first.pid, signal.SIGCONT)
            _until(lambda: any(pid == first.pid and what != "start" for what, _, pid in diary.events()), 3)
            time.sleep(1)
            events = diary.events()
            if any(pid == other.pid and what != "start" for what, _, pid in events):
                return None, None
            stored = any(pid == first.pid and what == "end" for what, _, pid in events)
            return installed.is_finished(), stored


@contextmanager
def _thawed(pid: int) -> Iterator[None]:
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
