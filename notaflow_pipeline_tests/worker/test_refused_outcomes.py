"""A batch in which the database refuses every change of one document records the others, and the worker goes on."""

from pathlib import Path
from uuid import UUID

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, OutcomeRefused
from notaflow_pipeline.job_queue.queries import attempts_of_document
from notaflow_pipeline.worker.fault_attribution import MAX_RELEASES
from notaflow_pipeline_tests.worker.pipelines import only_attempt, pipeline_over, ready_pages

pytestmark = pytest.mark.owner


def outcomes(connection: Connection, document: UUID) -> list[str | None]:
    return [one.outcome for one in attempts_of_document(connection, document)]


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


@pytest.mark.parametrize("documents", [3, 9])
def test_refused_texts_of_all_documents_end_the_batch_and_count_no_attempt(
    pool: ConnectionPool[Connection], folder: Path, connection: Connection, documents: int
) -> None:
    keys = ready_pages(connection, folder, documents)
    connection.execute("ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (status_id <> 5) NOT VALID")
    with pipeline_over(pool, folder) as pipeline:
        with pytest.raises(OutcomeRefused, match=r"documents in a row could not be recorded.*constraint held"):
            pipeline.work(limit=100)
        rows = connection.execute("SELECT status_id, ocr_attempts, file_content FROM extraction_queue").fetchall()
        assert set(rows) == {(3, 0, None)}
        connection.execute("ALTER TABLE extraction_queue DROP CONSTRAINT held")
        assert pipeline.work(limit=100).succeeded == documents
    assert {outcomes(connection, key)[-1] for key in keys} == {"succeeded"}


def test_documents_whose_texts_are_always_refused_fail_in_the_end(
    pool: ConnectionPool[Connection], folder: Path, connection: Connection
) -> None:
    keys = ready_pages(connection, folder, 2)
    connection.execute("ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (status_id <> 5) NOT VALID")
    with pipeline_over(pool, folder) as pipeline:
        for _ in range(MAX_RELEASES):
            with pytest.raises(OutcomeRefused):
                pipeline.work(limit=100)
        assert pipeline.work(limit=100).failed == {"refused_by_database": 2}
    assert [outcomes(connection, key)[-1] for key in keys] == ["failed", "failed"]


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
