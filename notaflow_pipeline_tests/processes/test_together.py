"""Tests of terminals and a Dagster daemon on one queue at the same time, and of `notaflow dev` from start to stop."""

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes import violated_invariants
from notaflow_pipeline_tests.processes.conftest import count_at, ready_documents, started_from
from notaflow_pipeline_tests.testing.ports import free_port
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

DOCUMENTS = int(os.environ.get("NOTAFLOW_TEST_DOCUMENTS", "150"))


@contextmanager
def running_dev(terminal: Terminal, port: int) -> Iterator["subprocess.Popen[str]"]:
    """`notaflow dev` without samples; Dagster's chatter goes to a file, which a failing test prints."""
    log = terminal.folder / "dev.log"
    with log.open("w") as out:
        dev = subprocess.Popen(
            [*terminal.command, "dev", "--no-samples", "--port", str(port)],
            cwd=terminal.folder,
            env=terminal.environment | {"OCR_WORKER_ID": "daemon"},
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield dev
    except BaseException:
        print(log.read_text()[-5000:])  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        dev.kill()
        dev.wait()


def work_of_daemon(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM ocr_attempt WHERE run_id IS NOT NULL").fetchone()
    assert row is not None
    return int(row[0])


def open_of_daemon(connection: Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM ocr_attempt WHERE run_id IS NOT NULL AND finished_at IS NULL"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_two_terminals_and_a_daemon_read_every_document_exactly_once(
    terminal: Terminal, connection: Connection
) -> None:
    port = free_port()
    with running_dev(terminal, port) as dev:
        ready_documents(connection, terminal, DOCUMENTS)
        wait_until(lambda: work_of_daemon(connection) > 0)
        together = [
            terminal.start("work", "--until-empty", "--json", OCR_WORKER_ID=name) for name in ("desk1", "desk2")
        ]
        for one in together:
            _, errors = one.communicate(timeout=HANG_SECONDS)
            assert one.returncode == 0, errors
        wait_until(lambda: count_at(connection, 5) == DOCUMENTS)
        outcomes = connection.execute("SELECT outcome, count(*), count(DISTINCT queue_id) FROM ocr_attempt GROUP BY 1")
        assert outcomes.fetchall() == [("succeeded", DOCUMENTS, DOCUMENTS)]
        who = {name for (name,) in connection.execute("SELECT DISTINCT worker_id FROM ocr_attempt")}
        assert "daemon" in who
        assert len(who) >= 2, "they were to work at the same time"
        assert violated_invariants(connection) == []

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=HANG_SECONDS) as answer:
            assert answer.status == 200

        # and now with a run in the middle of its work
        ready_documents(connection, terminal, DOCUMENTS)
        wait_until(lambda: open_of_daemon(connection) > 0)
        dev.send_signal(signal.SIGINT)
        dev.wait(timeout=HANG_SECONDS)
        assert count_at(connection, 6) == 0, "stopping leaves no row claimed"
        assert violated_invariants(connection) == []
        wait_until(lambda: not started_from(terminal))
        assert count_at(connection, 5) >= DOCUMENTS
