"""Finds processes of this test, for tests that kill them."""

import os

import psutil

from notaflow_pipeline_tests.testing.ending import children_of


def mark_of_this_process(number: int) -> str:
    """Return an argument for `sleep` that no other test process of this machine uses, some 86,000 s."""
    return f"{number}.{os.getpid()}"


def with_argument(mark: str) -> list[psutil.Process]:
    """Return the living processes that have `mark` among their arguments."""
    return [process for process in psutil.process_iter() if mark in _arguments(process)]


def workers() -> list[psutil.Process]:
    """Return the worker processes of this process's readers."""
    return [process for process in children_of() if any("ocr.workers.process" in part for part in _arguments(process))]


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
