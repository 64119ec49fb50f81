"""Tests of failing commands: they print one line with the reason, exit with 1, and change no row."""

import shutil
import socket
from pathlib import Path

import psycopg
import pytest
from PIL import Image
from psycopg import Connection

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline_tests.cli import Terminal, open_terminal
from notaflow_pipeline_tests.testing.rows import row_versions

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def page(terminal: Terminal, connection: Connection) -> None:
    """A document that is ready, and could be read if all were well."""
    Image.new("L", (60, 40), "white").save(terminal.documents / "index" / "page.png")
    enqueue_document(connection, NewDocument("index", "1", "index/page.png"))


def refused(terminal: Terminal, connection: Connection, *arguments: str, **changes: str) -> str:
    """Run a command that must fail, and return the one line that it prints."""
    before = row_versions(connection)
    done = terminal.run(*arguments, **changes)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("notaflow: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert SECRET not in done.stderr
    assert row_versions(connection) == before
    return done.stderr


COMMANDS = [["enqueue", "."], ["work", "--until-empty", "--json"], ["status"], ["export"]]


@pytest.mark.parametrize("command", [*COMMANDS, ["migrate"]], ids=" ".join)
def test_database_unavailable(terminal: Terminal, connection: Connection, command: list[str]) -> None:
    with socket.socket() as listener:  # bound and not listening: a port at which surely nobody answers
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        url = f"postgresql://notaflow:{SECRET}@127.0.0.1:{port}/notaflow"
        line = refused(terminal, connection, *command, NOTAFLOW_DATABASE_URL=url)
    assert f"cannot use database notaflow at 127.0.0.1:{port}" in line
    assert "Is it running" in line


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_schema_not_migrated(tmp_path: Path, empty_database_url: str, command: list[str]) -> None:
    migrate(empty_database_url, sources=["index"], to=5)
    terminal = open_terminal(tmp_path / "other", empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        enqueue_document(connection, NewDocument("index", "1", "index/page.png"))
        line = refused(terminal, connection, *command)
    assert "schema is not ready for OCR" in line
    assert "`notaflow migrate` repairs it" in line


def test_language_missing(terminal: Terminal, connection: Connection) -> None:
    line = refused(terminal, connection, "work", OCR_LANGUAGES="xyz")
    assert "no language data for 'xyz'" in line
    assert "install tesseract-ocr-xyz or change OCR_LANGUAGES" in line


def test_tesseract_missing(terminal: Terminal, connection: Connection) -> None:
    line = refused(terminal, connection, "work", PATH=str(terminal.folder), OCR_ENGINE="pytesseract")
    assert "Tesseract is not installed" in line
    assert "apt-get install tesseract-ocr tesseract-ocr-fra" in line


def test_storage_unavailable(terminal: Terminal, connection: Connection) -> None:
    shutil.rmtree(terminal.documents)
    assert "Check that the folder exists" in refused(terminal, connection, "work")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://project.supabase.co", "SUPABASE_SERVICE_KEY"),
        ("ftp://documents.example", "Documents cannot be read from ftp: URLs"),
        (f"s3://key:{SECRET}@bucket", "Credentials do not belong in the s3:// URL"),
    ],
)
def test_implausible_storage_url(terminal: Terminal, connection: Connection, url: str, says: str) -> None:
    assert says in refused(terminal, connection, "work", NOTAFLOW_DOCUMENTS_URL=url)


@pytest.mark.parametrize("command", [["work"], ["doctor"], ["dev"]], ids=" ".join)
def test_wrong_setting(terminal: Terminal, connection: Connection, command: list[str]) -> None:
    assert "OCR_WORKERS" in refused(terminal, connection, *command, OCR_WORKERS="many")


def test_invalid_database_url(terminal: Terminal, connection: Connection) -> None:
    line = refused(terminal, connection, "status", NOTAFLOW_DATABASE_URL=f"mysql://user:{SECRET}@host/database")
    assert "NOTAFLOW_DATABASE_URL is not a PostgreSQL URL" in line


