"""A worker process that can be ended at any moment, with everything that it started.

Each worker is a pebble pool of one. In a shared pool, a worker is killed for a cancelled task that it may have just finished,
and takes another task with it; queued tasks that are cancelled cost a worker each; and a worker that the kernel kills can
take the shared lock with it. None of this can happen in a pool of one.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, parent_process, resource_tracker, synchronize, util
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from pebble import ProcessPool

from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.workers.resource_limits import (
    OUT_OF_MEMORY_STATUS,
    ResourceLimits,
    apply_resource_limits,
    is_nearly_out_of_memory,
    limit_cpu_seconds,
    start_without_secrets,
)
from notaflow_pipeline.ocr.workers.sandbox import enter_sandbox
from notaflow_pipeline.scratch_directory import ScratchDirectory

PAGES_BEFORE_RENEWAL = 500
"""A worker is replaced after so many tasks, in case PDFium or Pillow leak on odd files."""

MEMORY_LOOK_SECONDS = 0.1
"""A bomb fills some 100 MB in that time, and a look takes 20 microseconds."""

_starting = threading.Lock()


@contextmanager
def _without_secrets() -> Iterator[None]:
    """Have multiprocessing start processes with a small environment. Not to be entered twice at a time."""
    start = util.spawnv_passfds
    util.spawnv_passfds = start_without_secrets
    try:
        yield
    finally:
        util.spawnv_passfds = start


class WorkerProcess(SpawnProcess):
    """A spawned process that starts without the parent's main module and secrets, and ends together with its children."""

    def start(self) -> None:
        """Start without re-importing `__main__`, and without this process's environment.

        Multiprocessing would import it again in each worker: 2 s of Dagster for a run worker, and another run for a
        script without its `if __name__` guard. The workers need nothing from it. Nor has multiprocessing a way to give
        a process another environment; one that somebody else starts in that moment gets the smaller one too.
        """
        with _starting, _without_secrets():
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main

    def terminate(self) -> None:
        """Kill the worker and what it runs (Tesseract), at once: there is nothing in it to be saved."""
        if self.pid is not None and self.is_alive():
            end_group(self.pid)
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # it may not have its own group yet


class WorkerContext(SpawnContext):
    """Multiprocessing as pebble is to use it: spawned, because the parent has threads and must not be forked.

    It keeps the locks that it makes. Pebble drops them before it kills the processes that use them, which unlinks their
    semaphores, and a process that is still starting would print that it cannot find them.

    `latest` is the process that was made last.
    """

    latest: WorkerProcess | None = None

    def __init__(self) -> None:
        super().__init__()
        self._locks: list[synchronize.RLock] = []

    def Process(self, *arguments: Any, **options: Any) -> WorkerProcess:  # type: ignore[override]  # noqa: N802
        """Make a process that is to be started."""
        self.latest = WorkerProcess(*arguments, **options)
        return self.latest

    def RLock(self) -> synchronize.RLock:  # noqa: N802 - multiprocessing's name
        """Make a lock that exists until `forget_locks`."""
        lock = super().RLock()
        self._locks.append(lock)
        return lock

    def forget_locks(self) -> None:
        """Let the locks go, when no process uses them any more."""
        self._locks.clear()


@dataclass(frozen=True)
class Done:
    """The result of a task, and the CPU seconds that it took together with the programs that it started."""

    result: Any
    cpu_seconds: float


