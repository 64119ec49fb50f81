"""Tests of a batch without documents, which tries to claim more for a while if configured."""

import threading
from pathlib import Path

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline_tests.testing.waiting import wait_until
from notaflow_pipeline_tests.worker.pipelines import pipeline_over, ready_page

FOR_EVER = 3600.0

ALL_ARE_DONE = "SELECT bool_and(status_id = 5) FROM extraction_queue"


def test_document_that_comes_after_the_last_one_is_read_by_the_same_batch(
    connection: Connection, database_url: str, pool: ConnectionPool[Connection], folder: Path
) -> None:
    ready_page(connection, folder, "first")

    def add_when_all_are_done() -> None:
        with psycopg.connect(database_url, autocommit=True) as other:
            wait_until(lambda: other.execute(ALL_ARE_DONE).fetchone() == (True,))
            ready_page(other, folder, "second")

    adding = threading.Thread(target=add_when_all_are_done)
    adding.start()
    with pipeline_over(pool, folder) as pipeline:
        progress = pipeline.work(limit=2, wait_for_more_seconds=FOR_EVER)
    adding.join()
    assert progress.succeeded == 2


def test_batch_without_any_document_ends_at_once(pool: ConnectionPool[Connection], folder: Path) -> None:
    with pipeline_over(pool, folder) as pipeline:
        assert pipeline.work(limit=10, wait_for_more_seconds=FOR_EVER) == Progress()


def test_batch_that_waits_for_more_ends_after_its_time(
    connection: Connection, pool: ConnectionPool[Connection], folder: Path
) -> None:
    ready_page(connection, folder, "only")
    with pipeline_over(pool, folder) as pipeline:
        assert pipeline.work(limit=10, wait_for_more_seconds=0.5).succeeded == 1
