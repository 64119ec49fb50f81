"""Attempts equal the history and never exceed the maximum, with claims of all programs, and no count overflows."""

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
    ENCRYPTED,
    READING,
    TIMEOUT,
    add_document,
    ago,
    attempts,
    change,
    claim,
    claim_one,
    document,
    expire,
    fail,
    recover_all,
    repaired,
    requeue,
    reread,
    succeed,
)

GREATEST = 2**31 - 1
"""Of a PostgreSQL integer."""


@pytest.mark.parametrize("counts", [True, False], ids=["counted", "not counted"])
@pytest.mark.parametrize("exhausted_status", [3, 4])
def test_claim_of_an_exhausted_row_by_another_program_raises_the_maximum(
    connection: Connection, exhausted_status: int, counts: bool
) -> None:
    row = add_document(connection, ocr_max_attempts=1)
    assert fail(connection, claim_one(connection), exhausted_status=exhausted_status)
    for number in (2, 3):
        change(connection, "extraction_queue", row, status_id=6, ocr_started_at=None)
        if counts:
            change(connection, "extraction_queue", row, ocr_attempts=number)
        assert recover_all(connection, exhausted_status=exhausted_status) == repaired(stuck_elsewhere=1)
        written = document(connection, row)
        assert written["status_id"] == exhausted_status, "it is exhausted as before"
        assert (written["ocr_attempts"], written["ocr_max_attempts"]) == (number, number)
        assert attempts(connection, row)[-1]["exhausted"]
        assert violated_invariants(connection) == {}
    assert claim(connection) == []
    assert recover_all(connection) == repaired()
    [sent] = requeue(connection, ExhaustedFilter(("index",), exhausted_status=exhausted_status))
    assert (sent.id, sent.failure_kind) == (row, "no_lease")
    assert claim_one(connection).attempt_number == 4
    assert violated_invariants(connection) == {}


def test_maximum_that_another_program_lowers_follows_the_attempts(connection: Connection) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection), retry_base_seconds=0)
    held = claim_one(connection)
    change(connection, "extraction_queue", row, ocr_max_attempts=1)
    expire(connection, held)
    assert recover_all(connection) == repaired(expired_leases=1)
    written = document(connection, row)
    assert (written["status_id"], written["ocr_attempts"], written["ocr_max_attempts"]) == (3, 2, 2)
    assert attempts(connection, row)[-1]["exhausted"]
    assert violated_invariants(connection) == {}


