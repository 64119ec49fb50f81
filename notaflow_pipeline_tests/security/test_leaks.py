"""The text of a document is stored in `file_content` only, and secrets are stored nowhere."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import typer
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from notaflow_pipeline.cli import EXPECTED_ERRORS
from notaflow_pipeline.cli.output import app
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, configure, defs, errors_of
from notaflow_pipeline_tests.ocr import samples

pytestmark = [pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}"), pytest.mark.owner]

TEXTS = ("ZANZIBAR", "MOZAMBIQUE")
PASSWORD = "correct-horse-battery-staple"
SERVICE_KEY = "sb_secret_9b1deb4d3b7d4bad"
HOOK = "hook-token-6f1d"
LOGIN = f"test_leaks_{os.getpid()}"


def with_password(connection: Connection, url: str) -> str:
    """Returns the URL of the database for a login with a password, which the server may or may not request."""
    login = sql.Identifier(LOGIN)
    connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(login, sql.Literal(PASSWORD)))
    parts = conninfo_to_dict(make_conninfo(url, user=LOGIN, password=PASSWORD))
    host, port = str(parts.get("host") or ""), parts.get("port")
    place = f"?host={host}" if host.startswith("/") else ""
    address = "" if place else f"{host}:{port or 5432}"
    return f"postgresql://{LOGIN}:{PASSWORD}@{address}/{parts['dbname']}{place}"


def everything_in(url: str, *, but: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Yields every value of every table and view of the database as text, with its place; one column is left out."""
    with psycopg.connect(url, autocommit=True) as connection:
        columns = connection.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert but in {(table, column) for _, table, column in columns}
        for schema, table, column in columns:
            if (table, column) == but:
                continue
            statement = sql.SQL("SELECT {}::text FROM {}").format(sql.Identifier(column), sql.Identifier(schema, table))
            for (value,) in connection.execute(statement):
                if value is not None:
                    yield f"{schema}.{table}.{column}", value


def files_in(folder: Path, *, but: Path) -> Iterator[tuple[str, str]]:
    """Yields all remaining files except the documents."""
    for path in folder.rglob("*"):
        if path.is_file() and but not in path.parents:
            yield str(path.relative_to(folder)), path.read_bytes().decode("latin-1")


COMMANDS = (
    ("retry", "--json"),
    ("work", "--json"),
    ("status",),
    ("doctor",),
    ("alert",),
    ("alert", "--check"),
    ("alert", "--test"),
)


def command_line(*arguments: str) -> BaseException | None:
    """Runs a command of `notaflow` in this process, and prints and returns the error with which it ends, as `main`
    does."""
    try:
        app([*arguments], standalone_mode=False)
    except (*EXPECTED_ERRORS, SystemExit, typer.Exit) as error:
        print(error)
        return error
    return None


def test_texts_and_secrets_are_in_no_log_output_or_event(
    connection: Connection,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = with_password(connection, database_url)
    documents = configure(monkeypatch, tmp_path, url)
    secrets = {"SUPABASE_SERVICE_KEY": SERVICE_KEY, "NOTAFLOW_ALERT_URLS": f"json://127.0.0.1:1/{HOOK}"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    for number, text in enumerate(TEXTS):
        samples.png(documents / "index" / f"{number}.png", f"{text} {text}")
        enqueue_document(connection, NewDocument("index", f"1 00{number}", f"index/{number}.png"))
    whole = samples.scanned_pdf(tmp_path / "whole.pdf", *TEXTS).read_bytes()
    (documents / "index" / "cut.pdf").write_bytes(whole[: len(whole) // 3])
    enqueue_document(connection, NewDocument("index", "2", "index/cut.pdf"))
    enqueue_document(connection, NewDocument("index", "3", "index/../../secret.pdf"))
    enqueue_document(connection, NewDocument("index", "4", f"https://other.example/?token={HOOK}x"))
    typed = samples.typed_pdf(documents / "index" / "typed.pdf", *[f"{TEXTS[0]} vend le lot"] * 5)
    enqueue_document(connection, NewDocument("index", "5", f"index/{typed.name}"))
    # a constraint that repeats the row in its message
    connection.execute(f"ALTER TABLE extraction_queue ADD CHECK (file_content !~ '{TEXTS[1]}')")

    kept: list[tuple[str, str]] = []
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        result = defs.resolve_job_def("ocr_job").execute_in_process(instance=instance, raise_on_error=False)
        assert result.success, errors_of(result)
        again = defs.resolve_job_def("ocr_recovery_job").execute_in_process(instance=instance)
        assert again.success
        for run in instance.get_runs():
            kept.append((f"run {run.run_id}", dg.serialize_value(run) + repr(run.run_config) + repr(run.tags)))
            kept += [("event", dg.serialize_value(entry)) for entry in instance.all_logs(run.run_id)]
    assert len(kept) > 20
    read = [text for (text,) in connection.execute("SELECT file_content FROM extraction_queue") if text]
    assert any(TEXTS[0] in text for text in read), "the documents must be read, otherwise this test shows nothing"
    refused = connection.execute("SELECT failure_kind FROM ocr_attempt WHERE outcome = 'failed'").fetchall()
    assert ("refused_by_database",) in refused

    for command in COMMANDS:
        command_line(*command)
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", url.replace(f"/{connection.info.dbname}", "/gone"))
    assert isinstance(command_line("status"), DatabaseUnavailable)

    printed = capfd.readouterr()
    kept += [("standard output", printed.out), ("standard error", printed.err)]
    kept += everything_in(url, but=("extraction_queue", "file_content"))
    kept += files_in(tmp_path, but=documents)
    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(LOGIN)))
    theirs = ("whole.pdf", "public.extraction_queue.supabase_path")  # the sample, and NotaFlow's own column
    words = (*TEXTS, PASSWORD, SERVICE_KEY, HOOK)
    leaks = {(where, word) for where, value in kept for word in words if word in value and where not in theirs}
    assert leaks == set()
