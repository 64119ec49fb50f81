"""`notaflow dev` in a terminal: how the console ends after the start, and what Ctrl-C leaves."""

import os
import pty
import select
import subprocess
import sys
from contextlib import suppress

import pytest

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes.conftest import started_from
from notaflow_pipeline_tests.testing.ports import answers, free_port
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.xdist_group("processes")

WITH_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Runs a command with its stdin as the terminal that controls it, so that Ctrl-C is a signal."""

CTRL_C = b"\x03"


def read_until(master: int, end: str) -> str:
    """Read what a terminal shows until it shows this, or, where `end` is empty, until nothing can write any more."""
    shown = b""
    with suppress(OSError):  # EIO: the other side is closed
        while not end or end.encode() not in shown:
            assert select.select([master], [], [], HANG_SECONDS)[0], shown
            shown += os.read(master, 4096)
    return shown.decode()


def test_console_ends_with_url_and_how_to_stop_and_ctrl_c_adds_a_line(terminal: Terminal) -> None:
    port = free_port()
    master, slave = pty.openpty()
    try:
        dev = subprocess.Popen(
            [sys.executable, "-c", WITH_TERMINAL, *terminal.command, "dev", "--no-samples", "--port", str(port)],
            cwd=terminal.folder,
            env=terminal.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        started = read_until(master, "Ctrl-C\r\n").splitlines()
        assert started[-2:] == [f"Dagster UI: http://127.0.0.1:{port}", "Stop:       Ctrl-C"]
        assert len(started) < 10, started
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/server_info"))
        # nothing is added while it runs: what Dagster prints goes to its log
        os.write(master, CTRL_C)
        assert read_until(master, "").splitlines() == ["^C", "Stopping ... stopped. No document was being read."]
        assert dev.wait(timeout=HANG_SECONDS) == 130
    finally:
        os.close(master)
    assert started_from(terminal) == []
