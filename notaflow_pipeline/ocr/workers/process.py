"""A worker process that can be ended at any moment, with every program that it started.

Each worker is a pebble pool of one process. A shared pool has three faults: it kills a worker for a cancelled task that
the worker may have just finished, and loses the next task with it; each cancelled task in its queue costs a worker; and
a worker that the kernel kills may hold the shared lock. A pool of one process has none of them.
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

MAX_TASKS_PER_WORKER = 500
"""Number of tasks after which a worker is replaced, in case PDFium or Pillow leak memory on unusual files."""

MEMORY_CHECK_SECONDS = 0.1
"""Interval of the memory check. A decompression bomb allocates about 100 MB in that time; a check takes 20
microseconds."""

_starting = threading.Lock()


@contextmanager
def _without_secrets() -> Iterator[None]:
    """Makes multiprocessing start processes with a reduced environment. It must not be entered twice at the same
    time."""
    start = util.spawnv_passfds
    util.spawnv_passfds = start_without_secrets
    try:
        yield
    finally:
        util.spawnv_passfds = start


class WorkerProcess(SpawnProcess):
    """A spawned process without the main module and the secrets of its parent. It ends together with its children."""

    def start(self) -> None:
        """Starts the process without importing `__main__` again and without the environment of this process.

        Multiprocessing would import `__main__` in each worker: this loads Dagster (2 s) in a run worker, and runs a
        script without an `if __name__` guard again. The workers do not need it. Multiprocessing has no option for
        another environment, so it is replaced for a moment; a process that other code starts in that moment gets the
        reduced environment too.
        """
        with _starting, _without_secrets():
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main

    def terminate(self) -> None:
        """Kills the worker and the programs that it runs (Tesseract) at once. The worker has nothing to save."""
        if self.pid is not None and self.is_alive():
            kill_process_group(self.pid)
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # the worker may not have its own process group yet


class WorkerContext(SpawnContext):
    """Multiprocessing context for pebble: processes are spawned, because the parent has threads and must not be forked.

    It keeps references to the locks that it creates. Pebble drops them before it kills the processes that use them,
    which unlinks their semaphores, and a process that is still starting would print that it cannot find them.

    `latest` is the process that was created last.
    """

    latest: WorkerProcess | None = None

    def __init__(self) -> None:
        super().__init__()
        self._locks: list[synchronize.RLock] = []

    def Process(self, *arguments: Any, **options: Any) -> WorkerProcess:  # type: ignore[override]  # noqa: N802
        """Creates a process that is not yet started."""
        self.latest = WorkerProcess(*arguments, **options)
        return self.latest

    def RLock(self) -> synchronize.RLock:  # noqa: N802 - multiprocessing's name
        """Creates a lock that exists until `forget_locks`."""
        lock = super().RLock()
        self._locks.append(lock)
        return lock

    def forget_locks(self) -> None:
        """Releases the locks, after all processes that use them have ended."""
        self._locks.clear()


@dataclass(frozen=True)
class Done:
    """Result of a task, and the CPU seconds of the task and of the programs that it started."""

    result: Any
    cpu_seconds: float


class Worker:
    """One process that runs one task at a time.

    `scratch` is the folder for the temporary files of all workers, `resource_limits` the resource limits of each worker.
    """

    def __init__(self, scratch: Path, resource_limits: ResourceLimits) -> None:
        self._context = WorkerContext()
        self._pool = ProcessPool(
            max_workers=1,
            max_tasks=MAX_TASKS_PER_WORKER,
            initializer=initialise_worker,
            initargs=(scratch, resource_limits),
            context=self._context,
        )

    def start(self) -> None:
        """Starts the process before its first task, and does not wait for it."""
        with _starting, _without_secrets():
            resource_tracker.ensure_running()  # multiprocessing's own process must not get the whole environment
        _ = self._pool.active  # pebble starts its processes at the first access to the pool

    def run(self, timeout_seconds: float, function: Callable[..., object], *arguments: object) -> Future[Done]:
        """Starts a task that may take `timeout_seconds` of CPU time. The caller must enforce the limit.

        The future raises `pebble.ProcessExpired` if the process ends, or `RuntimeError` if it ended before the task
        began. After a `RuntimeError` this worker cannot be used any more.
        """
        return self._pool.schedule(_bounded, args=(timeout_seconds, function, *arguments))

    @property
    def pid(self) -> int:
        """Id of the process; 0 before it is started."""
        process = self._context.latest
        return process.pid or 0 if process else 0

    @property
    def is_healthy(self) -> bool:
        """Whether the pebble pool of this worker still works. If not, a task may never end."""
        return bool(self._pool.active)

    def stop(self) -> None:
        """Stops accepting tasks and returns at once; `kill` must follow."""
        self._pool.stop()  # type: ignore[no-untyped-call]

    def kill(self) -> None:
        """Ends the process and its children, which takes about 0.2 s. It must not be called from the callback of a
        task."""
        self.stop()
        self._pool.join()
        self._context.forget_locks()


def kill_process_group(leader_pid: int) -> None:
    """Kills the process group of a worker: the worker, if it still runs, and all programs that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader_pid, signal.SIGKILL)


