"""Tests of killing and interrupting `notaflow dev` or its processes during a run: nothing is lost or doubled."""

import signal
from typing import TYPE_CHECKING

from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes.dagster_runs import (
    has_ended,
    open_claims,
    outcomes,
    parts,
    read_by,
    run_workers,
    runs,
    wait_for_run_at_work,
)
from notaflow_pipeline_tests.processes.dagster_ui import DagsterUI
from notaflow_pipeline_tests.testing.ending import all_gone, kill
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.ports import free_port
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

LEASE = {"OCR_LEASE_SECONDS": "5", "OCR_WORKERS": "1"}
"""One core and some 0.15 s for a document: what is killed is killed in mid-run, and missed soon."""

DOCUMENTS = 250

POOL_LIMIT = "SELECT \"limit\" FROM dagster.concurrency_limits WHERE concurrency_key = 'ocr'"


def test_runs_survive_termination_and_kills_of_dagsters_processes(terminal: Terminal, connection: Connection) -> None:
    settings = {"OCR_DOCUMENTS_PER_RUN": "200", "OCR_MAX_RUNS": "2"}
    hasty = Terminal(terminal.folder, terminal.environment | LEASE | settings)
    ui = DagsterUI(free_port())
    with running_dev(hasty, ui.port) as dev:
        wait_until(ui.answers)
        wait_until(lambda: connection.execute(POOL_LIMIT).fetchone() == (2,))  # set by the sensor
        ui.stop_sensor("ocr_ready_sensor")
        ready_documents(connection, hasty, DOCUMENTS)
        terminated, killed = (ui.launch("ocr_job") for _ in range(2))
        wait_until(lambda: min(read_by(connection, run) for run in (terminated, killed)) >= 3)

        # a click on Terminate: what is in hand comes back at once, and the other run works on
        assert ui.terminate(terminated) == "TerminateRunSuccess"
        wait_until(lambda: open_claims(connection, terminated) == 0)
        wait_until(lambda: runs(connection)[terminated] == "CANCELED")
        released = outcomes(connection)["released"]
        assert released > 0
        assert violated_invariants(connection) == {}

        # the run's process is killed: Dagster sees it at once, recovery when the leases have run out
        workers = run_workers(hasty)
        kill(workers)
        wait_until(lambda: all_gone(workers))
        wait_until(lambda: runs(connection)[killed] == "FAILURE")
        # not at once: Postgres may still carry out a statement that the killed process had sent
        held = open_claims(connection, killed) + outcomes(connection, killed)["stuck"]
        assert held > 0
        from_failure = ui.execute_again(killed, "FROM_FAILURE")
        # it claims what is ready, for it has nothing of the killed one's
        wait_until(lambda: read_by(connection, from_failure) >= 3)

        # without its daemon Dagster ends, and `notaflow dev` with it: open claims are released
        kill(parts(hasty, "dagster._daemon"))
        assert dev.wait(timeout=HANG_SECONDS) == 1
    assert started_from(hasty) == [], "no code server and no run outlives it"
    assert open_claims(connection, from_failure) == 0
    assert runs(connection)[from_failure] == "CANCELED"
    assert 0 < count_at(connection, 5) < DOCUMENTS
    assert violated_invariants(connection) == {}

    documents = drop_unclaimed(connection, but=10)
    with running_dev(hasty, ui.port) as dev:
        wait_until(ui.answers)
        # a run that is executed again waits for the new daemon
        whole = ui.execute_again(killed, "ALL_STEPS")
        wait_until(lambda: read_by(connection, whole) > 0)
        ui.start_sensor("ocr_ready_sensor")
        wait_until(lambda: count_at(connection, 5) == documents)
        wait_until(lambda: "SUCCESS" in runs(connection, "ocr_recovery_job").values())
        wait_until(lambda: has_ended(connection, whole))
        ends = outcomes(connection)
        assert (ends["succeeded"], ends["stuck"]) == (documents, held)
        assert ends["released"] >= released
        assert violated_invariants(connection) == {}

        # the same Dagster, because each start costs as much as reading a hundred documents
        assert_rest_is_read_after_kill_of_code_server(connection, hasty)
        assert_interrupt_releases_claims(connection, hasty, dev)


def assert_rest_is_read_after_kill_of_code_server(connection: Connection, terminal: Terminal) -> None:
    """Kill the code server with its run: it is started again, and another run reads the rest."""
    before, read_before = outcomes(connection), count_at(connection, 5)
    ready_documents(connection, terminal, 40)
    lost = wait_for_run_at_work(connection)
    # the server first: it would tell Dagster of the run's end
    workers = run_workers(terminal)
    killed = [*parts(terminal, "code_server.py"), *workers]
    kill(killed)
    wait_until(lambda: all_gone(killed))
    held = count_at(connection, 6)
    assert held > 0
    wait_until(lambda: parts(terminal, "code_server.py"))
    wait_until(lambda: runs(connection)[lost] == "FAILURE")
    wait_until(lambda: count_at(connection, 5) == read_before + 40)
    assert outcomes(connection) - before == {"succeeded": 40, "stuck": held}
    assert violated_invariants(connection) == {}


def assert_interrupt_releases_claims(connection: Connection, terminal: Terminal, dev: "subprocess.Popen[str]") -> None:
    """Interrupt `notaflow dev` with a run in the middle of its work: no row stays claimed and no process is left."""
    read_before = count_at(connection, 5)
    ready_documents(connection, terminal, DOCUMENTS)
    wait_for_run_at_work(connection)
    dev.send_signal(signal.SIGINT)
    assert dev.wait(timeout=HANG_SECONDS) == 128 + signal.SIGINT
    assert count_at(connection, 6) == 0, "stopping leaves no row claimed"
    assert violated_invariants(connection) == {}
    wait_until(lambda: not started_from(terminal))
    assert count_at(connection, 5) >= read_before
    assert count_at(connection, 3) > 0
