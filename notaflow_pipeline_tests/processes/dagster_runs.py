"""Waits for runs of a running Dagster, and shows their status, their processes and what they have read."""

from collections import Counter

import psutil
import psycopg
from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes.dagster_ui import DagsterUI
from notaflow_pipeline_tests.testing.ending import children_of
from notaflow_pipeline_tests.testing.processes import started_from
from notaflow_pipeline_tests.testing.waiting import wait_until

FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}

DOCUMENTS = 400
"""More than three runs read, at ten a second, while what they belong to takes its ten seconds to end."""

RUN_AT_WORK = """
SELECT run_id
FROM ocr_attempt
GROUP BY 1
HAVING count(finished_at) >= 3
   AND count(*) > count(finished_at)
"""

OUTCOMES = "SELECT outcome, count(*) FROM ocr_attempt WHERE %(run)s::text IS NULL OR run_id = %(run)s GROUP BY 1"


def runs(connection: Connection, job: str = "ocr_job") -> dict[str, str]:
    """The status of each run of a job, oldest first."""
    try:
        return dict(
            connection.execute(
                "SELECT run_id, status FROM dagster.runs WHERE pipeline_name = %s ORDER BY id", [job]
            ).fetchall()
        )
    except psycopg.errors.UndefinedTable:
        return {}


def has_ended(connection: Connection, run: str) -> bool:
    return runs(connection)[run] in FINISHED


def run_at_work(connection: Connection, ui: DagsterUI) -> str:
    """Launch a run, as soon as there is a code server, and wait until it has read some documents."""
    wait_until(lambda: ui.answer_to_launch("ocr_job", {}) == "LaunchRunSuccess")
    run = list(runs(connection))[-1]
    wait_until(lambda: read_by(connection, run) >= 3 or has_ended(connection, run))
    assert not has_ended(connection, run), runs(connection)
    return run


def wait_for_run_at_work(connection: Connection) -> str:
    """Wait for a run that has read some documents and holds others."""
    found: list[str] = []

    def is_at_work() -> bool:
        found.extend(run for (run,) in connection.execute(RUN_AT_WORK))
        return bool(found)

    wait_until(is_at_work)
    return found[0]


def outcomes(connection: Connection, run: str | None = None) -> Counter[str | None]:
    """How many attempts, of all or of one run, ended in each way; those that go on under None."""
    return Counter(dict(connection.execute(OUTCOMES, {"run": run}).fetchall()))


def read_by(connection: Connection, run: str) -> int:
    return outcomes(connection, run)["succeeded"]


def open_claims(connection: Connection, run: str) -> int:
    return outcomes(connection, run)[None]


def parts(terminal: Terminal, words: str) -> list[psutil.Process]:
    """The processes of Dagster with these words in their command."""
    return [process for process in started_from(terminal) if words in " ".join(command(process))]


def run_workers(terminal: Terminal) -> list[psutil.Process]:
    """The processes that carry out runs: children of the process from which the code server forks them."""
    found = []
    for server in parts(terminal, "code_server.py"):
        for child in children_of(server.pid, recursive=False):
            if "forkserver" in " ".join(command(child)):
                found += children_of(child.pid, recursive=False)
    return found


def command(process: psutil.Process) -> list[str]:
    """Nothing, if it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
