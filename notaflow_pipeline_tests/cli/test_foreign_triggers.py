"""Tests of triggers of other programs that stop the worker: every command names the trigger and a remedy."""

import json
from pathlib import Path

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal, open_terminal
from notaflow_pipeline_tests.job_queue.schema.audit_trigger import AUDIT, SECRET
from notaflow_pipeline_tests.testing import least_privilege
from notaflow_pipeline_tests.testing.job_queue import add_document, everything

pytestmark = [pytest.mark.owner, pytest.mark.direct]

EXPLAINED = (
    "the trigger function write_audit(), which is not this project's, failed: permission denied for table audit_log"
)

REMEDY = "or GRANT INSERT ON audit_log TO notaflow_worker"


@pytest.fixture
def terminal(tmp_path: Path, database_url: str) -> Terminal:
    """A terminal whose login is a worker and nothing else."""
    least_privilege.prepare(database_url)
    return open_terminal(tmp_path, least_privilege.as_worker(database_url))


def test_every_command_names_the_function_and_what_to_grant(terminal: Terminal, connection: Connection) -> None:
    add_document(connection, error_message=SECRET, supabase_path="index/1.pdf")
    (well,) = terminal.json("migrate", "--check")
    assert well["claim"] == {
        "ok": True,
        "detail": "a document was claimed and finished, and everything was rolled back",
    }
    connection.execute(AUDIT)
    before = everything(connection)
    for arguments in (("doctor",), ("migrate", "--check"), ("migrate", "--check", "--json"), ("work",)):
        done = terminal.run(*arguments)
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert EXPLAINED in said
        assert REMEDY in said
        assert SECRET not in said
        assert "grants its role what it needs" not in said
        assert everything(connection) == before
    (report,) = [json.loads(line) for line in terminal.run("doctor", "--json").stdout.splitlines()]
    assert {one["subject"]: one["ok"] for one in report["checks"]}["claim"] is False
    connection.execute(
        "GRANT INSERT ON audit_log TO notaflow_worker; GRANT USAGE ON SEQUENCE audit_log_id_seq TO notaflow_worker"
    )
    assert terminal.run("migrate", "--check").returncode == 0
