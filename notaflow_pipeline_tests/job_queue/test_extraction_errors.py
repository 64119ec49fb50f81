"""Rows at 4 are errors of extraction, except for those that this project set to 4."""

from datetime import timedelta
from uuid import UUID

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue import metrics, queries
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, find_exhausted, requeue_results
from notaflow_pipeline_tests.testing.job_queue import (
    ENCRYPTED,
    STUCK_AFTER,
    add_document,
    ago,
    ahead,
    change,
    claim,
    claim_one,
    document,
    expire,
    fail,
    recover_all,
    requeue,
)


def chosen(connection: Connection, exhausted_status: int) -> list[UUID]:
    """What a retry would send, which must be what is counted and what an alert is about."""
    sources = ("index",)
    found = [one.id for one in find_exhausted(connection, ExhaustedFilter(sources, exhausted_status=exhausted_status))]
    counts = queries.count_queue(
        connection, sources=sources, stuck_after=STUCK_AFTER, exhausted_status=exhausted_status
    )
    unseen = metrics.count_unacknowledged_exhausted(
        connection, sources=sources, grace=timedelta(0), exhausted_status=exhausted_status
    )
    assert len(found) == counts.exhausted == unseen
    return found


def test_extraction_error_with_old_ocr_errors_is_not_requeued(connection: Connection) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection), ENCRYPTED)
    assert chosen(connection, 3) == [row]
    change(
        connection, "extraction_queue", row, status_id=4, error_message="the registry refused", updated_at=ahead("1 s")
    )
    before = document(connection, row)
    for status in (3, 4):
        assert chosen(connection, status) == []
        assert requeue(connection, ExhaustedFilter(("index",), exhausted_status=status)) == []
    assert document(connection, row) == before


@pytest.mark.parametrize("stuck", [False, True], ids=["failed", "stuck"])
def test_row_that_our_failure_set_to_4_is_requeued(connection: Connection, stuck: bool) -> None:
    row = add_document(connection, ocr_max_attempts=1)
    held = claim_one(connection)
    if stuck:
        expire(connection, held)
        recover_all(connection, exhausted_status=4)
    else:
        assert fail(connection, held, exhausted_status=4)
    assert document(connection, row)["status_id"] == 4
    assert chosen(connection, 3) == [], "an installation with status 3 has no exhausted row at 4"
    assert chosen(connection, 4) == [row]
    assert [one.id for one in requeue(connection, ExhaustedFilter(("index",), exhausted_status=4))] == [row]
    assert [again.document_id for again in claim(connection)] == [row]


@pytest.mark.parametrize(
    "written",
    [
        {"error_message": "the registry refused"},
        {"updated_at": ahead("1 minute")},
        {"ocr_last_error_at": ago("1 hour")},
        {"document_source": "acte"},
        {"file_content": "a text"},
        {"status_id": 2},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_row_at_4_that_was_written_since_is_not_requeued(connection: Connection, written: dict[str, object]) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection), ENCRYPTED, exhausted_status=4)
    assert chosen(connection, 4) == [row]
    change(connection, "extraction_queue", row, **written)
    assert chosen(connection, 4) == []


def test_row_at_4_that_its_last_attempt_did_not_exhaust_is_not_requeued(connection: Connection) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection))
    change(connection, "extraction_queue", row, status_id=4, ocr_max_attempts=1)
    assert chosen(connection, 4) == []


def test_requeued_document_that_extraction_resets_is_changed_elsewhere(connection: Connection) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection), ENCRYPTED)
    assert len(requeue(connection, ExhaustedFilter(("index",)), run_id="run")) == 1
    change(connection, "extraction_queue", row, status_id=1, ocr_max_attempts=1)
    assert [one.state for one in requeue_results(connection, "run")] == ["changed elsewhere"]
