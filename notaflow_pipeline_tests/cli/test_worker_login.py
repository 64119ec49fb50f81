"""Tests of commands that prepare the database, run with the worker's login, which may not migrate."""

from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from notaflow_pipeline.job_queue.schema.migrate import migrate_down
from notaflow_pipeline.local.dev_server import run_dev
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.cli import open_terminal
from notaflow_pipeline_tests.testing import least_privilege
from notaflow_pipeline_tests.testing.job_queue import add_document

pytestmark = [pytest.mark.owner, pytest.mark.direct]


@pytest.fixture
def worker_url(database_url: str) -> str:
    """The database of this test, entered as the least-privileged role."""
    least_privilege.prepare(database_url)
    return least_privilege.as_worker(database_url)


def test_worker_migrates_where_nothing_is_missing(tmp_path: Path, worker_url: str) -> None:
    terminal = open_terminal(tmp_path, worker_url)
    done = terminal.run("migrate")
    assert (done.returncode, done.stdout) == (0, "Nothing to apply.\n")


def test_worker_gets_the_name_of_the_needed_login_and_migrates_with_it(
    tmp_path: Path, database_url: str, worker_url: str, connection: Connection
) -> None:
    migrate_down(database_url, to=18)
    terminal = open_terminal(tmp_path, worker_url)
    refused = terminal.run("migrate")
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "NOTAFLOW_OWNER_DATABASE_URL" in line
    assert connection.execute("SELECT to_regclass('ocr_pruning')").fetchone() == (None,)
    terminal.environment["NOTAFLOW_OWNER_DATABASE_URL"] = database_url
    migrated = terminal.run("migrate")
    assert "applied 019_ocr_pruning" in migrated.stdout
    assert "`notaflow migrate --roles`" in migrated.stderr, "new columns need new privileges"
    assert terminal.run("migrate", "--roles").returncode == 0
    assert terminal.run("migrate", "--check").returncode == 0


def test_recreated_objects_need_privileges_and_every_message_names_them(
    tmp_path: Path, database_url: str, worker_url: str, connection: Connection
) -> None:
    """A column that somebody dropped comes back without the worker's privilege to write it."""
    connection.execute("ALTER TABLE extraction_queue DROP COLUMN ocr_worker_id CASCADE")
    terminal = open_terminal(tmp_path, worker_url)
    terminal.environment["NOTAFLOW_OWNER_DATABASE_URL"] = database_url
    migrated = terminal.run("migrate")
    assert migrated.returncode == 0
    assert "`notaflow migrate --roles`" in migrated.stderr
    add_document(connection)
    refused = terminal.run("work")
    assert refused.returncode == 1
    assert "this login may not SELECT extraction_queue (ocr_worker_id)" in refused.stderr
    assert "`notaflow migrate --roles`, run with the owner's" in refused.stderr
    checked = terminal.run("migrate", "--check")
    assert checked.returncode == 1
    assert "- this login may not UPDATE extraction_queue (ocr_worker_id)\n" in checked.stdout
    assert "`notaflow migrate --roles`" in checked.stderr
    examined = terminal.run("doctor")
    assert "this login lacks privileges of a worker" in examined.stdout
    assert terminal.run("migrate", "--roles").returncode == 0
    assert terminal.run("work").returncode == 0


def test_owners_url_that_is_wrong_is_named(tmp_path: Path, worker_url: str) -> None:
    terminal = open_terminal(tmp_path, worker_url)
    terminal.environment["NOTAFLOW_OWNER_DATABASE_URL"] = "postgresql://owner@127.0.0.1:1/notaflow"
    refused = terminal.run("migrate")
    assert refused.returncode == 1
    assert "is NOTAFLOW_OWNER_DATABASE_URL right?" in refused.stderr


def test_owners_url_of_another_database_is_refused_before_anything_changes(
    tmp_path: Path, worker_url: str, empty_database_url: str
) -> None:
    terminal = open_terminal(tmp_path, worker_url)
    terminal.environment["NOTAFLOW_OWNER_DATABASE_URL"] = empty_database_url
    refused = terminal.run("migrate")
    assert refused.returncode == 1
    assert "NOTAFLOW_OWNER_DATABASE_URL leads to another database" in refused.stderr
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT to_regclass('extraction_queue')").fetchone() == (None,)


def test_owner_migrates_where_the_workers_login_is_not_there_yet(tmp_path: Path, empty_database_url: str) -> None:
    terminal = open_terminal(tmp_path, make_conninfo(empty_database_url, user="nobody_yet"))
    terminal.environment["NOTAFLOW_OWNER_DATABASE_URL"] = empty_database_url
    done = terminal.run("migrate")
    assert done.returncode == 0, done.stderr
    assert "applied 020_ocr_least_privilege\n" in done.stdout


def test_differences_to_be_repaired_by_hand_are_named_and_fail(
    tmp_path: Path, database_url: str, connection: Connection
) -> None:
    connection.execute("ALTER TABLE extraction_queue ALTER COLUMN supabase_path TYPE varchar(40)")
    done = open_terminal(tmp_path, database_url).run("migrate")
    assert done.returncode == 1
    assert "to be repaired by hand: column extraction_queue.supabase_path is character varying(40)" in done.stderr


def test_dev_starts_as_the_worker(
    tmp_path: Path, worker_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/true")  # in place of Dagster, which ends at once
    settings = Settings(
        NOTAFLOW_DATABASE_URL=worker_url, NOTAFLOW_HOME=tmp_path, NOTAFLOW_DOCUMENTS_URL=str(tmp_path / "documents")
    )
    assert run_dev(settings, samples=True, port=0) == 1
    assert connection.execute("SELECT count(*) > 10 FROM extraction_queue").fetchone() == (True,)


def test_pause_resume_and_version_print_json(tmp_path: Path, database_url: str) -> None:
    terminal = open_terminal(tmp_path, database_url)
    assert terminal.json("pause", "a reason") == [{"paused": True, "reason": "a reason"}]
    assert terminal.json("resume") == [{"paused": False, "was_paused": True}]
    assert [set(one) for one in terminal.json("version")] == [{"version"}]
