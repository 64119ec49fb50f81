"""A pool of worker processes with a watchdog.

The pool knows which worker is idle and which is busy for whom, replaces workers that ended, and turns the ways in which a
process can end into failures. It knows nothing of documents and their order (`document_pool`).
"""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pebble import ProcessExpired

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.cpu_time import CpuWatch, out_of_cpu_time
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, out_of_memory
from notaflow_pipeline.ocr.workers.process import Done, Worker, end_group, make_scratch, remove_left_files
from notaflow_pipeline.ocr.workers.resource_limits import OUT_OF_MEMORY_STATUS, ResourceLimits
from notaflow_pipeline.ocr.workers.sandbox import forbid_tracing

if TYPE_CHECKING:
    from notaflow_pipeline.scratch_directory import ScratchDirectory

FALSE_STARTS_ALLOWED = 5
"""So many workers in a row that end before they begin their job mean that none can work here."""

PATROL_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class Job:
    """One call of a function in a worker.

    `owner` is whom it is done for. `timeout_seconds` are CPU seconds of the worker and the programs that it starts;
    `max_idle_seconds` is how long it may take without using CPU time. `then` gets the function's result, or as a value the
    failure that the worker's end amounts to, and the CPU seconds that it took: where the worker was lost, the seconds of
    the clock, up to `timeout_seconds`. It is called in some other thread.
    """

    owner: object
    timeout_seconds: float
    max_idle_seconds: float
    function: Callable[..., object]
    arguments: tuple[object, ...]
    then: Callable[[object, float], None]


@dataclass(frozen=True)
class Assignment:
    """A job that a worker has, and what is known of the time that it takes."""

    job: Job
    watch: CpuWatch

    @property
    def lost_seconds(self) -> float:
        """What a job counts whose worker was lost."""
        return min(self.watch.clock_seconds, self.job.timeout_seconds)


