"""A worker process that can be ended at any moment, with every program that it started.

A worker is a Python program of its own, because the parent has threads and must not be forked, and because a worker must get
neither the main module nor the whole environment of its parent. Jobs and results pass through a socket. When the socket is
closed, the worker has ended.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe, connection
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.workers.resource_limits import (
    OUT_OF_MEMORY_STATUS,
    ResourceLimits,
    allowlisted_environment,
    apply_resource_limits,
    is_nearly_out_of_memory,
    limit_cpu_seconds,
)
from notaflow_pipeline.ocr.workers.sandbox import enter_sandbox
from notaflow_pipeline.scratch_directory import ScratchDirectory

MEMORY_CHECK_SECONDS = 0.1
"""Interval of the memory check. A decompression bomb allocates about 100 MB in that time; a check takes 20
microseconds."""

PROGRAM = "from notaflow_pipeline.ocr.workers.process import run_jobs; run_jobs()"


@dataclass(frozen=True)
class JobResult:
    """Result of a job, and the CPU seconds of the job and of the programs that it started."""

    result: Any
    cpu_seconds: float


class WorkerEnded(Exception):
    """A worker ended with this exit status (a negative one is a signal), before or after it began its job."""

    def __init__(self, status: int, *, job_began: bool) -> None:
        super().__init__(f"a worker ended with status {status}")
        self.status = status
        self.job_began = job_began


class Worker:
    """One process that runs one job at a time. It starts in about 0.3 s, for which the constructor does not wait.

    `scratch` is the folder for the temporary files of all workers, `resource_limits` the resource limits of each worker.
    """

    def __init__(self, scratch: Path, resource_limits: ResourceLimits) -> None:
        self.jobs = 0
        self._connection, theirs = Pipe()
        self._process: subprocess.Popen[bytes] | None = None
        with theirs, suppress(OSError):  # no process, or one that has ended already: the first job reports it
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, str(theirs.fileno()), str(os.getpid())],
                env=allowlisted_environment(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # its process group is killed with all programs; a terminal sends it no signals
            )
            self._connection.send((scratch, resource_limits))

    def run(self, timeout_seconds: float, function: Callable[..., object], *arguments: object) -> JobResult:
        """Runs a job, which may take `timeout_seconds` of CPU time, and waits for its end. The caller must enforce the
        limit.

        Raises `WorkerEnded` if the process ended. This worker cannot be used again.
        """
        job_began = False
        try:
            self._connection.send((timeout_seconds, function, arguments))
            self._connection.recv()
            job_began = True
            self.jobs += 1
            done: JobResult = self._connection.recv()
        except (EOFError, OSError):
            raise WorkerEnded(self.kill(), job_began=job_began) from None
        return done

    @property
    def pid(self) -> int:
        """Id of the process; 0 if it could not be started."""
        return self._process.pid if self._process else 0

    def kill(self) -> int:
        """Kills the process and the programs that it runs (Tesseract), and returns its exit status. The worker has nothing
        to save."""
        if self._process is None:
            return -signal.SIGKILL
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # also when the process has ended: its programs may still run
        return self._process.wait()


def create_scratch(min_bytes: int) -> ScratchDirectory:
    """Creates a folder for temporary files, in memory if `min_bytes` are free there.

    Docker gives /dev/shm 64 MB unless it is configured otherwise; a few large pages fill that.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it belongs to this user alone
    in_memory = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= min_bytes
    return ScratchDirectory(memory if in_memory else None)


def run_jobs() -> None:
    """Runs the jobs of the parent; the program of a worker."""
    descriptor, parent_pid = map(int, sys.argv[1:])
    os.set_inheritable(descriptor, False)  # the parent would wait for programs that hold the socket open
    with connection.Connection(descriptor) as parent:
        scratch, resource_limits = parent.recv()
        initialise_worker(scratch, resource_limits, parent_pid)
        while True:
            try:
                seconds, function, arguments = parent.recv()
                parent.send(None)  # the job begins: from now on it may be the cause if this process ends
            except (EOFError, OSError):
                _kill_own_group(scratch)
            limit_cpu_seconds(seconds)
            began = cpu_seconds()
            result = function(*arguments)
            parent.send(JobResult(result, cpu_seconds() - began))


def initialise_worker(scratch: Path, resource_limits: ResourceLimits, parent_pid: int) -> None:
    """Initialises a worker: sandbox, resource limits, a folder for temporary files, and a guardian thread."""
    enter_sandbox()
    apply_resource_limits(resource_limits)
    remove_abandoned_files(scratch)
    own_folder = scratch / str(os.getpid())
    own_folder.mkdir(exist_ok=True)
    tempfile.tempdir = str(own_folder)
    _guard(scratch, own_folder, resource_limits, parent_pid)
    _import_engine()


def _guard(scratch: Path, own_folder: Path, resource_limits: ResourceLimits, parent_pid: int) -> None:
    """Ends the process group of this worker on SIGTERM, when its parent has ended, or when it is nearly out of memory.

    A thread waits for these events, because Python runs signal handlers only between two instructions of the main
    thread, and the main thread may be inside PDFium for a long time. The C-level signal handler writes to the wake-up
    pipe at once.
    """
    terminated, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGTERM, partial(_kill_own_group, own_folder))

    def wait() -> None:
        while not connection.wait([terminated], MEMORY_CHECK_SECONDS):
            if os.getppid() != parent_pid:
                _kill_own_group(scratch)
            if is_nearly_out_of_memory(resource_limits):
                os._exit(OUT_OF_MEMORY_STATUS)
        _kill_own_group(own_folder)

    threading.Thread(target=wait, name="guardian", daemon=True).start()


def _kill_own_group(files: Path, _signal: int | None = None, _frame: FrameType | None = None) -> NoReturn:
    shutil.rmtree(files, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit  # unreachable: the signal ends this process too


def remove_abandoned_files(scratch: Path) -> None:
    """Removes the temporary files of workers that were killed."""
    for folder in scratch.glob("[0-9]*"):
        try:
            os.kill(int(folder.name), 0)
        except (ProcessLookupError, PermissionError):  # another user's process has got the PID
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