class Worker:
    """One process that does one task at a time.

    `scratch` is the folder for the temporary files of all workers, `allowance` what each may use.
    """

    def __init__(self, scratch: Path, allowance: ResourceLimits) -> None:
        self._context = WorkerContext()
        self._pool = ProcessPool(
            max_workers=1,
            max_tasks=PAGES_BEFORE_RENEWAL,
            initializer=initialise_worker,
            initargs=(scratch, allowance),
            context=self._context,
        )

    def start(self) -> None:
        """Start the process now rather than with the first task, and do not wait for it."""
        with _starting, _without_secrets():
            resource_tracker.ensure_running()  # multiprocessing's own process, which would have the whole environment
        _ = self._pool.active  # pebble starts its processes when it is first asked for anything

    def run(self, timeout_seconds: float, function: Callable[..., object], *arguments: object) -> Future[Done]:
        """Do a task that may take so many CPU seconds, which the caller must watch.

        The end of the process raises `pebble.ProcessExpired`, or `RuntimeError` if it ended before the task began: then
        this worker is of no use any more.
        """
        return self._pool.schedule(_bounded, args=(timeout_seconds, function, *arguments))

    @property
    def pid(self) -> int:
        """The process's id; 0 before it was started."""
        process = self._context.latest
        return process.pid or 0 if process else 0

    @property
    def sound(self) -> bool:
        """Whether its pool still works; if not, a task given to it may never end."""
        return bool(self._pool.active)

    def stop(self) -> None:
        """Take no more tasks. Returns at once; `kill` must follow."""
        self._pool.stop()  # type: ignore[no-untyped-call]

    def kill(self) -> None:
        """End the process and its children; takes some 0.2 s. Not to be called from a task's callback."""
        self.stop()
        self._pool.join()
        self._context.forget_locks()


def end_group(leader_pid: int) -> None:
    """Kill a worker's process group: the worker if it is still there, and whatever it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader_pid, signal.SIGKILL)


def make_scratch(least_bytes: int) -> ScratchDirectory:
    """A folder for temporary files, in memory if `least_bytes` are free there.

    Docker gives /dev/shm 64 MB unless it is told otherwise, which a few large pages fill.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is this user's alone
    in_memory = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= least_bytes
    return ScratchDirectory(memory if in_memory else None)


def initialise_worker(scratch: Path, allowance: ResourceLimits) -> None:
    """What a worker does first: a process group of its own, temporary files where they are found, and a guardian."""
    os.setsid()
    enter_sandbox()
    apply_resource_limits(allowance)
    remove_left_files(scratch)
    own = scratch / str(os.getpid())
    own.mkdir(exist_ok=True)
    tempfile.tempdir = str(own)
    _guard(scratch, own, allowance)
    _import_engine()


def _bounded(seconds: float, function: Callable[..., object], *arguments: object) -> Done:
    limit_cpu_seconds(seconds)
    began = cpu_seconds()
    result = function(*arguments)
    return Done(result, cpu_seconds() - began)


def _guard(scratch: Path, own: Path, allowance: ResourceLimits) -> None:
    """End this worker's whole group when it is told to (SIGTERM) or when its parent is gone, however that ended.

    It ends too when it grows out of its memory. A thread waits for all of it, since Python runs signal handlers only
    between two instructions of the main thread, and that one may be inside PDFium for long. The wake-up pipe is written
    by the C level handler at once.
    """
    parent = parent_process()
    if parent is None:
        raise RuntimeError("a worker is started by multiprocessing")
    told, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, partial(_end_now, own))

    def wait() -> None:
        while not (ready := connection.wait([parent.sentinel, told], MEMORY_LOOK_SECONDS)):
            if is_nearly_out_of_memory(allowance):
                os._exit(OUT_OF_MEMORY_STATUS)
        _end_now(scratch if parent.sentinel in ready else own)

    threading.Thread(target=wait, name="guardian", daemon=True).start()


def _end_now(files: Path, _signal: int | None = None, _frame: FrameType | None = None) -> None:
    shutil.rmtree(files, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def remove_left_files(scratch: Path) -> None:
    """Clear up after workers that were killed."""
    for folder in scratch.glob("[0-9]*"):
        try:
            os.kill(int(folder.name), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)


def _import_engine() -> None:
    """Import pytesseract without pandas and numpy, which it takes if it finds them: 0.4 s and 60 MB a worker."""
    barred: dict[str, Any] = {name: None for name in ("pandas", "numpy") if name not in sys.modules}
    sys.modules.update(barred)
    try:
        import pytesseract  # noqa: F401 - imported here so that it is there, and light, when the engine asks for it
    finally:
        for name in barred:
            del sys.modules[name]
