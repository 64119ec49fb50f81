"""A pool of worker processes with a watchdog.

The pool knows which workers are idle and which are busy with which job, replaces workers that ended, and converts the
ways in which a process can end into failures. Documents and their order are the concern of `document_pool`.
"""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.cpu_time import CpuWatch, out_of_cpu_time
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, out_of_memory
from notaflow_pipeline.ocr.workers.process import (
    Worker,
    WorkerEnded,
    create_scratch,
    remove_abandoned_files,
)
from notaflow_pipeline.ocr.workers.resource_limits import OUT_OF_MEMORY_STATUS, ResourceLimits
from notaflow_pipeline.ocr.workers.sandbox import forbid_tracing

if TYPE_CHECKING:
    from notaflow_pipeline.scratch_directory import ScratchDirectory

MAX_JOBS_PER_WORKER = 500
"""Number of jobs after which a worker is replaced, in case PDFium or Pillow leak memory on unusual files."""

MAX_FALSE_STARTS = 5
"""Maximum number of consecutive workers that end before they begin their job. After more, no worker is expected to
work here."""

WATCHDOG_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class Job:
    """One call of a function in a worker.

    `owner` is the document for which the job is done. `timeout_seconds` is the limit in CPU seconds of the worker and
    the programs that it starts; `max_idle_seconds` is the longest wall-clock time without use of CPU time. `then` is
    called with the result of the function, or with a failure as a value if the worker ended, and with the CPU seconds
    that the job took. If the worker was lost, these are its wall-clock seconds, up to `timeout_seconds`. `then` is
    called in another thread.
    """

    owner: object
    timeout_seconds: float
    max_idle_seconds: float
    function: Callable[..., object]
    arguments: tuple[object, ...]
    then: Callable[[object, float], None]


@dataclass(frozen=True)
class RunningJob:
    """The job of a worker and the measured time of the job."""

    job: Job
    watch: CpuWatch

    @property
    def lost_seconds(self) -> float:
        """Seconds that are counted for a job whose worker was lost."""
        return min(self.watch.clock_seconds, self.job.timeout_seconds)


