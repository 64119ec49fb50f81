"""Texts that are ready at the same time share a commit only if they are small."""

import time
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.worker import outcome_recorder
from notaflow_pipeline.worker.pipeline import Pipeline
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline_tests.ocr.failing_engines import FAILING_WIDTH, LongTextEngine
from notaflow_pipeline_tests.worker.pipelines import only_attempt, pipeline_over, ready_page, row

LARGEST_COMMIT = """
SELECT max(texts)
FROM (
    SELECT count(*) AS texts
    FROM extraction_queue
    WHERE length(file_content) > 1000000
    GROUP BY xmin::text
) AS commit
"""


def work_when_all_are_read(pipeline: Pipeline) -> Progress:
    """Work, and hold the recording thread up from the first page on until every other page is read too."""
    waited: list[bool] = []

    def wait(_: Progress) -> None:
        if not waited:
            waited.append(True)
            while pipeline.document_pool.pages_waiting:
                time.sleep(0.05)
            time.sleep(0.2)  # the last one's result is on its way

    return pipeline.work(limit=100, on_progress=wait)


def test_large_texts_that_come_together_are_recorded_in_several_commits(
    connection: Connection, pool: ConnectionPool[Connection], folder: Path
) -> None:
    for number in range(6):
        ready_page(connection, folder, f"page{number}", (FAILING_WIDTH, 40))
    with pipeline_over(pool, folder, engine=LongTextEngine(sleep_seconds=1)) as pipeline:
        assert work_when_all_are_read(pipeline).succeeded == 6
    largest = connection.execute(LARGEST_COMMIT).fetchone()
    assert largest is not None
    assert largest[0] <= 2, "two of 3,000,000 characters are over 4,000,000"


def test_text_that_no_server_would_take_is_that_documents_failure(
    connection: Connection, pool: ConnectionPool[Connection], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_recorder, "MAX_TEXT_CHARACTERS", 2_000_000)
    large = ready_page(connection, folder, "large", (FAILING_WIDTH, 40))
    small = ready_page(connection, folder, "small")
    with pipeline_over(pool, folder, engine=LongTextEngine()) as pipeline:
        progress = pipeline.work(limit=100)
    assert (progress.succeeded, progress.failed) == (1, {"too_large": 1})
    assert row(connection, small)["status_id"] == 5
    attempt = only_attempt(connection, large)
    assert attempt.error == "Its text has more than 2,000,000 characters. Split the document."
    assert row(connection, large)["ocr_max_attempts"] == 1
