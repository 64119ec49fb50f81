"""Tests of the jobs that cancel documents and set their priority, as launched from the Dagster UI."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, configure, defs, errors_of

pytestmark = pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")


@pytest.fixture(autouse=True)
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str, connection: Connection) -> None:
    """Three documents are ready."""
    configure(monkeypatch, tmp_path, database_url)
    for number in ("1", "2", "3"):
        enqueue_document(connection, NewDocument("index", number, f"index/{number}.pdf"))


def launched(job: str, op: str, **config: Any) -> dg.ExecuteInProcessResult:
    run_config = {"ops": {op: {"config": config}}}
    return defs.resolve_job_def(job).execute_in_process(run_config=run_config, raise_on_error=False)


def test_documents_are_cancelled_with_the_reason(connection: Connection) -> None:
    row = connection.execute("SELECT id::text FROM extraction_queue WHERE document_number = '3'").fetchone()
    assert row is not None
    result = launched(
        "cancel_documents_job", "cancel_named_documents", documents=["1", row[0]], reason="the order was withdrawn"
    )
    assert result.success
    ready = "SELECT document_number FROM extraction_queue WHERE ocr_error IS NULL"
    assert connection.execute(ready).fetchall() == [("2",)]
    reasons = "SELECT DISTINCT ocr_error FROM extraction_queue WHERE ocr_error IS NOT NULL"
    assert connection.execute(reasons).fetchall() == [("OCR processing failed: cancelled: the order was withdrawn",)]


def test_priority_is_set(connection: Connection) -> None:
    assert launched("document_priority_job", "set_priority_of_documents", documents=["2"], priority=7).success
    priorities = "SELECT document_number, ocr_priority FROM extraction_queue ORDER BY document_number"
    assert connection.execute(priorities).fetchall() == [("1", 0), ("2", 7), ("3", 0)]


@pytest.mark.parametrize(
    ("job", "op"),
    [("cancel_documents_job", "cancel_named_documents"), ("document_priority_job", "set_priority_of_documents")],
)
def test_run_fails_for_documents_that_stay_and_says_why(connection: Connection, job: str, op: str) -> None:
    connection.execute("UPDATE extraction_queue SET status_id = 5, file_content = '' WHERE document_number = '1'")
    versions = "SELECT document_number, xmin::text FROM extraction_queue"
    before = set(connection.execute(versions).fetchall())
    result = launched(job, op, documents=["1", "2"])
    assert not result.success
    said = errors_of(result)
    assert "1 document" in said
    assert "it is finished" in said
    changed = set(connection.execute(versions).fetchall()) - before
    assert {number for number, _ in changed} == {"2"}
