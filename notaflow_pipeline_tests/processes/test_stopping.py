"""Tests of killing and stopping `notaflow work`: claims are recovered or released."""

import json
import signal
import time

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes import violated_invariants
from notaflow_pipeline_tests.testing.ending import all_gone, children_of
from notaflow_pipeline_tests.testing.processes import count_at, drop_unclaimed, ready_documents, started_from
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

DOCUMENTS = 40
"""More than a worker reads before a test has seen that it reads: a busy machine lets the test wait, too."""


def test_claims_of_a_killed_worker_are_read_by_another(terminal: Terminal, connection: Connection) -> None:
    ready_documents(connection, terminal, DOCUMENTS)
    finished = "SELECT id, file_content, ocr_completed_at FROM extraction_queue WHERE status_id = 5 ORDER BY id"
    with terminal.start("work", "--until-empty", OCR_LEASE_SECONDS="2") as worker:
        wait_until(lambda: count_at(connection, 5) >= 5)
        workers = children_of(worker.pid)
        assert len(workers) >= 2
        worker.kill()
        worker.communicate()
    wait_until(lambda: all_gone(workers) and not started_from(terminal))

    done_before = connection.execute(finished).fetchall()
    assert 5 <= len(done_before) < DOCUMENTS
    assert count_at(connection, 6) > 0, "it was killed with documents in its hands"
    assert violated_invariants(connection) == []

    documents = drop_unclaimed(connection, but=5)
    (summary,) = terminal.json("work", "--until-empty")
    assert summary["succeeded"] == documents - len(done_before)
    assert count_at(connection, 5) == documents
    assert set(done_before) <= set(connection.execute(finished).fetchall()), "what was recorded stays as it was"
    assert violated_invariants(connection) == []
    outcomes: dict[str, int] = dict(
        connection.execute("SELECT outcome, count(*) FROM ocr_attempt GROUP BY 1").fetchall()
    )
    assert outcomes.keys() == {"succeeded", "stuck"}
    assert outcomes["succeeded"] == documents
    winners = connection.execute(
        "SELECT queue_id FROM ocr_attempt WHERE outcome = 'succeeded' GROUP BY queue_id HAVING count(*) = 1"
    ).fetchall()
    assert len(winners) == documents


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_stopped_worker_releases_its_claims_and_ends(
    terminal: Terminal, connection: Connection, sent: signal.Signals
) -> None:
    ready_documents(connection, terminal, DOCUMENTS)
    with terminal.start("work", "--until-empty") as worker:
        wait_until(lambda: count_at(connection, 5) >= 3 and count_at(connection, 6) > 0)
        worker.send_signal(sent)
        _, errors = worker.communicate(timeout=HANG_SECONDS)
    assert worker.returncode == 128 + sent
    assert "Traceback" not in errors
    assert count_at(connection, 6) == 0
    assert 3 <= count_at(connection, 5) < DOCUMENTS
    released = connection.execute(
        "SELECT ocr_attempts, ocr_error FROM extraction_queue WHERE status_id = 3 GROUP BY 1, 2"
    ).fetchall()
    assert released == [(0, None)]
    outcomes: dict[str, int] = dict(
        connection.execute("SELECT outcome, count(*) FROM ocr_attempt GROUP BY 1").fetchall()
    )
    assert outcomes.keys() == {"succeeded", "released"}
    assert violated_invariants(connection) == []
    wait_until(lambda: not started_from(terminal))
    assert list((terminal.folder / "temporary").iterdir()) == [], "no document stays behind in a temporary folder"


def test_second_signal_does_not_prevent_the_release(terminal: Terminal, connection: Connection) -> None:
    ready_documents(connection, terminal, DOCUMENTS)
    with terminal.start("work", "--until-empty") as worker:
        wait_until(lambda: count_at(connection, 5) >= 1 and count_at(connection, 6) > 0)
        for _ in range(5):
            worker.send_signal(signal.SIGINT)
            time.sleep(0.02)
        worker.communicate(timeout=HANG_SECONDS)
    assert count_at(connection, 6) == 0
    assert violated_invariants(connection) == []
    wait_until(lambda: not started_from(terminal))


def test_worker_frozen_past_its_lease_writes_nothing_when_it_continues(
    terminal: Terminal, connection: Connection
) -> None:
    ready_documents(connection, terminal, DOCUMENTS)
    read = "SELECT id, xmin::text, file_content FROM extraction_queue ORDER BY id"
    # short leases for the one that is frozen alone: a busy machine must not take any from the other
    with terminal.start("work", "--json", OCR_LEASE_SECONDS="2") as frozen:
        try:
            wait_until(lambda: count_at(connection, 5) >= 3 and count_at(connection, 6) > 0)
            frozen.send_signal(signal.SIGSTOP)
            assert count_at(connection, 6) > 0
            documents = drop_unclaimed(connection, but=5)
            (summary,) = terminal.json("work", "--until-empty")
            before = connection.execute(read).fetchall()
            assert count_at(connection, 5) == documents
        finally:
            frozen.send_signal(signal.SIGCONT)
        out, _ = frozen.communicate(timeout=HANG_SECONDS)
    woken = json.loads(out)
    outcomes: dict[str, int] = dict(
        connection.execute("SELECT outcome, count(*) FROM ocr_attempt GROUP BY 1").fetchall()
    )
    assert outcomes == {"succeeded": documents, "stuck": woken["lost"]}
    assert woken["lost"] > 0
    assert woken["succeeded"] + summary["succeeded"] == documents
    assert connection.execute(read).fetchall() == before, "what came too late wrote no row"
    assert violated_invariants(connection) == []
