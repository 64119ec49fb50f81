"""Tests of `notaflow work --watch` as compose.yaml starts it: it reads later documents, and ends on SIGTERM."""

import signal
from pathlib import Path

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.cli import open_terminal
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.testing.processes import count_at
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until


def test_watching_worker_reads_later_documents_and_ends_on_sigterm(
    tmp_path: Path, connection: Connection, database_url: str
) -> None:
    terminal = open_terminal(tmp_path, database_url)
    samples.png(terminal.documents / "index" / "page.png", "Vente du lot 3 770 292")
    worker = terminal.start("work", "--watch", "--json")
    try:
        for done in (1, 2):  # the second comes when the queue was empty already
            enqueue_document(connection, NewDocument("index", "1", "index/page.png"))
            wait_until(lambda done=done: count_at(connection, 5) == done)  # type: ignore[misc]
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=HANG_SECONDS)
        assert worker.returncode == 128 + signal.SIGTERM
    finally:
        worker.kill()


@pytest.mark.owner
def test_worker_stays_beside_a_document_that_the_database_refuses_to_claim(
    tmp_path: Path, connection: Connection, database_url: str
) -> None:
    terminal = open_terminal(tmp_path, database_url)
    samples.png(terminal.documents / "index" / "page.png", "Vente du lot 3 770 292")
    refused = enqueue_document(connection, NewDocument("index", "1", "index/page.png"))
    connection.execute(f"ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (id <> '{refused}') NOT VALID")
    once = terminal.run("work")
    assert once.returncode == 1
    assert f"the database refuses to claim 1 ready document, such as {refused}" in once.stderr
    worker = terminal.start("work", "--watch")
    try:
        assert worker.stderr is not None
        assert "constraint held" in worker.stderr.readline()
        enqueue_document(connection, NewDocument("index", "2", "index/page.png"))
        wait_until(lambda: count_at(connection, 5) == 1 or worker.poll() is not None)
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.communicate(timeout=HANG_SECONDS)


def test_watch_and_until_empty_exclude_each_other(tmp_path: Path, database_url: str) -> None:
    refused = open_terminal(tmp_path, database_url).run("work", "--watch", "--until-empty")
    assert refused.returncode == 1
    assert "cannot be combined" in refused.stderr
