"""Tests of one `notaflow dev` in a terminal, on an empty home as on a new machine, from its start to Ctrl-C."""

import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.job_queue.invariants import Violation, find_violations
from notaflow_pipeline.local.dev_server import SAMPLES
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.testing.ending import all_gone, children_of
from notaflow_pipeline_tests.testing.ports import answers, free_port
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

ENDED = """
SELECT count(*)
FROM extraction_queue
WHERE document_source = 'index'
  AND (status_id = 5 OR ocr_attempts >= ocr_max_attempts)
"""

ENDS = """
SELECT q.document_number, q.status_id, q.file_content, a.failure_kind
FROM extraction_queue AS q
LEFT JOIN ocr_attempt AS a ON a.queue_id = q.id
"""

WITH_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Runs a command with its stdin as the terminal that controls it, so that Ctrl-C is a signal."""

CTRL_C = b"\x03"


@dataclass(frozen=True)
class StoppedDev:
    """What a `notaflow dev` did that has read all samples, whose database was then killed, and that was stopped."""

    home: Path
    url: str
    lines_at_start: list[str]
    line_at_restart: str
    lines_at_stop: list[str]
    exit_code: int
    ends: dict[str, tuple[int, str | None, str | None]]
    violations: list[Violation]
    processes: list[psutil.Process]


@pytest.fixture(scope="module")
def dev() -> Iterator[StoppedDev]:
    """A `notaflow dev` that was stopped; all tests use one, because it reads 56 pages."""
    with tempfile.TemporaryDirectory(prefix="notaflow-dev-") as folder:
        home, port = Path(folder), free_port()
        master, process = start(home, port)
        try:
            lines_at_start = read_until(master, "Ctrl-C\r\n").splitlines()
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/server_info"))
            wait_while_samples_end(home, sum(sample["document_source"] == "index" for sample in described()))
            with psycopg.connect(url_of(home), autocommit=True) as connection:
                ends = {number: tuple(rest) for number, *rest in connection.execute(ENDS).fetchall()}
                violations = list(find_violations(connection, sources=["index"]))
            psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0])).kill()
            line_at_restart = read_until(master, "started again.\r\n").splitlines()[-1]
            processes = [psutil.Process(process.pid), *children_of(process.pid)]
            os.write(master, CTRL_C)
            lines_at_stop = read_until(master, "").splitlines()
            exit_code = process.wait(timeout=HANG_SECONDS)
        finally:
            process.terminate()
            process.wait(timeout=HANG_SECONDS)
            os.close(master)
        url = f"http://127.0.0.1:{port}"
        lines = lines_at_start, line_at_restart, lines_at_stop
        yield StoppedDev(home, url, *lines, exit_code, ends, violations, processes)


def test_every_sample_ends_as_described(dev: StoppedDev) -> None:
    for sample in described():
        assert_ended_as_described(sample, *dev.ends[sample["document_number"]])
    assert dev.violations == []


def test_console_ends_with_url_and_how_to_stop_and_ctrl_c_adds_a_line(dev: StoppedDev) -> None:
    assert dev.lines_at_start[-2:] == [f"Dagster UI: {dev.url}", "Stop:       Ctrl-C"]
    assert len(dev.lines_at_start) < 10, dev.lines_at_start
    # nothing else is added while it runs: what Dagster prints goes to its log
    assert dev.lines_at_stop == ["^C", "Stopping ... stopped. No document was being read."]
    assert dev.exit_code == 130


def test_database_that_is_killed_is_started_again(dev: StoppedDev) -> None:
    assert dev.line_at_restart == "The database had ended and was started again."


def test_no_process_is_left(dev: StoppedDev) -> None:
    assert len(dev.processes) > 5
    wait_until(lambda: all_gone(dev.processes))
    with pytest.raises(DatabaseUnavailable):
        running_database_url(Settings(NOTAFLOW_HOME=dev.home, NOTAFLOW_DATABASE_URL=None))


def described() -> list[dict[str, Any]]:
    """The samples, and how each ends."""
    samples: list[dict[str, Any]] = json.loads((SAMPLES / "MANIFEST.json").read_text(encoding="utf-8"))
    return samples


def start(home: Path, port: int) -> "tuple[int, subprocess.Popen[bytes]]":
    """Start `notaflow dev`; return the other end of its terminal too."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NOTAFLOW_", "OCR_"))}
    notaflow = Path(sys.executable).with_name("notaflow")
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", WITH_TERMINAL, str(notaflow), "dev", "--port", str(port)],
            env={**environment, "NOTAFLOW_HOME": str(home)},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
    finally:
        os.close(slave)
    return master, process


def read_until(master: int, end: str) -> str:
    """Read what a terminal shows until it shows this, or, where `end` is empty, until nothing can write any more."""
    shown = b""
    with suppress(OSError):  # EIO: the other side is closed
        while not end or end.encode() not in shown:
            assert select.select([master], [], [], HANG_SECONDS)[0], shown
            shown += os.read(master, 4096)
    return shown.decode()


def wait_while_samples_end(home: Path, documents: int) -> None:
    """Wait for so many, as long as another one has ended lately: how long all take depends on the machine."""
    known, deadline = 0, time.monotonic() + HANG_SECONDS
    while (now := ended(home)) < documents:
        if now > known:
            known, deadline = now, time.monotonic() + HANG_SECONDS
        assert time.monotonic() < deadline, f"no document ended for {HANG_SECONDS} s, after {known} of {documents}"
        time.sleep(0.5)


def url_of(home: Path) -> str:
    return running_database_url(Settings(NOTAFLOW_HOME=home, NOTAFLOW_DATABASE_URL=None))


def ended(home: Path) -> int:
    """How many samples are read or exhausted; 0 while the database is not there."""
    try:
        with psycopg.connect(url_of(home)) as connection:
            row = connection.execute(ENDED).fetchone()
    except (DatabaseUnavailable, psycopg.Error):
        return 0
    return int(row[0]) if row else 0


def assert_ended_as_described(sample: dict[str, Any], status: int, text: str | None, failure_kind: str | None) -> None:
    if sample["document_source"] != "index":
        assert (status, text) == (3, None)
    elif sample["expect"] == "done":
        assert status == 5
        read = " ".join((text or "").split())
        assert [words for words in sample["must_contain"] if words not in read] == []
    else:
        assert (status, text, failure_kind) == (3, None, sample["expect"])
