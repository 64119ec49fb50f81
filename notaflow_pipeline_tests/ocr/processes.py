"""Looking at real processes, for tests that kill them."""

import time
from collections.abc import Callable

import psutil

PATIENCE_SECONDS = 30.0
"""How long a test waits for what must come; far more than it takes, so that a busy machine fails nothing."""


def wait_until(what: Callable[[], bool]) -> None:
    """Wait for something to become true, or fail."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def with_argument(mark: str) -> list[psutil.Process]:
    """Living processes that have `mark` among their arguments."""
    return [process for process in psutil.process_iter() if mark in _arguments(process)]


def children(pid: int | None = None) -> list[psutil.Process]:
    """Everything that descends from a process (this one), itself not included."""
    return psutil.Process(pid).children(recursive=True)


def workers() -> list[psutil.Process]:
    """Worker processes of this process's readers."""
    return [process for process in children() if any("spawn_main" in part for part in _arguments(process))]


def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether none is alive; a zombie whose parent does not collect it is dead enough."""
    return not any(process.is_running() and _status(process) != psutil.STATUS_ZOMBIE for process in processes)


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE
