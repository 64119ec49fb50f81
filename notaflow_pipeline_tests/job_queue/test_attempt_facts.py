"""Facts that an attempt records for the daily tables: since when the document waited, and what ended it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import releases
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, requeue_exhausted
from notaflow_pipeline.job_queue.maintenance.reread import request_reread
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
    succeed,
)
from notaflow_pipeline_tests.testing.waiting import wait_until


def last_attempt(connection: Connection, row: UUID) -> dict[str, Any]:
    return attempts(connection, row)[-1]


def test_first_claim_waited_since_the_document_came(connection: Connection) -> None:
    row = add_document(connection, created_at=ago("2 hours"))
    claim_one(connection)
    assert last_attempt(connection, row)["ready_at"] == document(connection, row)["created_at"]


def test_claim_after_a_failure_waited_since_its_backoff_was_over(connection: Connection) -> None:
    row = add_document(connection, created_at=ago("2 hours"))
    fail(connection, claim_one(connection), retry_base_seconds=0.001)
    backoff = document(connection, row)["ocr_next_attempt_at"]
    wait_until(lambda: claim(connection))
    assert last_attempt(connection, row)["ready_at"] == backoff


def test_claim_after_a_release_waited_since_then(connection: Connection) -> None:
    row = add_document(connection, created_at=ago("2 hours"))
    releases.release(connection, [claim_one(connection).token], reason="stop")
    claim_one(connection)
    released, again = attempts(connection, row)
    assert again["ready_at"] == released["finished_at"]
    assert again["attempt_number"] == released["attempt_number"]


def test_claim_of_a_row_that_was_taken_and_returned_did_not_wait(connection: Connection) -> None:
    row = add_document(connection, created_at=ago("2 hours"))
    claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3)
    claim_one(connection)
    superseded, again = attempts(connection, row)
    assert again["ready_at"] == superseded["finished_at"] == again["claimed_at"]


def test_wait_of_a_requeued_or_reread_document_starts_at_the_request(connection: Connection) -> None:
    row = add_document(connection, created_at=ago("2 hours"))
    fail(connection, claim_one(connection), ENCRYPTED)
    requeue_exhausted(connection, ExhaustedFilter(sources=("index",)))
    held = claim_one(connection)
    [sent] = connection.execute("SELECT sent_at FROM ocr_round").fetchall()
    assert (last_attempt(connection, row)["ready_at"],) == sent

    assert succeed(connection, held, READING)
    request_reread(connection, sources=["index"])
    asked = document(connection, row)["ocr_reread_requested_at"]
    claim_one(connection)
    assert last_attempt(connection, row)["ready_at"] == asked


def test_wait_never_ends_before_it_began_whatever_the_clocks_of_others_say(connection: Connection) -> None:
    row = add_document(connection)
    change(connection, "extraction_queue", row, created_at="2999-01-01")
    claim_one(connection)
    attempt = last_attempt(connection, row)
    assert attempt["ready_at"] == attempt["claimed_at"]


def failed(connection: Connection) -> None:
    fail(connection, claim_one(connection), TIMEOUT)


def failed_for_good(connection: Connection) -> None:
    fail(connection, claim_one(connection), ENCRYPTED)


def lost(connection: Connection) -> None:
    expire(connection, claim_one(connection))
    recover_all(connection)


def stuck_elsewhere(connection: Connection) -> None:
    connection.execute(
        "UPDATE extraction_queue SET status_id = 6, ocr_attempts = ocr_attempts + 1, "
        "ocr_started_at = clock_timestamp() - interval '1 hour'"
    )
    recover_all(connection)


@pytest.mark.parametrize(
    ("used_up", "ends", "exhausted"),
    [
        (1, failed, False),
        (2, failed, True),
        (0, failed_for_good, True),
        (1, lost, False),
        (2, lost, True),
        (1, stuck_elsewhere, False),
        (2, stuck_elsewhere, True),
    ],
)
def test_failure_records_whether_it_was_the_documents_last(
    connection: Connection, used_up: int, ends: Callable[[Connection], None], exhausted: bool
) -> None:
    row = add_document(connection, ocr_attempts=used_up)
    ends(connection)
    assert last_attempt(connection, row)["exhausted"] is exhausted


@pytest.mark.parametrize("ends", [failed_for_good, lost])
def test_document_whose_second_reading_failed_for_good_is_not_exhausted(
    connection: Connection, ends: Callable[[Connection], None]
) -> None:
    row = add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    request_reread(connection, sources=["index"], more_attempts=1)
    ends(connection)
    assert document(connection, row)["status_id"] == 5
    assert last_attempt(connection, row)["exhausted"] is False


def test_success_and_release_exhaust_nothing(connection: Connection) -> None:
    row = add_document(connection, ocr_max_attempts=1)
    releases.release(connection, [claim_one(connection).token], reason="stop")
    assert succeed(connection, claim_one(connection), READING)
    assert [one["exhausted"] for one in attempts(connection, row)] == [None, None]
