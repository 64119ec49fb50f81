"""Signals to processes that may have ended a moment ago."""

import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil

from notaflow_pipeline.local.dagster_processes import alive_after


def send_signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to those that are alive."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def terminate(processes: Iterable[psutil.Process]) -> None:
    """Terminate those that are alive."""
    send_signal(processes, signal.SIGTERM)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill those that are alive."""
    send_signal(processes, signal.SIGKILL)


def children_of(pid: int | None = None, *, recursive: bool = True) -> list[psutil.Process]:
    """Return the living descendants, or the children alone, of a process (of this one); none if it has ended."""
    try:
        return psutil.Process(pid).children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []


def all_gone(processes: Iterable[psutil.Process]) -> bool:
    """Whether all have ended; a zombie counts as ended."""
    return not alive_after(processes, 0)
