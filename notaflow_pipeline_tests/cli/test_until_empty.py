"""Tests of `work --until-empty` where a document can be neither claimed nor ended."""

from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool
from rich.progress import Progress as Bar

from notaflow_pipeline.cli import processing
from notaflow_pipeline_tests.cli import open_terminal
from notaflow_pipeline_tests.testing import least_privilege
from notaflow_pipeline_tests.worker.pipelines import pipeline_over, ready_page

pytestmark = [pytest.mark.owner, pytest.mark.direct]


def test_rows_hidden_from_updates_end_the_work_with_their_number(
    tmp_path: Path, database_url: str, connection: Connection
) -> None:
    least_privilege.prepare(database_url)
    terminal = open_terminal(tmp_path, least_privilege.as_worker(database_url))
    hidden = [ready_page(connection, terminal.documents, f"hidden{number}") for number in range(2)]
    connection.execute(
        f"CREATE POLICY held ON extraction_queue AS RESTRICTIVE FOR UPDATE USING (id NOT IN ('{hidden[0]}', '{hidden[1]}'))"
    )
    ready_page(connection, terminal.documents, "free")
    done = terminal.run("work", "--until-empty")
    assert done.returncode == 1
    assert done.stdout.startswith("1 read"), "what was done is said too"
    assert "refuses to claim 2 ready documents" in done.stderr
    assert "(a row-level security policy keeps this login from changing it)" in done.stderr
    (status,) = terminal.json("status")
    assert (status["ready"], status["refused"], status["oldest_waiting_seconds"]) == (0, 2, None)


def test_row_that_stays_locked_ends_the_work(
    connection: Connection,
    database_url: str,
    pool: ConnectionPool[Connection],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processing, "MAX_IDLE_SECONDS", 0.0)
    (tmp_path / "index").mkdir()
    ready_page(connection, tmp_path, "locked")
    with psycopg.connect(database_url) as other, pipeline_over(pool, tmp_path) as pipeline, Bar() as bar:
        other.execute("SELECT FROM extraction_queue FOR UPDATE")
        progress, blocked = processing._work_through(pipeline, 9, bar, 1, until_empty=True, watch=False)
        assert progress.claimed == 0
        assert blocked.endswith("these are left: 1 ready (their rows are locked by other sessions)")
