"""Tests of `notaflow dev` on an empty home, as on a new machine."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.local.dev_server import SAMPLES
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.testing.ending import all_gone, children_of
from notaflow_pipeline_tests.testing.ports import free_port
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


def test_every_sample_ends_as_described_and_no_process_is_left() -> None:
    described: list[dict[str, Any]] = json.loads((SAMPLES / "MANIFEST.json").read_text(encoding="utf-8"))
    read_here = [sample for sample in described if sample["document_source"] == "index"]
    with tempfile.TemporaryDirectory(prefix="notaflow-dev-") as folder:
        home = Path(folder)
        dev = start(home)
        family = [psutil.Process(dev.pid)]
        try:
            wait_while_they_end(home, len(read_here))
            with psycopg.connect(url_of(home), autocommit=True) as connection:
                ends = {number: rest for number, *rest in connection.execute(ENDS).fetchall()}
                assert list(find_violations(connection, sources=["index"])) == []
            family += children_of(dev.pid)
        finally:
            dev.send_signal(signal.SIGINT)
            dev.wait(timeout=HANG_SECONDS)
        wait_until(lambda: all_gone(family))
        for sample in described:
            assert_ended_as_described(sample, *ends[sample["document_number"]])
        with pytest.raises(DatabaseUnavailable):
            running_database_url(Settings(NOTAFLOW_HOME=home, NOTAFLOW_DATABASE_URL=None))


def wait_while_they_end(home: Path, documents: int) -> None:
    """Wait for so many, as long as another one has ended lately: how long all take is the machine's affair."""
    known, deadline = 0, time.monotonic() + HANG_SECONDS
    while (now := ended(home)) < documents:
        if now > known:
            known, deadline = now, time.monotonic() + HANG_SECONDS
        assert time.monotonic() < deadline, f"no document ended for {HANG_SECONDS} s, after {known} of {documents}"
        time.sleep(0.5)


def start(home: Path) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NOTAFLOW_", "OCR_"))}
    notaflow = Path(sys.executable).with_name("notaflow")
    return subprocess.Popen(
        [str(notaflow), "dev", "--port", str(free_port())],
        env={**environment, "NOTAFLOW_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


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
