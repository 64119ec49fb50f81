"""Tests of a worker on a database of another version: it names the difference in one line and changes nothing."""

from pathlib import Path

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.schema.migrate import migrate_down
from notaflow_pipeline_tests.cli import open_terminal
from notaflow_pipeline_tests.testing.job_queue import add_document, everything


@pytest.mark.owner  # it migrates back
@pytest.mark.parametrize("version", [18, 14], ids=["before pruning", "before worker instances"])
def test_worker_of_this_version_leaves_an_older_database_alone(
    tmp_path: Path, connection: Connection, database_url: str, version: int
) -> None:
    for _ in range(3):
        add_document(connection, supabase_path="index/page.png")
    migrate_down(database_url, to=version)
    before = everything(connection)
    terminal = open_terminal(tmp_path, database_url)
    done = terminal.run("work", "--until-empty")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "schema is not ready for OCR" in line
    assert "`notaflow migrate` repairs it. No row was changed." in line
    assert everything(connection) == before


def test_worker_of_this_version_works_beside_what_a_newer_one_added(
    tmp_path: Path, connection: Connection, database_url: str
) -> None:
    connection.execute("ALTER TABLE extraction_queue ADD COLUMN ocr_of_tomorrow TEXT")
    connection.execute("CREATE TABLE ocr_of_tomorrow (day DATE)")
    assert open_terminal(tmp_path, database_url).run("work").returncode == 0
