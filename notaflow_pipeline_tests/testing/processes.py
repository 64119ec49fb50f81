"""Starts `notaflow dev`, finds the processes of a terminal, and adds documents that keep them at work."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psutil
from psycopg import Connection

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.cli import Terminal, open_terminal
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.testing.ending import kill


@contextmanager
def terminal_on(folder: Path, database_url: str) -> Iterator[Terminal]:
    """A terminal on a database; whatever was started from it is ended with the test."""
    terminal = open_terminal(folder, database_url)
    try:
        yield terminal
    finally:
        kill(started_from(terminal))


@contextmanager
def running_dev(terminal: Terminal, port: int) -> Iterator["subprocess.Popen[str]"]:
    """`notaflow dev` without samples; Dagster's chatter goes to a file, which a failing test prints."""
    log = terminal.folder / "dev.log"
    with log.open("w") as out:
        dev = subprocess.Popen(
            [*terminal.command, "dev", "--no-samples", "--port", str(port)],
            cwd=terminal.folder,
            env=terminal.environment | {"OCR_WORKER_ID": "daemon"},
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield dev
    except BaseException:
        print(log.read_text()[-5000:])  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        dev.kill()
        dev.wait()


def started_from(terminal: Terminal) -> list[psutil.Process]:
    """Every living process that has the terminal's own environment: its commands, their workers, their Tesseracts.

    A process that runs OCR workers closes its memory, its environment too: ordinary users do not see these here, root does.
    """
    mark = terminal.environment["TMPDIR"]
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def ready_documents(connection: Connection, terminal: Terminal, count: int) -> list[UUID]:
    """Documents of one page each, on which Tesseract works for a moment."""
    page = terminal.documents / "index" / "page.png"
    if not page.exists():
        samples.png(page, "Vente du lot 3 770 292\nHypothèque 75 000,00 $\nQuittance 2019-05-31")
    with connection.transaction():
        return [
            enqueue_document(connection, NewDocument("index", f"2 784 {number}", "index/page.png"))
            for number in range(count)
        ]


def drop_unclaimed(connection: Connection, but: int) -> int:
    """Delete the documents that were never claimed, except for some; return how many documents are left.

    A test that shows what became of those in hand needs to read no hundreds of others.
    """
    connection.execute(
        """
        DELETE FROM extraction_queue
        WHERE id IN (
          SELECT id
          FROM extraction_queue AS q
          WHERE status_id = 3
            AND NOT EXISTS (SELECT FROM ocr_attempt AS a WHERE a.queue_id = q.id)
          OFFSET %s
        )
        """,
        [but],
    )
    row = connection.execute("SELECT count(*) FROM extraction_queue").fetchone()
    assert row is not None
    return int(row[0])


def count_at(connection: Connection, status: int) -> int:
    """How many documents have this status."""
    row = connection.execute("SELECT count(*) FROM extraction_queue WHERE status_id = %s", [status]).fetchone()
    assert row is not None
    return int(row[0])
