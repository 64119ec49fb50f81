"""Tests of cancelling: the result for a document in each state, and how it is allowed again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue import metrics
from notaflow_pipeline.job_queue.cancel import cancel_documents, set_priority
from notaflow_pipeline.job_queue.claiming.claims import claim_documents
from notaflow_pipeline.job_queue.claiming.lease_renewal import renew
from notaflow_pipeline.job_queue.database import sessions
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.listing import DocumentState, list_documents
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, find_exhausted, requeue_exhausted
from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline.job_queue.queries import attempts_of_document, count_queue
from notaflow_pipeline_tests.testing.job_queue import (
    LEASE,
    READING,
    STUCK_AFTER,
    TIMEOUT,
    add_document,
    ago,
    ahead,
    change,
    claim_one,
    document,
    everything,
    fail,
    succeed,
)
from notaflow_pipeline_tests.testing.rows import lock
from notaflow_pipeline_tests.testing.waiting import wait_until

SOURCES = ("index",)


def cancel(connection: Connection, *ids: UUID) -> list[str]:
    """Cancel, and return what each document was."""
    done = cancel_documents(
        connection, ids, sources=SOURCES, worker_id="desk", reason="ordered twice", mirror_errors=True
    )
    assert list(find_violations(connection, sources=SOURCES)) == []
    return [one.was for one in done]


def state_of(connection: Connection, key: UUID) -> str | None:
    listed = list_documents(
        connection,
        sources=SOURCES,
        stuck_after=STUCK_AFTER,
        exhausted_status=3,
        states=tuple(DocumentState),
        limit=100,
    )
    return next((one.state for one in listed if one.id == key), None)


def can_be_claimed(connection: Connection) -> bool:
    claimed = claim_documents(connection, limit=1, sources=SOURCES, worker_id="w", run_id=None, lease=LEASE)
    return bool(claimed)


def test_cancelled_document_is_not_read_until_it_is_requeued_by_id(connection: Connection) -> None:
    key = add_document(connection)
    assert cancel(connection, key) == ["waiting"]
    row = document(connection, key)
    assert (row["status_id"], row["ocr_attempts"], row["ocr_max_attempts"]) == (3, 0, 0)
    assert row["ocr_error"] == row["error_message"] == "OCR processing failed: cancelled: ordered twice"
    assert state_of(connection, key) == "cancelled"
    assert not can_be_claimed(connection)
    assert requeue_exhausted(connection, ExhaustedFilter(sources=SOURCES)).rows == 0
    assert requeue_exhausted(connection, ExhaustedFilter(sources=SOURCES, ids=(key,))).rows == 1
    assert state_of(connection, key) == "ready"
    assert can_be_claimed(connection)


def test_document_under_ocr_is_cancelled_and_counts_no_attempt(connection: Connection) -> None:
    key = add_document(connection)
    claim = claim_one(connection)
    assert cancel(connection, key) == ["active"]
    assert renew(connection, [claim.token], LEASE) == set()
    assert not succeed(connection, claim, READING)
    row = document(connection, key)
    assert (row["status_id"], row["ocr_attempts"], row["ocr_max_attempts"], row["file_content"]) == (3, 0, 0, None)
    [attempt] = attempts_of_document(connection, key)
    assert (attempt.outcome, attempt.failure_kind, attempt.error) == (
        "released",
        "cancelled",
        "cancelled: ordered twice",
    )
    assert not can_be_claimed(connection)


def test_document_that_another_program_reset_under_its_worker_is_cancelled(connection: Connection) -> None:
    key = add_document(connection)
    claim = claim_one(connection)
    connection.execute("UPDATE extraction_queue SET status_id = 3")
    assert cancel(connection, key) == ["waiting"]
    assert [one.outcome for one in attempts_of_document(connection, key)] == ["superseded", "released"]
    assert not succeed(connection, claim, READING)
    assert list(find_violations(connection, sources=SOURCES)) == []


@pytest.mark.parametrize("counted", [-(2**31), 2**31 - 1])
def test_document_with_an_extreme_number_of_attempts_is_cancelled(connection: Connection, counted: int) -> None:
    key = add_document(connection, ocr_attempts=counted, ocr_max_attempts=3)
    assert cancel(connection, key) == ["waiting"]
    assert not can_be_claimed(connection)


def test_cancelled_exhausted_document_is_not_requeued_and_no_alarm(
    connection: Connection,
) -> None:
    key = add_document(connection, ocr_max_attempts=1)
    assert fail(connection, claim_one(connection), TIMEOUT)
    assert metrics.count_unacknowledged_exhausted(connection, sources=SOURCES, grace=timedelta()) == 1
    assert cancel(connection, key) == ["waiting"]
    assert metrics.count_unacknowledged_exhausted(connection, sources=SOURCES, grace=timedelta()) == 0
    assert list(find_exhausted(connection, ExhaustedFilter(sources=SOURCES))) == []
    [named] = find_exhausted(connection, ExhaustedFilter(sources=SOURCES, kinds=("cancelled",)))
    assert (named.id, named.failure_kind, named.ocr_attempts) == (key, "cancelled", 1)
    assert requeue_exhausted(connection, ExhaustedFilter(sources=SOURCES, kinds=("cancelled",))).rows == 1
    assert document(connection, key)["ocr_max_attempts"] == 4
    assert cancel(connection, key) == ["waiting"], "what was requeued can be cancelled again"


def test_document_in_backoff_is_cancelled_and_only_once(connection: Connection) -> None:
    key = add_document(connection)
    assert fail(connection, claim_one(connection), TIMEOUT)
    change(connection, "extraction_queue", key, ocr_next_attempt_at=ahead("1 hour"))
    assert cancel(connection, key) == ["waiting"]
    assert document(connection, key)["ocr_next_attempt_at"] is None
    before = everything(connection)
    assert cancel(connection, key) == []
    assert everything(connection) == before


@pytest.mark.parametrize("claimed", [False, True])
def test_reread_that_is_cancelled_keeps_the_text(connection: Connection, claimed: bool) -> None:
    key = add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    request_reread(connection, sources=SOURCES, ids=[key])
    if claimed:
        claim_one(connection)
    assert cancel(connection, key) == ["reread"]
    row = document(connection, key)
    assert (row["status_id"], row["file_content"], row["ocr_reread_requested_at"]) == (5, READING.text, None)
    assert row["ocr_error"] is None
    assert not can_be_claimed(connection)


def test_finished_foreign_and_unextracted_documents_stay_as_they_are(connection: Connection) -> None:
    done = add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    foreign = add_document(connection, status_id=6, ocr_attempts=1, ocr_started_at=ago("1 minute"))
    unextracted = add_document(connection, status_id=1)
    deed = add_document(connection, document_source="acte")
    before = everything(connection)
    assert cancel(connection, done, foreign, unextracted, deed) == []
    assert everything(connection) == before


def test_every_state_is_listed_as_it_is_counted(connection: Connection) -> None:
    for _ in range(2):
        add_document(connection)
    claim_one(connection)
    add_document(connection, ocr_attempts=1, ocr_next_attempt_at=ahead("1 hour"))
    add_document(connection, ocr_attempts=3)
    add_document(connection, status_id=6, ocr_attempts=1, ocr_started_at=ago("1 hour"))
    add_document(connection, status_id=6, ocr_attempts=1, ocr_started_at=ago("1 minute"))
    add_document(connection, ocr_max_attempts=0)
    add_document(connection, status_id=4)
    add_document(connection, status_id=5, file_content="text", ocr_attempts=1)
    counts = count_queue(connection, sources=SOURCES, stuck_after=STUCK_AFTER)
    listed = list_documents(
        connection,
        sources=SOURCES,
        stuck_after=STUCK_AFTER,
        exhausted_status=3,
        states=tuple(DocumentState),
        limit=100,
    )
    by_state = {state: sum(one.state == state for one in listed) for state in DocumentState}
    assert by_state.pop(DocumentState.CANCELLED) == 0
    assert {str(state): count for state, count in by_state.items()} == vars(counts)


def test_priority_is_set_on_what_is_still_to_be_read(connection: Connection) -> None:
    done = add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    first, urgent = add_document(connection), add_document(connection)
    assert set_priority(connection, [done, urgent], 7, sources=SOURCES) == [urgent]
    assert claim_one(connection).document_id == urgent
    assert document(connection, done)["ocr_priority"] == 0
    assert set_priority(connection, [urgent], -1, sources=SOURCES) == [urgent], "one in work keeps it for its retry"
    assert claim_one(connection).document_id == first


@pytest.mark.direct
def test_priorities_are_set_in_the_order_in_which_rows_are_cancelled(
    connection: Connection, other: Connection, locker: Connection
) -> None:
    """Otherwise both could wait for each other. The planner reads a small table in the order in which rows were added."""
    last, first = (add_document(connection, id=UUID(int=number)) for number in (2, 1))
    lock(locker, first)
    with ThreadPoolExecutor(1) as thread:
        setting = thread.submit(set_priority, connection, [last, first], 5, sources=["index"])
        waits = "SELECT FROM pg_locks WHERE pid = %s AND NOT granted"
        wait_until(lambda: other.execute(waits, [connection.info.backend_pid]).rowcount)
        other.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE NOWAIT", [last])
        locker.rollback()
        assert set(setting.result()) == {first, last}


def test_wait_for_a_locked_row_is_not_blamed_on_a_trigger(
    connection: Connection, locker: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LOCK_SECONDS", 0.1)
    key = add_document(connection)
    lock(locker, key)
    with pytest.raises(psycopg.errors.LockNotAvailable, match=r"^canceling statement due to lock timeout"):
        set_priority(connection, [key], 5, sources=["index"])