def test_file_that_is_not_there(terminal: Terminal, connection: Connection) -> None:
    line = refused(terminal, connection, "enqueue", "nowhere.pdf", "documents/index/page.png")
    assert "nowhere.pdf does not exist" in line


def test_document_that_is_not_there(terminal: Terminal, connection: Connection) -> None:
    assert "no document has the id or number '9 999 999'" in refused(terminal, connection, "show", "9 999 999")


def test_port_that_is_taken(terminal: Terminal, connection: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        line = refused(terminal, connection, "dev", "--no-samples", "--port", port)
    assert f"port {port} on 127.0.0.1 is in use" in line


@pytest.mark.parametrize("command", [["work", "--until-empty"], ["work", "--json"]], ids=" ".join)
def test_documents_folder_one_too_deep(terminal: Terminal, connection: Connection, command: list[str]) -> None:
    line = refused(terminal, connection, *command, NOTAFLOW_DOCUMENTS_URL=str(terminal.documents / "index"))
    assert "has no folder index" in line
    assert "Set NOTAFLOW_DOCUMENTS_URL to the folder that contains it" in line


def test_doctor_names_a_documents_folder_one_too_deep(terminal: Terminal) -> None:
    done = terminal.run("doctor", NOTAFLOW_DOCUMENTS_URL=str(terminal.documents / "index"))
    assert done.returncode == 1
    assert "has no folder index" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("command", "says"),
    [
        # every number is below nan for PostgreSQL
        (["reread", "--confidence-below", "nan"], "a number of at least 0 and at most 100, such as 10"),
        (["reread", "--coverage-below", "nan"], "a number of at least 0 and at most 1, such as 0.5"),
        (["reread", "--before", "1700000000"], "a time, such as 2025-11-01 or 2025-11-01 14:30"),
        (["retry", "--since", "soon"], "a time, such as 2025-11-01 or 2025-11-01 14:30"),
        (["retry", "--max-requeues", "9" * 20], "a whole number of at least 1 and at most 1,000, such as 10"),
        (["retry", "--kind", "timeoutt"], "one of "),
        (["export", "--since", "soon"], "a time, such as 2025-11-01 or 2025-11-01 14:30"),
        (["report", "--from", "soon"], "a day, such as 2025-11-01"),
        (["enqueue", ".", "--source", "other"], "one of index, acte; such as index"),
        (["list", "--limit", "9" * 20], "a whole number of at least 1 and at most 1,000,000, such as"),
        (["work", "--limit", "0"], "a whole number of at least 1 and at most 1,000,000,000, such as 10"),
        (["work", "--limit", "9" * 20], "a whole number of at least 1 and at most 1,000,000,000, such as 10"),
        (["work", "--limit", "many"], "a whole number of at least 1 and at most 1,000,000,000, such as 10"),
        (["dev", "--port", "99999"], "a whole number of at least 1 and at most 65,535, such as 3000"),
        (["dev", "--port", "-1"], "a whole number of at least 1 and at most 65,535, such as 3000"),
    ],
    ids=lambda one: " ".join(one)[:40] if isinstance(one, list) else None,
)
def test_option_out_of_its_range_is_refused(
    terminal: Terminal, connection: Connection, command: list[str], says: str
) -> None:
    done = terminal.run(*command, COLUMNS="400")
    assert done.returncode == 2
    assert f"Invalid value for '{command[-2]}': it takes {says}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["report", "--to", "9999-12-31"], "--to 9999-12-31 is in the future"),
        (["pause", " "], "a pause needs a reason, such as "),
        (["enqueue", "/dev/null"], "/dev/null is neither a file nor a folder"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else None,
)
def test_implausible_value_is_refused(
    terminal: Terminal, connection: Connection, command: list[str], says: str
) -> None:
    assert says in refused(terminal, connection, *command)
