"""Outcomes of claims: successes, failures and releases, and what each writes."""

import hashlib
from datetime import timedelta

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import outcomes, releases
from notaflow_pipeline.job_queue.model import Failure
from notaflow_pipeline_tests.job_queue.times import database_time
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
    BLANK,
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
    everything,
    fail,
    succeed,
)

# --- success


def test_success_writes_the_text_and_ends_the_attempt(connection: Connection) -> None:
    row = add_document(
        connection, ocr_error="OCR processing failed: earlier", ocr_last_error_at=ago("1 hour"), error_message="kept"
    )
    held = claim_one(connection)
    assert succeed(connection, held, READING)

    written = document(connection, row)
    assert written["status_id"] == 5
    assert written["file_content"] == READING.text
    assert written["ocr_completed_at"] >= written["ocr_started_at"]
    assert written["updated_at"] >= written["ocr_started_at"]
    assert written["ocr_error"] is None
    assert written["ocr_claim_id"] is None
    assert written["ocr_attempts"] == 1
    assert written["ocr_worker_id"] == "ocr-monitor-1"
    assert (written["searchable_file_content"], written["boosted_file_content"]) == (None, None)
    [attempt] = attempts(connection, row)
    assert attempt["finished_at"] == written["ocr_completed_at"]
    wanted = {
        "outcome": "succeeded",
        "failure_kind": None,
        "error": None,
        "pages": 1,
        "characters": len(READING.text),
        "mean_confidence": 91.5,
        "fetch_seconds": 0.25,
        "ocr_seconds": 1.5,
        "source_bytes": 4096,
        "engine": "tesseract 5",
        "coverage": 0.875,
        "text_sha256": hashlib.sha256(READING.text.encode()).digest(),
    }
    assert {name: attempt[name] for name in wanted} == wanted
    assert violated_invariants(connection) == {}


def test_empty_text_is_stored_as_empty_and_never_as_null(connection: Connection) -> None:
    row = add_document(connection)
    assert succeed(connection, claim_one(connection), BLANK)
    assert document(connection, row)["file_content"] == ""
    [attempt] = attempts(connection, row)
    assert (attempt["characters"], attempt["mean_confidence"], attempt["coverage"]) == (0, None, None)
    assert connection.execute("SELECT FROM ocr_failed_jobs").fetchall() == []


