"""Workers whose clock is wrong by far more than a lease: all times that matter are those of the database."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import claims, lease_renewal, releases
from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import READING, add_document, document, fail, recover_all, succeed
from notaflow_pipeline_tests.testing.processes import count_at, ready_documents, terminal_on
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS
from notaflow_pipeline_tests.worker.pipelines import ready

LEASE = timedelta(minutes=2)
"""The default of `OCR_LEASE_SECONDS`."""

SLEEP_ON_THE_REAL_CLOCK = """
import select
import time


def sleep(seconds):
    select.select([], [], [], seconds)


time.sleep = sleep
"""
"""For `sitecustomize`: beside a true monotonic clock, libfaketime 0.9.10 refuses every `clock_nanosleep` (EINVAL)."""


@pytest.fixture
def terminal(tmp_path: Path, database_url: str) -> Iterator[Terminal]:
    """A terminal on this test's database."""
    with terminal_on(tmp_path, database_url) as one:
        yield one


@pytest.fixture(params=["+600", "-600"], ids=["ahead", "behind"])
def wrong_clock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which a process, and all that it starts, sees a clock that is wrong by ten minutes."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("libfaketime is not installed (apt-get install libfaketime)")
    modules = tmp_path_factory.mktemp("clock")
    (modules / "sitecustomize.py").write_text(SLEEP_ON_THE_REAL_CLOCK, encoding="utf-8")
    variables = {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME": request.param,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(modules), os.environ.get("PYTHONPATH")])),
    }
    seen = subprocess.run(
        [sys.executable, "-c", "import time; time.sleep(0.1); print(time.time(), time.monotonic())"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
    )
    clock, monotonic = map(float, seen.stdout.split())
    assert abs(clock - time.time() - float(request.param)) < 60, "the clock is as wrong as it was to be"
    assert abs(monotonic - time.monotonic()) < 60
    return variables


def now(connection: Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    assert isinstance(row[0], datetime)
    return row[0]


def work(terminal: Terminal, clock: dict[str, str]) -> dict[str, Any]:
    """Let a worker with this clock read what is ready; return its summary. It may warn, and libfaketime may speak too."""
    done = terminal.run("work", "--json", OCR_WORKER_ID="wrong", **clock)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith(("WARNING ", "libfaketime"))] == []
    (summary,) = map(json.loads, done.stdout.splitlines())
    assert isinstance(summary, dict)
    return summary


def assert_times_are_the_databases(connection: Connection, began: datetime) -> None:
    """No time of the work lies before it or, but for what is planned, after it; nothing took less than no time."""
    ended = now(connection)
    times = connection.execute(
        """
        SELECT claimed_at, finished_at, lease_expires_at, fetch_seconds, ocr_seconds
        FROM ocr_attempt
        WHERE worker_id = 'wrong'
        """
    ).fetchall()
    assert times
    for claimed_at, finished_at, lease_expires_at, fetch_seconds, ocr_seconds in times:
        assert began <= claimed_at <= finished_at <= ended
        assert timedelta(0) < lease_expires_at - claimed_at
        assert lease_expires_at <= ended + LEASE
        assert all(0 <= seconds < HANG_SECONDS for seconds in (fetch_seconds, ocr_seconds) if seconds is not None)
    strange = connection.execute(
        """
        SELECT id
        FROM extraction_queue
        WHERE ocr_worker_id = 'wrong'
          AND (ocr_started_at NOT BETWEEN %(began)s AND %(ended)s
               OR COALESCE(ocr_completed_at, ocr_last_error_at) NOT BETWEEN ocr_started_at AND %(ended)s
               OR updated_at NOT BETWEEN %(began)s AND %(ended)s)
        """,
        {"began": began, "ended": ended},
    ).fetchall()
    assert strange == []


def test_worker_with_a_wrong_clock_takes_no_claim_of_a_live_worker(
    terminal: Terminal, connection: Connection, wrong_clock: dict[str, str]
) -> None:
    began = now(connection)
    ready_documents(connection, terminal, 10)
    held = claims.claim_documents(
        connection, limit=3, sources=["index"], worker_id="right", run_id=None, lease=timedelta(minutes=5)
    )
    early = add_document(connection, document_number="early", supabase_path="index/page.png")
    tried = claims.claim_documents(
        connection, limit=8, sources=["index"], worker_id="right", run_id=None, lease=timedelta(minutes=5)
    )
    waits = next(one for one in tried if one.document_id == early)
    assert fail(connection, waits, retry_base_seconds=300)
    assert releases.release(connection, [one.token for one in tried if one is not waits], reason="not needed") == 7

    summary = work(terminal, wrong_clock)
    assert (summary["claimed"], summary["succeeded"], summary["lost"]) == (7, 7, 0)
    assert 0 < summary["seconds"] < HANG_SECONDS

    assert count_at(connection, 6) == 3
    assert document(connection, early)["ocr_attempts"] == 1, "its wait is over by the database's clock alone"
    assert lease_renewal.renew(connection, {one.token for one in held}, LEASE) == {one.token for one in held}
    assert all(succeed(connection, one, READING) for one in held)
    assert_times_are_the_databases(connection, began)
    assert violated_invariants(connection) == {}


def test_worker_with_a_wrong_clock_loses_no_claim(
    terminal: Terminal, connection: Connection, wrong_clock: dict[str, str]
) -> None:
    began = now(connection)
    ready_documents(connection, terminal, 16)
    with terminal.start(
        "work", "--until-empty", "--json", OCR_WORKER_ID="wrong", OCR_LEASE_SECONDS="20", **wrong_clock
    ) as worker:
        looks = 0
        while worker.poll() is None:
            assert recover_all(connection).total == 0
            looks += count_at(connection, 6) > 0
            time.sleep(0.05)
        _, errors = worker.communicate(timeout=HANG_SECONDS)
    assert worker.returncode == 0, errors
    assert looks > 0, "it was looked at while it worked"
    outcomes = connection.execute("SELECT worker_id, outcome, count(*) FROM ocr_attempt GROUP BY 1, 2").fetchall()
    assert outcomes == [("wrong", "succeeded", 16)]
    assert_times_are_the_databases(connection, began)
    assert violated_invariants(connection) == {}


def test_wait_after_a_failure_is_counted_by_the_databases_clock(
    terminal: Terminal, connection: Connection, wrong_clock: dict[str, str]
) -> None:
    began = now(connection)
    missing = ready(connection, "index/missing.pdf")
    summary = work(terminal, wrong_clock)
    assert summary["failed"] == {"not_found": 1}
    found = document(connection, missing)
    wait = found["ocr_next_attempt_at"] - found["ocr_last_error_at"]
    assert timedelta(seconds=15) <= wait <= timedelta(seconds=45), "30 s, give or take half"
    assert_times_are_the_databases(connection, began)
    assert violated_invariants(connection) == {}
