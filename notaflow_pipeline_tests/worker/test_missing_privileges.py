"""A privilege or a table that goes missing during a batch is waited for, and costs no document an attempt."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.worker.queue_client import QueueClient
from notaflow_pipeline_tests.testing import least_privilege
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.waiting import wait_until
from notaflow_pipeline_tests.worker.pipelines import assert_released, only_attempt, pipeline_over, ready_pages

if TYPE_CHECKING:
    from notaflow_pipeline.worker.progress import Progress

pytestmark = [pytest.mark.owner, pytest.mark.direct]

REVOKED = {
    "privilege": (
        "REVOKE UPDATE (status_id) ON extraction_queue FROM notaflow_worker",
        "GRANT UPDATE (status_id) ON extraction_queue TO notaflow_worker",
    ),
    "table": ("ALTER TABLE ocr_attempt RENAME TO moved", "ALTER TABLE moved RENAME TO ocr_attempt"),
    "column": (
        "ALTER TABLE extraction_queue RENAME COLUMN ocr_started_at TO moved",
        "ALTER TABLE extraction_queue RENAME COLUMN moved TO ocr_started_at",
    ),
    "trigger": (
        """
        CREATE TABLE audit_log (document uuid);
        CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO audit_log VALUES (NEW.id); RETURN NEW; END $$;
        CREATE TRIGGER audit AFTER UPDATE ON extraction_queue FOR EACH ROW EXECUTE FUNCTION audit()
        """,
        "GRANT INSERT ON audit_log TO notaflow_worker",
    ),
}


@pytest.fixture
def worker_pool(direct_url: str) -> Iterator[ConnectionPool[Connection]]:
    """A pool with the worker's role, while the tests are the owner."""
    least_privilege.prepare(direct_url)
    with open_pool(least_privilege.as_worker(direct_url)) as one:
        yield one


@pytest.mark.parametrize(("revoke", "restore"), REVOKED.values(), ids=REVOKED)
def test_outcomes_wait_for_what_is_missing_and_are_recorded(
    connection: Connection,
    worker_pool: ConnectionPool[Connection],
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    revoke: str,
    restore: str,
) -> None:
    documents = ready_pages(connection, folder, 3)
    finished: list[Progress] = []
    with pipeline_over(worker_pool, folder) as pipeline:
        claimed = pipeline.queue.claim(3)
        connection.execute(revoke.encode())
        working = threading.Thread(target=lambda: finished.append(pipeline.work(claimed, limit=3)))
        working.start()
        wait_until(lambda: "is missing" in caplog.text and "trying again" in caplog.text)
        connection.execute(restore.encode())
        working.join()
    assert [one.succeeded for one in finished] == [3]
    assert {only_attempt(connection, one).outcome for one in documents} == {"succeeded"}
    assert violated_invariants(connection) == {}


def test_batch_that_may_claim_no_more_finishes_its_documents(
    connection: Connection, worker_pool: ConnectionPool[Connection], folder: Path
) -> None:
    first, other = ready_pages(connection, folder, 2)
    with pipeline_over(worker_pool, folder) as pipeline:
        claimed = pipeline.queue.claim(1)
        connection.execute("REVOKE INSERT ON ocr_attempt FROM notaflow_worker")
        assert pipeline.work(claimed, limit=2).succeeded == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pipeline.work(limit=2)
    assert only_attempt(connection, first).outcome == "succeeded"
    assert_released(connection, other)


def test_privilege_that_stays_missing_ends_the_batch_with_its_name(
    connection: Connection, worker_pool: ConnectionPool[Connection], folder: Path
) -> None:
    [document] = ready_pages(connection, folder, 1)
    with pipeline_over(worker_pool, folder) as whole:
        pipeline = replace(
            whole, queue=QueueClient(worker_pool, replace(whole.queue.terms, lease=timedelta(seconds=1)))
        )
        claimed = pipeline.queue.claim(1)
        connection.execute("REVOKE UPDATE (file_content) ON extraction_queue FROM notaflow_worker")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="extraction_queue"):
            pipeline.work(claimed, limit=1)
    assert_released(connection, document)