class WorkerPool:
    """`size` worker processes. Safe to use from several threads; `close` ends all processes."""

    def __init__(self, size: int, scratch_bytes: int, allowance: ResourceLimits) -> None:
        self._size = size
        self._allowance = allowance
        self._scratch_bytes = scratch_bytes
        self._lock = threading.Lock()
        self._scratch: ScratchDirectory | None = None
        self._idle: list[Worker] = []
        self._busy: dict[Worker, Assignment | None] = {}
        self._ending: list[threading.Thread] = []
        self._false_starts = 0
        self._closed = threading.Event()

    def start(self) -> None:
        """Start the processes, if that has not been done. Does not wait for them: each needs some 0.3 s."""
        with self._lock:
            if self._closed.is_set():
                raise RuntimeError("the reader is closed")
            if self._scratch is None:
                forbid_tracing()
                self._scratch = make_scratch(self._scratch_bytes)
                self._idle = [_start_worker(self._scratch.path, self._allowance) for _ in range(self._size)]
                threading.Thread(target=self._watch_deadlines, name="crew's patrol", daemon=True).start()

    def take(self) -> Worker | None:
        """An idle worker, reserved for `work`; None if all are busy."""
        with self._lock:
            if self._closed.is_set() or not self._idle:
                return None
            worker = self._idle.pop()
            self._busy[worker] = None
            return worker

    def work(self, worker: Worker, job: Job) -> None:
        """Have a worker that was taken do a job. Returns at once."""
        with self._lock:
            if worker not in self._busy:
                return  # closed in the meantime
            self._busy[worker] = Assignment(job, CpuWatch(worker.pid))
        try:
            future = worker.run(job.timeout_seconds, job.function, *job.arguments)
        except RuntimeError:  # it died while it was idle, which pebble takes for a broken pool
            self._try_another(worker, job)
        else:
            future.add_done_callback(partial(self._settle, worker, job))

    def drop(self, owner: object) -> None:
        """End whatever is being done for an owner, within a second; `then` is not called for it."""
        with self._lock:
            for worker, duty in list(self._busy.items()):
                if duty is not None and duty.job.owner is owner:
                    self._replace(worker)

    def close(self) -> None:
        """End all processes and remove their files. Not to be called from a job's `then`."""
        with self._lock:
            self._closed.set()
            workers = [*self._idle, *self._busy]
            ending = list(self._ending)
            self._idle.clear()
            self._busy.clear()
        for worker in workers:
            worker.stop()  # all of them first, for each takes its time to notice
        for worker in workers:
            worker.kill()
        for thread in ending:
            thread.join()
        if self._scratch is not None:
            self._scratch.remove()

    def _settle(self, worker: Worker, job: Job, future: Future[Done]) -> None:
        """Find out how a job ended, free or replace its worker, and pass the outcome on."""
        done: Done | None = None
        try:
            done = future.result()
            outcome = done.result
        except ProcessExpired as error:
            outcome = _crash(job, error)
            if error.pid is not None:
                end_group(error.pid)  # what it had started may have outlived it
        except (RuntimeError, CancelledError):
            self._try_another(worker, job)
            return
        with self._lock:
            if not self._has(worker, job):
                return  # dropped or closed
            self._false_starts = 0
            duty = self._busy[worker]
            if done is not None:
                del self._busy[worker]
                self._idle.append(worker)
            else:
                self._replace(worker)  # what it had locked or half written stays so: only a new pool is sound
        if done is not None:
            job.then(outcome, done.cpu_seconds)
        else:
            job.then(outcome, duty.lost_seconds if duty else 0.0)

    def _try_another(self, worker: Worker, job: Job) -> None:
        """The process ended before it began the job, which therefore is not to blame: give it to a new one."""
        with self._lock:
            if not self._has(worker, job):
                return
            self._false_starts += 1
            hopeless = self._false_starts > FALSE_STARTS_ALLOWED
            self._replace(worker)
            another = None if hopeless else self._idle.pop()
            if another is not None:
                self._busy[another] = None
        if another is None:
            job.then(EngineUnavailable(FALSE_STARTS_SENTENCE), 0.0)
        else:
            self.work(another, job)

    def _watch_deadlines(self) -> None:
        """End jobs that have reached a limit, and those whose end pebble has missed.

        It misses it if a worker dies idle in the moment in which it is given a job, if one exits with status 0, and if
        somebody else in this process collects its exit status: such a worker uses no CPU time any more.
        """
        looked = time.monotonic()
        while not self._closed.wait(PATROL_SECONDS):
            passed_seconds = min(time.monotonic() - looked, 2 * PATROL_SECONDS)
            looked = time.monotonic()
            with self._lock:
                duties = [(worker, duty) for worker, duty in self._busy.items() if duty is not None]
            for worker, duty in duties:
                if not worker.sound:
                    self._try_another(worker, duty.job)
                    continue
                job = duty.job
                sentence = duty.watch.overrun(passed_seconds, worker.pid, job.timeout_seconds, job.max_idle_seconds)
                if sentence is not None:
                    self._fail_overdue(worker, duty, sentence)

    def _fail_overdue(self, worker: Worker, duty: Assignment, sentence: str) -> None:
        with self._lock:
            if not self._has(worker, duty.job):
                return
            self._replace(worker)
        duty.job.then(DocumentFailure(FailureKind.TIMEOUT, sentence), duty.lost_seconds)

    def _has(self, worker: Worker, job: Job) -> bool:
        duty = self._busy.get(worker)
        return duty is not None and duty.job is job

    def _replace(self, worker: Worker) -> None:
        """Put a new worker among the idle ones, and end the old one in a thread of its own. Needs the lock."""
        if self._scratch is None:
            raise RuntimeError("the crew was never started")
        del self._busy[worker]
        self._idle.append(_start_worker(self._scratch.path, self._allowance))
        self._ending = [thread for thread in self._ending if thread.is_alive()]
        ending = threading.Thread(target=_end, args=(worker, self._scratch.path), name="worker's end", daemon=True)
        ending.start()
        self._ending.append(ending)


def _start_worker(scratch: Path, allowance: ResourceLimits) -> Worker:
    worker = Worker(scratch, allowance)
    worker.start()
    return worker


def _end(worker: Worker, scratch: Path) -> None:
    worker.kill()
    remove_left_files(scratch)  # its successor may have looked before it was dead


def _crash(job: Job, error: ProcessExpired) -> DocumentFailure:
    if error.exitcode == -signal.SIGXCPU:
        return DocumentFailure(FailureKind.TIMEOUT, out_of_cpu_time(job.timeout_seconds))
    if error.exitcode == OUT_OF_MEMORY_STATUS:
        return out_of_memory()
    return DocumentFailure(FailureKind.CRASHED, CRASHED_SENTENCE)


CRASHED_SENTENCE = (
    "The worker process was lost while it read this. Try again; if it happens at every attempt, the file is harmful, "
    "or the machine has too little memory for it."
)

FALSE_STARTS_SENTENCE = (
    "Worker processes end before they begin: see their messages on the standard error stream, and that the machine "
    "allows more processes and has memory left"
)