def create_scratch(min_bytes: int) -> ScratchDirectory:
    """Creates a folder for temporary files, in memory if `min_bytes` are free there.

    Docker gives /dev/shm 64 MB unless it is configured otherwise; a few large pages fill that.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it belongs to this user alone
    in_memory = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= min_bytes
    return ScratchDirectory(memory if in_memory else None)


def initialise_worker(scratch: Path, resource_limits: ResourceLimits) -> None:
    """Initialises a worker: a process group, sandbox, resource limits, a folder for temporary files, and a guardian
    thread."""
    os.setsid()
    enter_sandbox()
    apply_resource_limits(resource_limits)
    remove_abandoned_files(scratch)
    own_folder = scratch / str(os.getpid())
    own_folder.mkdir(exist_ok=True)
    tempfile.tempdir = str(own_folder)
    _guard(scratch, own_folder, resource_limits)
    _import_engine()


def _bounded(seconds: float, function: Callable[..., object], *arguments: object) -> Done:
    limit_cpu_seconds(seconds)
    began = cpu_seconds()
    result = function(*arguments)
    return Done(result, cpu_seconds() - began)


def _guard(scratch: Path, own_folder: Path, resource_limits: ResourceLimits) -> None:
    """Ends the process group of this worker on SIGTERM, when its parent has ended, or when it is nearly out of memory.

    A thread waits for these events, because Python runs signal handlers only between two instructions of the main
    thread, and the main thread may be inside PDFium for a long time. The C-level signal handler writes to the wake-up
    pipe at once.
    """
    parent = parent_process()
    if parent is None:
        raise RuntimeError("a worker must be started by multiprocessing")
    terminated, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGTERM, partial(_kill_own_group, own_folder))

    def wait() -> None:
        while not (ready := connection.wait([parent.sentinel, terminated], MEMORY_CHECK_SECONDS)):
            if is_nearly_out_of_memory(resource_limits):
                os._exit(OUT_OF_MEMORY_STATUS)
        _kill_own_group(scratch if parent.sentinel in ready else own_folder)

    threading.Thread(target=wait, name="guardian", daemon=True).start()


def _kill_own_group(files: Path, _signal: int | None = None, _frame: FrameType | None = None) -> None:
    shutil.rmtree(files, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def remove_abandoned_files(scratch: Path) -> None:
    """Removes the temporary files of workers that were killed."""
    for folder in scratch.glob("[0-9]*"):
        try:
            os.kill(int(folder.name), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)


def _import_engine() -> None:
    """Imports pytesseract without pandas and numpy, which it imports if they are installed: 0.4 s and 60 MB per
    worker."""
    blocked: dict[str, Any] = {name: None for name in ("pandas", "numpy") if name not in sys.modules}
    sys.modules.update(blocked)
    try:
        import pytesseract  # noqa: F401 - imported here, without them, before the engine imports it
    finally:
        for name in blocked:
            del sys.modules[name]
