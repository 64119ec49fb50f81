"""A batch in which the database refuses every change of one document records the others, and the worker goes on."""

from pathlib import Path

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.job_queue.database.connections import ClaimsRefused
from notaflow_pipeline_tests.worker.pipelines import only_attempt, pipeline_over, ready_pages

pytestmark = pytest.mark.owner


def refuse(connection: Connection, document: object) -> None:
    connection.execute(f"ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (id <> '{document}') NOT VALID")


def test_refused_outcome_costs_no_other_document_its_own(
    pool: ConnectionPool[Connection], folder: Path, connection: Connection
) -> None:
    first, *others = ready_pages(connection, folder, 4)
    with pipeline_over(pool, folder) as pipeline:
        claimed = pipeline.queue.claim(4)
        refuse(connection, first)
        progress = pipeline.work(claimed, limit=4)
    assert (progress.succeeded, progress.lost, progress.failed.total()) == (3, 1, 0)
    assert {only_attempt(connection, one).outcome for one in others} == {"succeeded"}
    assert only_attempt(connection, first).outcome is None, (
        "recovery names it, and repairs it once the database lets it"
    )


def test_refused_claim_ends_no_batch_that_has_documents(
    pool: ConnectionPool[Connection], folder: Path, connection: Connection
) -> None:
    first, *_ = ready_pages(connection, folder, 3)
    refuse(connection, first)
    with pipeline_over(pool, folder) as pipeline:
        progress = pipeline.work(limit=10)
        assert (progress.claimed, progress.succeeded) == (2, 2)
        assert pipeline.work(limit=10).claimed == 0, "it is left out for a while, without another try"
    with pipeline_over(pool, folder) as pipeline, pytest.raises(ClaimsRefused):
        pipeline.work(limit=10)


def test_text_that_a_trigger_drops_is_that_documents_failure(
    pool: ConnectionPool[Connection], folder: Path, connection: Connection
) -> None:
    first, other = ready_pages(connection, folder, 2)
    connection.execute(f"""
        CREATE FUNCTION hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER hold BEFORE UPDATE ON extraction_queue
        FOR EACH ROW WHEN (NEW.id = '{first}' AND NEW.status_id = 5) EXECUTE FUNCTION hold()
    """)
    with pipeline_over(pool, folder) as pipeline:
        progress = pipeline.work(limit=2)
    assert (progress.succeeded, progress.lost, progress.failed) == (1, 0, {"refused_by_database": 1})
    assert "drops or changes the update" in str(only_attempt(connection, first).error)
    assert only_attempt(connection, other).outcome == "succeeded"
