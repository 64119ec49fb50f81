"""Looking at real processes, for tests that kill them."""

import os

import psutil

from notaflow_pipeline_tests.testing.ending import all_gone as all_gone
from notaflow_pipeline_tests.testing.ending import children_of as children
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS as PATIENCE_SECONDS
from notaflow_pipeline_tests.testing.waiting import wait_until as wait_until

__all__ = ["PATIENCE_SECONDS", "all_gone", "children", "mark_of_this_process", "wait_until", "with_argument", "workers"]


def mark_of_this_process(number: int) -> str:
    """Return an argument for `sleep` that no other test process of this machine uses, some 86,000 s."""
    return f"{number}.{os.getpid()}"


def with_argument(mark: str) -> list[psutil.Process]:
    """Return the living processes that have `mark` among their arguments."""
    return [process for process in psutil.process_iter() if mark in _arguments(process)]


def workers() -> list[psutil.Process]:
    """Return the worker processes of this process's readers."""
    return [process for process in children() if any("ocr.workers.process" in part for part in _arguments(process))]


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
