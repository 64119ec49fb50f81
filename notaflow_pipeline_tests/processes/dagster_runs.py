"""Launches runs of a running Dagster, and shows their status, their processes and what they have read."""

from collections import Counter

import httpx
import psutil
import psycopg
from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes.dagster_ui import DagsterUI
from notaflow_pipeline_tests.testing.ending import children_of
from notaflow_pipeline_tests.testing.processes import started_from
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

DOCUMENTS = 400
"""More than three runs read, at ten a second, while what they belong to takes its ten seconds to end."""


def run_at_work(connection: Connection, ui: DagsterUI) -> str:
    """Launch a run, as soon as there is a code server, and wait until it has read some documents."""
    wait_until(lambda: ui.answer_to_launch("ocr_job", {}) == "LaunchRunSuccess")
    run = list(runs(connection))[-1]
    wait_until(lambda: read_by(connection, run) >= 3 or has_ended(connection, run))
    assert not has_ended(connection, run), runs(connection)
    return run


JOB = {
    "repositoryLocationName": "notaflow_pipeline",
    "repositoryName": "__repository__",
    "jobName": "ocr_job",
}


LAUNCH = """
mutation ($job: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $job}) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""


EXECUTE_AGAIN = """
mutation ($run: String!, $strategy: ReexecutionStrategy!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: $strategy}) {
    __typename ... on LaunchRunSuccess { run { runId } }
  }
}
"""


def ask(port: int, mutation: str, **variables: object) -> str:
    """Do what a button of the UI does; return the id of the run that it launched."""
    answer = httpx.post(
        f"http://127.0.0.1:{port}/graphql", json={"query": mutation, "variables": variables}, timeout=HANG_SECONDS
    ).json()
    (launched,) = answer["data"].values()
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


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


RUN_AT_WORK = """
SELECT run_id
FROM ocr_attempt
GROUP BY 1
HAVING count(finished_at) >= 3
   AND count(*) > count(finished_at)
"""


def wait_for_run_at_work(connection: Connection) -> str:
    """Wait for a run that has read some documents and holds others."""
    found: list[str] = []

    def is_at_work() -> bool:
        found.extend(run for (run,) in connection.execute(RUN_AT_WORK))
        return bool(found)

    wait_until(is_at_work)
    return found[0]


def outcomes(connection: Connection) -> Counter[str]:
    return Counter(dict(connection.execute("SELECT outcome, count(*) FROM ocr_attempt GROUP BY 1").fetchall()))


def has_ended(connection: Connection, run: str) -> bool:
    return runs(connection)[run] in {"SUCCESS", "FAILURE", "CANCELED"}


def read_by(connection: Connection, run: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM ocr_attempt WHERE run_id = %s AND outcome = 'succeeded'", [run]
    ).fetchone()
    assert row is not None
    return int(row[0])


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


def open_claims(connection: Connection, run: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM ocr_attempt WHERE run_id = %s AND finished_at IS NULL", [run]
    ).fetchone()
    assert row is not None
    return int(row[0])
