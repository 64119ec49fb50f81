"""Tests of Dagster's storage: its tables are in the queue's database, in a schema of their own."""

import gc
from pathlib import Path

import dagster as dg
import pytest
from psycopg import Connection
from sqlalchemy import text
from sqlalchemy.engine import create_engine, make_url

from notaflow_pipeline.defs.instance_storage import instance_url
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, PROJECT, defs, errors_of
from notaflow_pipeline_tests.ocr import samples

pytestmark = [
    pytest.mark.usefixtures("documents"),
    pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}"),
    pytest.mark.direct,
]


def tables(connection: Connection, schema: str) -> set[str]:
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall()
    return {name for (name,) in found}


def converted(url: str) -> str:
    return instance_url(url, scheme="postgresql+psycopg2", schema="dagster")


def test_run_is_stored_in_the_schema_dagster_and_nothing_of_it_in_public(
    connection: Connection, documents: Path, tmp_path: Path
) -> None:
    public = tables(connection, "public")
    samples.png(documents / "index" / "lot.png")
    connection.execute(
        "INSERT INTO extraction_queue (document_source, document_number, status_id, supabase_path) "
        "VALUES ('index', '1', 3, 'index/lot.png')"
    )
    with dg.DagsterInstance.from_config(str(PROJECT)) as instance:
        result = defs.resolve_job_def("ocr_job").execute_in_process(instance=instance, raise_on_error=False)
        assert result.success, errors_of(result)
        assert instance.get_run_by_id(result.run_id).status is dg.DagsterRunStatus.SUCCESS  # type: ignore[union-attr]
    assert tables(connection, "public") == public
    assert {"runs", "event_logs", "alembic_version"} <= tables(connection, "dagster")
    assert connection.execute("SELECT run_id, status FROM dagster.runs").fetchall() == [(result.run_id, "SUCCESS")]
    assert connection.execute("SELECT status_id FROM extraction_queue").fetchall() == [(5,)]
    assert (tmp_path / ".notaflow" / "dagster").is_dir(), "files go to the folder that it was started in"


def test_instance_opens_a_second_time_on_what_is_there(connection: Connection) -> None:
    for _ in range(2):
        with dg.DagsterInstance.from_config(str(PROJECT)) as instance:
            assert instance.get_runs_count() == 0


def test_unavailable_database_is_one_clear_error_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", "postgresql://notaflow:hunter2@127.0.0.1:1/notaflow")
    with pytest.raises(Exception, match=r"cannot use database notaflow at 127\.0\.0\.1:1") as unavailable:
        dg.DagsterInstance.from_config(str(PROJECT)).get_runs_count()
    assert "hunter2" not in str(unavailable.value)
    gc.collect()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://user:p%40s%2Fs%25w%3Ard%2B+x@db.example:6543/notaflow",
            {"user": "user", "password": "p@s/s%w:rd++x", "host": "db.example", "port": "6543", "dbname": "notaflow"},
        ),
        ("postgres://user@db.example/notaflow", {"user": "user", "host": "db.example", "dbname": "notaflow"}),
        (
            "postgresql://user:pw@db.example/notaflow?sslmode=require&application_name=a%20b",
            {"user": "user", "sslmode": "require", "application_name": "a b", "dbname": "notaflow"},
        ),
        (
            "postgresql://postgres:@/notaflow?host=/run/post%20gres",
            {"user": "postgres", "host": "/run/post gres", "dbname": "notaflow"},
        ),
        pytest.param(
            "postgresql:///notaflow?host=/run/postgresql",
            {"host": "/run/postgresql", "dbname": "notaflow"},
        ),
        pytest.param(
            "host=db.example dbname=notaflow user=user",
            {"host": "db.example", "dbname": "notaflow", "user": "user"},
        ),
    ],
)
def test_every_part_of_the_url_reaches_the_driver(url: str, expected: dict[str, str]) -> None:
    dialect = create_engine(converted(url)).dialect
    _, arguments = dialect.create_connect_args(make_url(converted(url)))
    names = {"database": "dbname", "username": "user"}
    given = {names.get(name, name): str(value) for name, value in arguments.items()}
    assert given.items() >= expected.items()
    assert given["options"] == "-c search_path=dagster"


def test_options_that_the_url_has_already_are_kept(database_url: str) -> None:
    url = converted(f"{database_url}&options=-c%20statement_timeout%3D4321")
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "4321ms"
        assert connection.execute(text("SHOW search_path")).scalar() == "dagster"
    engine.dispose()


def test_no_other_schema_is_searched(database_url: str) -> None:
    engine = create_engine(converted(database_url))
    with engine.connect() as one, pytest.raises(Exception, match=r"extraction_queue.*does not exist"):
        one.execute(text("SELECT FROM extraction_queue"))
    engine.dispose()
