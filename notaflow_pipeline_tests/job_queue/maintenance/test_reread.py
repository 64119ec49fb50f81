"""Finished documents are read again: the old text stays until the new one is recorded."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import Connection
from psycopg.rows import dict_row

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue import queries
from notaflow_pipeline.job_queue.claiming import claims, outcomes, releases
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryTerms, recover
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult, Recording
from notaflow_pipeline_tests.testing.job_queue import reread, succeed

OLD = OcrResult("old text", 1, 60.0, 0, 0, 1, "tesseract (fra)", coverage=0.7)
NEW = OcrResult("new text", 1, 95.0, 0, 0, 1, "tesseract (fra+eng)")

ROW = "SELECT * FROM extraction_queue WHERE id = %s"


def claim(connection: Connection, limit: int = 10) -> list[Claim]:
    return claims.claim_documents(
        connection, limit=limit, sources=["index"], worker_id="test", run_id=None, lease=timedelta(minutes=1)
    )


def row(connection: Connection, document: UUID) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(ROW, [document]).fetchone()
    assert found is not None
    return found


def fail(connection: Connection, held: Claim, *, retryable: bool, exhausted_status: int = 3) -> bool:
    return (
        outcomes.record_failure(
            connection,
            held,
            Failure(FailureKind.TIMEOUT if retryable else FailureKind.CORRUPT, "It took too long."),
            error="OCR processing failed: It took too long.",
            fetch_seconds=0,
            source_bytes=0,
            retry_base_seconds=0,
            mirror_errors=True,
            exhausted_status=exhausted_status,
        )
        is Recording.RECORDED
    )


@pytest.fixture
def document(connection: Connection) -> UUID:
    """A document that has been read."""
    made = enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    [held] = claim(connection)
    assert succeed(connection, held, OLD)
    return made


def test_new_text_replaces_the_old_when_it_is_there_and_not_before(connection: Connection, document: UUID) -> None:
    assert claim(connection) == []
    assert reread(connection) == [document]
    assert (row(connection, document)["status_id"], row(connection, document)["file_content"]) == (5, "old text")
    [held] = claim(connection)
    assert held.attempt_number == 2
    assert (row(connection, document)["status_id"], row(connection, document)["file_content"]) == (6, "old text")
    assert succeed(connection, held, NEW)
    after = row(connection, document)
    assert (after["status_id"], after["file_content"], after["ocr_reread_requested_at"]) == (5, "new text", None)
    assert claim(connection) == [], "once is enough"
    assert list(find_violations(connection, sources=["index"])) == []


def killed(connection: Connection, held: Claim) -> None:
    connection.execute("UPDATE ocr_attempt SET lease_expires_at = claimed_at WHERE id = %s", [held.token])
    recover(connection, RecoveryTerms(["index"], timedelta(1)))


ENDS: dict[str, Callable[[Connection, Claim], object]] = {
    "failed for good": lambda connection, held: fail(connection, held, retryable=False),
    "failed for good, exhausted is 4": lambda connection, held: fail(
        connection, held, retryable=False, exhausted_status=4
    ),
    "failed": lambda connection, held: fail(connection, held, retryable=True),
    "released": lambda connection, held: releases.release(connection, [held.token], reason="told to stop"),
    "killed": killed,
    "reset by another program": lambda connection, _: connection.execute("UPDATE extraction_queue SET status_id = 3"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_old_text_and_its_times_stay_when_rereading_fails(
    connection: Connection, document: UUID, end: Callable[[Connection, Claim], object]
) -> None:
    before = row(connection, document)
    reread(connection)
    [held] = claim(connection)
    end(connection, held)
    after = row(connection, document)
    for column in ("status_id", "file_content", "ocr_started_at", "ocr_completed_at", "ocr_claim_id"):
        assert after[column] == before[column], column


def test_it_is_tried_again_until_its_attempts_are_used_up(connection: Connection, document: UUID) -> None:
    reread(connection, more_attempts=2)
    for attempt in (2, 3):
        [held] = claim(connection)
        assert held.attempt_number == attempt
        fail(connection, held, retryable=True)
        connection.execute("UPDATE extraction_queue SET ocr_next_attempt_at = NULL")
    assert claim(connection) == []
    assert row(connection, document)["ocr_reread_requested_at"] is None
    assert list(find_violations(connection, sources=["index"])) == []


def test_documents_that_were_never_read_go_first(connection: Connection, document: UUID) -> None:
    reread(connection)
    fresh = enqueue_document(connection, NewDocument("index", "2", "index/2.pdf"))
    assert [held.document_id for held in claim(connection, limit=1)] == [fresh]
    assert [held.document_id for held in claim(connection, limit=1)] == [document]


def test_documents_are_selected_by_id_engine_confidence_coverage_and_time(
    connection: Connection, document: UUID
) -> None:
    assert reread(connection, ids=[], dry_run=True) == []
    assert reread(connection, not_engine="tesseract (fra)", dry_run=True) == []
    assert reread(connection, confidence_below=60.0, dry_run=True) == []
    assert reread(connection, coverage_below=0.7, dry_run=True) == [], "0.7 is stored in four bytes"
    assert reread(connection, before=row(connection, document)["ocr_completed_at"], dry_run=True) == []
    assert reread(connection, not_engine="tesseract (fra+eng)", confidence_below=60.1, dry_run=True) == [document]
    assert reread(connection, coverage_below=0.71, dry_run=True) == [document]
    assert reread(connection, coverage_below=0.71, confidence_below=60.0, dry_run=True) == []
    assert row(connection, document)["ocr_reread_requested_at"] is None
    assert reread(connection, sources=["acte"]) == []


def test_text_of_another_program_is_not_reread(connection: Connection) -> None:
    other = enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    connection.execute("UPDATE extraction_queue SET status_id = 5, file_content = 'theirs' WHERE id = %s", [other])
    assert reread(connection) == []


def test_document_to_reread_counts_as_ready_and_unfinished(connection: Connection, document: UUID) -> None:
    def seen() -> tuple[int, bool, int]:
        counts = queries.count_queue(connection, sources=["index"], stuck_after=timedelta(minutes=10))
        ready = queries.count_ready(connection, sources=["index"], at_most=10)
        return ready, queries.has_unfinished(connection, sources=["index"]), counts.to_reread

    assert seen() == (0, False, 0)
    reread(connection)
    assert seen() == (1, True, 1)
    connection.execute("UPDATE extraction_queue SET ocr_next_attempt_at = clock_timestamp() + interval '1 hour'")
    assert seen() == (0, True, 1)
