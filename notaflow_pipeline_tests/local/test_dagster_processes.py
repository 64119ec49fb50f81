"""Tests of waiting for the end of Dagster's processes."""

import subprocess
import sys
import threading

import psutil

from notaflow_pipeline.local.dagster_processes import alive_after
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

PROGRAM = [sys.executable, "-c", "input()"]


def test_processes_are_waited_for_until_they_end() -> None:
    with (
        subprocess.Popen(PROGRAM, stdin=subprocess.PIPE) as ended,
        subprocess.Popen(PROGRAM, stdin=subprocess.PIPE) as kept,
    ):
        processes = [psutil.Process(ended.pid), psutil.Process(kept.pid)]
        assert alive_after(processes, 0) == set(processes)
        ended.kill()
        assert alive_after(processes[:1], HANG_SECONDS) == set()  # a zombie: nothing has waited for it
        assert alive_after(processes, 0.1) == {processes[1]}
        kept.kill()


def test_pid_that_a_thread_has_is_waited_for_without_an_error() -> None:
    """The system gives the PID of an ended process to a thread, with which `psutil.wait_procs` fails."""
    finish = threading.Event()
    thread = threading.Thread(target=finish.wait)
    thread.start()
    process = psutil.Process(thread.native_id)
    try:
        assert alive_after([process], 0) == {process}
    finally:
        finish.set()
        thread.join()
    assert alive_after([process], HANG_SECONDS) == set()
