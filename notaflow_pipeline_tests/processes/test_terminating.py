"""Tests of SIGTERM to each process of `notaflow dev` during a run, and of one beside terminals on the same queue.

Claims are released before their leases end, and every document is read exactly once.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline_tests.cli import Terminal, open_terminal
from notaflow_pipeline_tests.processes.dagster_runs import (
    DOCUMENTS,
    has_ended,
    open_claims,
    outcomes,
    parts,
    read_by,
    run_at_work,
    run_workers,
    runs,
)
from notaflow_pipeline_tests.processes.dagster_ui import DagsterUI
from notaflow_pipeline_tests.testing.databases import migrated_database
from notaflow_pipeline_tests.testing.ending import kill, terminate
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.ports import answers, free_port
from notaflow_pipeline_tests.testing.processes import (
    count_at,
    drop_unclaimed,
    ready_documents,
    running_dev,
    started_from,
)
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

if TYPE_CHECKING:
    import subprocess


DOCUMENTS_OF_ALL = int(os.environ.get("NOTAFLOW_TEST_DOCUMENTS", "150"))
"""More than `notaflow dev` reads before two terminals have started."""

MID_RUN = {"OCR_WORKERS": "1", "OCR_DOCUMENTS_PER_RUN": "1000"}
"""What is told to end is told in mid-run. Leases are those of every day, two minutes."""

SPAWNED = "ocr.workers.process"
"""In the commands of runs' OCR processes."""


@dataclass(frozen=True)
class SharedDev:
    """A running `notaflow dev`, its UI and its database. The last of its tests ends it."""

    process: "subprocess.Popen[str]"
    terminal: Terminal
    ui: DagsterUI
    connection: Connection


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
    server_url: str,
    template_database: str,
    request: pytest.FixtureRequest,
) -> Iterator[SharedDev]:
    """One `notaflow dev` for two tests: it costs some 15 s of a core to start."""
    with migrated_database(server_url, template_database, request.node) as url, connect(url, limited=False) as one:
        bare = open_terminal(tmp_path_factory.mktemp("shared"), url)
        terminal = Terminal(bare.folder, bare.environment | MID_RUN)
        ui = DagsterUI(free_port())
        try:
            with running_dev(terminal, ui.port) as process:
                wait_until(ui.answers)
                yield SharedDev(process, terminal, ui, one)
        finally:
            kill(started_from(terminal))


@pytest.fixture
def slow(terminal: Terminal, connection: Connection) -> Terminal:
    """A terminal with documents to read."""
    ready_documents(connection, terminal, DOCUMENTS)
    return Terminal(terminal.folder, terminal.environment | MID_RUN)


@contextmanager
def dev_without_sensor(terminal: Terminal, ui: DagsterUI) -> Iterator["subprocess.Popen[str]"]:
    """`notaflow dev`, in which runs begin when a test launches them, and only then."""
    # the sensor ticks before it can be stopped, and its run would hold the only place that OCR_MAX_RUNS leaves
    assert terminal.run("pause", "until the sensor is stopped").returncode == 0
    with running_dev(terminal, ui.port) as dev:
        wait_until(ui.answers)
        ui.stop_sensor("ocr_ready_sensor")
        assert terminal.run("resume").returncode == 0
        yield dev


def assert_released_after_sigterm(
    connection: Connection, terminal: Terminal, run: str, told: Sequence[psutil.Process]
) -> None:
    """Tell processes to end. What the run holds is released, long before its leases end, and no process of OCR survives."""
    at_work = [*parts(terminal, SPAWNED), *run_workers(terminal)]
    released = outcomes(connection)["released"]
    assert told
    assert open_claims(connection, run) > 0
    terminate(told)
    wait_until(lambda: open_claims(connection, run) == 0)
    wait_until(lambda: not set(at_work) & set(started_from(terminal)))
    assert outcomes(connection)["released"] > released
    assert outcomes(connection).keys() == {"succeeded", "released"}
    ready = connection.execute("SELECT DISTINCT ocr_attempts, ocr_error FROM extraction_queue WHERE status_id = 3")
    assert ready.fetchall() == [(0, None)], "the attempts do not count"
    assert violated_invariants(connection) == {}


def assert_rest_is_read(connection: Connection, terminal: Terminal) -> None:
    assert count_at(connection, 3) > 0
    documents = drop_unclaimed(connection, but=10)
    assert count_at(connection, 5) < documents
    assert terminal.run("work", "--until-empty", OCR_WORKERS="2").returncode == 0
    assert count_at(connection, 5) == documents
    assert violated_invariants(connection) == {}