class WorkerPool:
    """A pool of `size` worker processes. It is thread-safe; `close` ends all processes."""

    def __init__(self, size: int, scratch_bytes: int, resource_limits: ResourceLimits) -> None:
        self._size = size
        self._resource_limits = resource_limits
        self._scratch_bytes = scratch_bytes
        self._lock = threading.Lock()
        self._scratch: ScratchDirectory | None = None
        self._idle: list[Worker] = []
        self._busy: dict[Worker, RunningJob | None] = {}
        self._ending: list[threading.Thread] = []
        self._false_starts = 0
        self._closed = threading.Event()

    def start(self) -> None:
        """Starts the processes if they are not started, and does not wait for them: each needs about 0.3 s."""
        with self._lock:
            if self._closed.is_set():
                raise RuntimeError("the pool is closed")
            if self._scratch is None:
                forbid_tracing()
                self._scratch = create_scratch(self._scratch_bytes)
                self._idle = [Worker(self._scratch.path, self._resource_limits) for _ in range(self._size)]
                threading.Thread(target=self._watch_deadlines, name="worker watchdog", daemon=True).start()

    def reserve(self) -> Worker | None:
        """Reserves an idle worker for `assign` and returns it; None if all are busy."""
        with self._lock:
            if self._closed.is_set() or not self._idle:
                return None
            worker = self._idle.pop()
            self._busy[worker] = None
            return worker

    def assign(self, worker: Worker, job: Job) -> None:
        """Starts a job in a reserved worker and returns at once."""
        with self._lock:
            if worker not in self._busy:
                return  # the pool was closed in the meantime
            self._busy[worker] = RunningJob(job, CpuWatch(worker.pid))
        threading.Thread(target=self._run, args=(worker, job), name="worker job", daemon=True).start()

    def end_jobs_of(self, owner: object) -> None:
        """Ends the running jobs of an owner within a second; their `then` is not called."""
        with self._lock:
            for worker, running_job in list(self._busy.items()):
                if running_job is not None and running_job.job.owner is owner:
                    self._replace(worker)

    def close(self) -> None:
        """Ends all processes and removes their files. It must not be called from `then` of a job."""
        with self._lock:
            self._closed.set()
            workers = [*self._idle, *self._busy]
            ending = list(self._ending)
            self._idle.clear()
            self._busy.clear()
        for worker in workers:
            worker.kill()
        for thread in ending:
            thread.join()
        if self._scratch is not None:
            self._scratch.remove()

    def _run(self, worker: Worker, job: Job) -> None:
        """Runs a job, releases or replaces its worker, and passes the outcome on."""
        try:
            done = worker.run(job.timeout_seconds, job.function, *job.arguments)
        except WorkerEnded as ended:
            if not ended.job_began:
                self._assign_to_new_worker(worker, job)
                return
            done, outcome = None, _failure_of_exit(job, ended.status)
        with self._lock:
            if not self._is_running(worker, job):
                return  # the job was ended or the pool closed
            self._false_starts = 0
            running_job = self._busy[worker]
            if done is not None and worker.jobs < MAX_JOBS_PER_WORKER:
                del self._busy[worker]
                self._idle.append(worker)
            else:
                self._replace(worker)
        if done is not None:
            job.then(done.result, done.cpu_seconds)
        else:
            job.then(outcome, running_job.lost_seconds if running_job else 0.0)

    def _assign_to_new_worker(self, worker: Worker, job: Job) -> None:
        """Assigns a job to a new worker after its worker ended before the job began.

        The job is not the cause of such an end.
        """
        with self._lock:
            if not self._is_running(worker, job):
                return
            self._false_starts += 1
            is_over_limit = self._false_starts > MAX_FALSE_STARTS
            self._replace(worker)
            another = None if is_over_limit else self._idle.pop()
            if another is not None:
                self._busy[another] = None
        if another is None:
            job.then(EngineUnavailable(FALSE_STARTS_SENTENCE), 0.0)
        else:
            self.assign(another, job)

    def _watch_deadlines(self) -> None:
        """Ends jobs that have reached a limit."""
        checked_at = time.monotonic()
        while not self._closed.wait(WATCHDOG_SECONDS):
            passed_seconds = min(time.monotonic() - checked_at, 2 * WATCHDOG_SECONDS)
            checked_at = time.monotonic()
            with self._lock:
                running = [
                    (worker, running_job) for worker, running_job in self._busy.items() if running_job is not None
                ]
            for worker, running_job in running:
                job = running_job.job
                sentence = running_job.watch.overrun(passed_seconds, job.timeout_seconds, job.max_idle_seconds)
                if sentence is not None:
                    self._fail_overdue(worker, running_job, sentence)

    def _fail_overdue(self, worker: Worker, running_job: RunningJob, sentence: str) -> None:
        with self._lock:
            if not self._is_running(worker, running_job.job):
                return
            self._replace(worker)
        running_job.job.then(DocumentFailure(FailureKind.TIMEOUT, sentence), running_job.lost_seconds)

    def _is_running(self, worker: Worker, job: Job) -> bool:
        running_job = self._busy.get(worker)
        return running_job is not None and running_job.job is job

    def _replace(self, worker: Worker) -> None:
        """Adds a new idle worker, and ends the old one in a separate thread. The caller must hold the lock."""
        if self._scratch is None:
            raise RuntimeError("the pool was never started")
        del self._busy[worker]
        self._idle.append(Worker(self._scratch.path, self._resource_limits))
        self._ending = [thread for thread in self._ending if thread.is_alive()]
        ending = threading.Thread(target=_end_worker, args=(worker, self._scratch.path), name="worker end", daemon=True)
        ending.start()
        self._ending.append(ending)


def _end_worker(worker: Worker, scratch: Path) -> None:
    worker.kill()
    remove_abandoned_files(scratch)  # its successor may have checked before this worker was dead


def _failure_of_exit(job: Job, status: int) -> DocumentFailure:
    if status == -signal.SIGXCPU:
        return DocumentFailure(FailureKind.TIMEOUT, out_of_cpu_time(job.timeout_seconds))
    if status == OUT_OF_MEMORY_STATUS:
        return out_of_memory()
    return DocumentFailure(FailureKind.CRASHED, CRASHED_SENTENCE)


CRASHED_SENTENCE = (
    "The worker process was lost while it read this. Try again; if it happens at every attempt, the file is harmful, "
    "or the machine has too little memory for it."
)

FALSE_STARTS_SENTENCE = (
    "Worker processes end before they begin a job. Read their messages on the standard error stream, and check that the "
    "machine allows more processes and has free memory"
)