def test_maximum_that_another_program_removes_is_written_back(connection: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    change(connection, "extraction_queue", row, ocr_max_attempts=None)
    expire(connection, held)
    assert recover_all(connection) == repaired(expired_leases=1)
    assert document(connection, row)["ocr_max_attempts"] == 3
    assert attempts(connection, row)[-1]["exhausted"] is False


def test_missing_maximum_is_no_less_than_the_attempts(connection: Connection) -> None:
    row = add_document(connection, ocr_attempts=5, ocr_max_attempts=None)
    assert recover_all(connection) == repaired(missing_maxima=1)
    assert document(connection, row)["ocr_max_attempts"] == 5


def test_foreign_claim_of_a_finished_row_keeps_text_and_limits(connection: Connection) -> None:
    row = add_document(connection, ocr_max_attempts=1, created_at=ago("1 day"))
    assert succeed(connection, claim_one(connection), READING)
    assert reread(connection, more_attempts=1) == [row]
    assert fail(connection, claim_one(connection), ENCRYPTED)
    assert document(connection, row)["status_id"] == 5
    assert reread(connection, more_attempts=1) == [row]
    change(connection, "extraction_queue", row, status_id=6)
    assert recover_all(connection) == repaired(), "it has ten minutes from the end of the last attempt"
    connection.execute(
        "UPDATE ocr_attempt SET claimed_at = claimed_at - interval '1 h', finished_at = finished_at - interval '1 h'"
    )
    connection.execute("UPDATE extraction_queue SET ocr_started_at = ocr_started_at - interval '1 hour'")
    assert recover_all(connection) == repaired(stuck_elsewhere=1)
    written = document(connection, row)
    assert (written["status_id"], written["file_content"]) == (5, READING.text)
    assert (written["ocr_attempts"], written["ocr_max_attempts"]) == (3, 3)
    assert violated_invariants(connection) == {}


def test_retry_skips_a_row_whose_counts_cannot_grow(connection: Connection) -> None:
    full = add_document(connection, ocr_attempts=GREATEST, ocr_max_attempts=3)
    nearly = add_document(connection, ocr_attempts=GREATEST - 1, ocr_max_attempts=3)
    ordinary = add_document(connection, ocr_attempts=3)
    assert {one.id for one in requeue(connection, ExhaustedFilter(("index",)), more_attempts=5)} == {nearly, ordinary}
    assert document(connection, full)["ocr_max_attempts"] == 3
    assert document(connection, nearly)["ocr_max_attempts"] == GREATEST
    assert document(connection, ordinary)["ocr_max_attempts"] == 8
    assert {one.attempt_number for one in claim(connection, 5)} == {GREATEST, 4}


def test_reread_skips_a_row_whose_counts_cannot_grow(connection: Connection) -> None:
    rows = [add_document(connection) for _ in range(4)]
    for held in claim(connection, 4):
        assert succeed(connection, held, READING)
    for row, count in zip(rows, (GREATEST, GREATEST - 1, None, 1), strict=True):
        change(connection, "extraction_queue", row, ocr_attempts=count)
    assert set(reread(connection)) == set(rows[1:])
    maxima = [document(connection, row)["ocr_max_attempts"] for row in rows]
    assert maxima == [3, GREATEST, 3, 4]
    assert {one.attempt_number for one in claim(connection, 5)} == {GREATEST, 1, 2}


@pytest.mark.parametrize("count", [GREATEST, -GREATEST - 1])
def test_row_with_an_extreme_count_does_not_stop_recovery(connection: Connection, count: int) -> None:
    odd = add_document(connection, status_id=6, ocr_attempts=count)
    other = add_document(connection, status_id=6, ocr_attempts=1)
    assert recover_all(connection) == repaired(stuck_elsewhere=2)
    assert document(connection, odd)["ocr_attempts"] == max(count, 1)
    assert document(connection, odd)["ocr_max_attempts"] == max(count, 3)
    assert document(connection, other)["status_id"] == 3


def test_failure_of_the_last_attempt_leaves_attempts_at_the_maximum(connection: Connection) -> None:
    row = add_document(connection, ocr_max_attempts=2)
    for _ in range(2):
        assert fail(connection, claim_one(connection), TIMEOUT, retry_base_seconds=0)
    assert (document(connection, row)["ocr_attempts"], document(connection, row)["ocr_max_attempts"]) == (2, 2)
    assert violated_invariants(connection) == {}


@pytest.mark.parametrize("written", [{"ocr_attempts": 0}, {"ocr_attempts": None}, {"ocr_max_attempts": 0}], ids=str)
@pytest.mark.parametrize("exhausted_status", [3, 4])
def test_failure_of_a_row_whose_counts_were_reset_is_in_the_list(
    connection: Connection, exhausted_status: int, written: dict[str, int | None]
) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    change(connection, "extraction_queue", row, **written)
    assert fail(connection, held, ENCRYPTED, exhausted_status=exhausted_status)
    [sent] = requeue(connection, ExhaustedFilter(("index",), exhausted_status=exhausted_status))
    assert (sent.id, sent.ocr_attempts) == (row, 1)
    assert violated_invariants(connection) == {}


def test_row_taken_without_a_start_waits_for_the_open_attempt(connection: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3)
    change(connection, "extraction_queue", row, status_id=6, ocr_started_at=None)
    assert recover_all(connection) == repaired()
    expire(connection, held)
    assert recover_all(connection) == repaired(orphaned_attempts=1, stuck_elsewhere=1)
    assert [attempt["outcome"] for attempt in attempts(connection, row)] == ["superseded", "stuck"]
    assert document(connection, row)["ocr_attempts"] == 2
    assert violated_invariants(connection) == {}