def test_two_terminals_and_a_daemon_read_every_document_exactly_once(shared: SharedDev) -> None:
    connection = shared.connection
    ready_documents(connection, shared.terminal, DOCUMENTS_OF_ALL)
    wait_until(lambda: work_of_daemon(connection) > 0)
    together = [
        shared.terminal.start("work", "--until-empty", "--json", OCR_WORKER_ID=name, OCR_WORKERS="2")
        for name in ("desk1", "desk2")
    ]
    for one in together:
        _, errors = one.communicate(timeout=HANG_SECONDS)
        assert one.returncode == 0, errors
    wait_until(lambda: count_at(connection, 5) == DOCUMENTS_OF_ALL)
    ends = connection.execute("SELECT outcome, count(*), count(DISTINCT queue_id) FROM ocr_attempt GROUP BY 1")
    assert ends.fetchall() == [("succeeded", DOCUMENTS_OF_ALL, DOCUMENTS_OF_ALL)]
    who = {name for (name,) in connection.execute("SELECT DISTINCT worker_id FROM ocr_attempt")}
    assert "daemon" in who
    assert len(who) >= 2, "they were to work at the same time"
    assert violated_invariants(connection) == {}
    assert answers(f"http://127.0.0.1:{shared.ui.port}/server_info")


def work_of_daemon(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM ocr_attempt WHERE run_id IS NOT NULL").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def shared_without_sensor(shared: SharedDev) -> Iterator["subprocess.Popen[str]"]:
    """The shared `notaflow dev` with documents to read, in which runs begin when a test launches them, and only then."""
    wait_until(shared.ui.serves_code)
    shared.ui.stop_sensor("ocr_ready_sensor")
    wait_until(lambda: all(has_ended(shared.connection, run) for run in runs(shared.connection)))
    ready_documents(shared.connection, shared.terminal, DOCUMENTS)
    yield shared.process


def test_stopped_run_code_server_or_all_at_once_release_claims(shared: SharedDev) -> None:
    slow, ui, connection = shared.terminal, shared.ui, shared.connection
    with shared_without_sensor(shared) as dev:
        run = run_at_work(connection, ui)
        assert_released_after_sigterm(connection, slow, run, run_workers(slow))
        wait_until(lambda: runs(connection)[run] == "CANCELED")

        # another run begins as if nothing had been
        run = run_at_work(connection, ui)
        (old,) = parts(slow, "code_server.py --reload")
        assert_released_after_sigterm(connection, slow, run, [old])
        old.wait(HANG_SECONDS)
        wait_until(lambda: parts(slow, "code_server.py --reload"))
        wait_until(lambda: runs(connection)[run] == "CANCELED")
        assert dev.poll() is None

        # and with the new code server; as systemd ends a service
        run = run_at_work(connection, ui)
        assert_released_after_sigterm(connection, slow, run, started_from(slow))
        assert dev.wait(timeout=HANG_SECONDS) == 128 + signal.SIGTERM
    assert started_from(slow) == []
    assert_rest_is_read(connection, slow)


def test_run_of_a_killed_code_server_continues_and_is_stopped_with_all(slow: Terminal, connection: Connection) -> None:
    ui = DagsterUI(free_port())
    with dev_without_sensor(slow, ui) as dev:
        run = run_at_work(connection, ui)
        old = parts(slow, "code_server.py")
        kill(old)
        wait_until(lambda: set(parts(slow, "code_server.py --reload")) - set(old))
        known = read_by(connection, run)
        wait_until(lambda: read_by(connection, run) > known)
        assert_released_after_sigterm(connection, slow, run, [psutil.Process(dev.pid)])
        assert dev.wait(timeout=HANG_SECONDS) == 128 + signal.SIGTERM
    assert started_from(slow) == []
    assert_rest_is_read(connection, slow)


def test_end_of_daemon_or_webserver_ends_everything_and_releases_claims(slow: Terminal, connection: Connection) -> None:
    ui = DagsterUI(free_port())
    for words in ("dagster._daemon", "dagster_webserver"):
        with dev_without_sensor(slow, ui) as dev:
            run = run_at_work(connection, ui)
            assert_released_after_sigterm(connection, slow, run, parts(slow, words))
            assert dev.wait(timeout=HANG_SECONDS) == 1
        assert started_from(slow) == []
        assert runs(connection)[run] == "CANCELED"
    assert_rest_is_read(connection, slow)