def test_repeated_success_is_accepted_and_changes_nothing(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    assert succeed(connection, held, READING)
    before = everything(connection)
    assert succeed(connection, held, READING)
    assert everything(connection) == before


def test_repeated_failure_is_accepted_and_changes_nothing(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    assert fail(connection, held)
    before = everything(connection)
    assert fail(connection, held)
    assert everything(connection) == before


def test_claim_ends_once(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    assert succeed(connection, held, READING)
    before = everything(connection)
    assert not fail(connection, held)
    assert releases.release(connection, [held.token], reason="stop") == 0
    assert everything(connection) == before


# --- failure


def test_retryable_failure_returns_the_document_to_ready_with_a_wait(connection: Connection) -> None:
    row = add_document(connection, error_message="extraction's own")
    held = claim_one(connection)
    assert fail(connection, held, TIMEOUT)

    written = document(connection, row)
    sentence = "OCR processing failed: Page 2 of 7 took longer than 120 s."
    assert written["status_id"] == 3
    assert (written["ocr_error"], written["error_message"]) == (sentence, sentence)
    assert (written["ocr_attempts"], written["ocr_max_attempts"]) == (1, 3)
    assert written["ocr_last_error_at"] >= written["ocr_started_at"]
    assert (written["ocr_claim_id"], written["ocr_completed_at"], written["file_content"]) == (None, None, None)
    assert written["ocr_next_attempt_at"] > written["ocr_last_error_at"]
    [attempt] = attempts(connection, row)
    assert attempt["finished_at"] == written["ocr_last_error_at"]
    wanted = {
        "outcome": "failed",
        "failure_kind": "timeout",
        "error": "Page 2 of 7 took longer than 120 s.",
        "fetch_seconds": 0.5,
        "source_bytes": 2048,
        "pages": None,
        "characters": None,
        "text_sha256": None,
    }
    assert {name: attempt[name] for name in wanted} == wanted
    assert claim(connection) == []
    assert violated_invariants(connection) == {}


def test_failure_is_not_mirrored_when_that_is_switched_off(connection: Connection) -> None:
    row = add_document(connection, error_message="extraction's own")
    assert fail(connection, claim_one(connection), mirror_errors=False)
    written = document(connection, row)
    assert written["ocr_error"] == "OCR processing failed: Page 2 of 7 took longer than 120 s."
    assert written["error_message"] == "extraction's own"


def test_wait_doubles_with_each_attempt_by_the_database_s_clock(connection: Connection) -> None:
    row = add_document(connection, ocr_max_attempts=5)
    for number in range(1, 5):
        held = claim_one(connection)
        earlier = database_time(connection)
        assert fail(connection, held, retry_base_seconds=40)
        later = database_time(connection)
        wait = timedelta(seconds=40 * 2 ** (number - 1))
        assert earlier + wait * 0.5 <= document(connection, row)["ocr_next_attempt_at"] <= later + wait * 1.5
        change(connection, "extraction_queue", row, ocr_next_attempt_at=None)


def test_waits_are_random_and_limited(connection: Connection) -> None:
    for _ in range(12):
        add_document(connection, ocr_attempts=30, ocr_max_attempts=99)
    waits = []
    for held in claim(connection, 12):
        fail(connection, held, retry_base_seconds=30)
        written = document(connection, held.document_id)
        waits.append((written["ocr_next_attempt_at"] - written["ocr_last_error_at"]).total_seconds())
    hour = outcomes.MAX_BACKOFF_SECONDS
    assert all(hour * 0.5 <= wait <= hour * 1.5 + 1 for wait in waits)
    assert max(waits) - min(waits) > hour * 0.05


def test_permanent_failure_exhausts_the_document(connection: Connection) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection), ENCRYPTED)
    written = document(connection, row)
    assert (written["status_id"], written["ocr_attempts"], written["ocr_max_attempts"]) == (3, 1, 1)
    assert written["ocr_next_attempt_at"] is None
    assert connection.execute("SELECT id FROM ocr_exhausted_documents").fetchall() == [(row,)]
    assert claim(connection) == []
    assert violated_invariants(connection) == {}


def test_last_attempt_that_fails_exhausts_the_document(connection: Connection) -> None:
    row = add_document(connection, ocr_attempts=2)
    assert fail(connection, claim_one(connection), TIMEOUT)
    written = document(connection, row)
    assert (written["status_id"], written["ocr_attempts"], written["ocr_max_attempts"]) == (3, 3, 3)
    assert written["ocr_next_attempt_at"] is None
    assert connection.execute("SELECT id FROM ocr_exhausted_documents").fetchall() == [(row,)]


@pytest.mark.parametrize(("failure", "attempts_before"), [(ENCRYPTED, 0), (TIMEOUT, 2)])
def test_exhausted_document_gets_status_four_if_configured(
    connection: Connection, failure: Failure, attempts_before: int
) -> None:
    row = add_document(connection, ocr_attempts=attempts_before)
    assert fail(connection, claim_one(connection), failure, exhausted_status=4)
    assert document(connection, row)["status_id"] == 4


def test_status_four_is_only_for_exhausted_documents(connection: Connection) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection), TIMEOUT, exhausted_status=4)
    assert document(connection, row)["status_id"] == 3


# --- release


def test_release_counts_no_attempt_and_its_number_is_reused(connection: Connection) -> None:
    row = add_document(connection, ocr_attempts=1, ocr_error="OCR processing failed: earlier")
    held = claim_one(connection)
    assert held.attempt_number == 2
    assert releases.release(connection, [held.token], reason="the worker was told to stop") == 1

    written = document(connection, row)
    assert (written["status_id"], written["ocr_attempts"]) == (3, 1)
    assert (written["ocr_worker_id"], written["ocr_started_at"], written["ocr_claim_id"]) == (None, None, None)
    assert written["ocr_error"] == "OCR processing failed: earlier"
    [attempt] = attempts(connection, row)
    assert (attempt["outcome"], attempt["error"]) == ("released", "the worker was told to stop")
    assert attempt["failure_kind"] is None
    assert claim_one(connection).attempt_number == 2


def test_release_ends_only_the_given_claims(connection: Connection) -> None:
    for _ in range(3):
        add_document(connection)
    held = claim(connection, 3)
    assert releases.release(connection, [held[0].token, held[1].token, 987_654], reason="stop") == 2
    assert releases.release(connection, [], reason="stop") == 0
    assert document(connection, held[2].document_id)["status_id"] == 6
    assert violated_invariants(connection) == {}


def test_release_of_a_run_ends_only_the_claims_of_that_run(connection: Connection) -> None:
    for _ in range(5):
        add_document(connection)
    mine = claim(connection, 2, run_id="run-1")
    [finished] = claim(connection, 1, run_id="run-1")
    succeed(connection, finished, READING)
    [foreign] = claim(connection, 1, run_id="run-2")
    [outside] = claim(connection, 1, run_id=None)
    assert releases.release_run(connection, "run-1", reason="the run was cancelled") == 2
    assert releases.release_run(connection, "run-1", reason="the run was cancelled") == 0
    statuses = [document(connection, one.document_id)["status_id"] for one in (*mine, finished, foreign, outside)]
    assert statuses == [3, 3, 5, 6, 6]
    assert violated_invariants(connection) == {}


# --- what must not leak


def test_repr_of_an_ocr_result_has_no_text() -> None:
    assert "3 770 292" not in repr(READING)
    assert "Québec" not in f"{READING} {READING!r} {[READING]}"
