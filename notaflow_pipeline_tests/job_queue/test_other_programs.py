"""No claim, text or request is lost or stays wrong when other programs write the same rows."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import lease_renewal, outcomes, releases
from notaflow_pipeline.job_queue.invariants import accept_changes, find_violations
from notaflow_pipeline.job_queue.model import Claim, Recording
from notaflow_pipeline_tests.testing.job_queue import (
    BLANK,
    ENCRYPTED,
    LEASE,
    READING,
    add_document,
    ago,
    attempts,
    change,
    claim,
    claim_one,
    document,
    fail,
    record_failure,
    recover_all,
    reread,
    succeed,
)
from notaflow_pipeline_tests.testing.rows import lock

# what NotaFlow's own monitor writes (the code that the user's document describes)
MONITOR_CLAIMS = """
UPDATE extraction_queue
SET status_id = 6, ocr_worker_id = 'ocr-monitor-1', ocr_started_at = now(), ocr_attempts = COALESCE(ocr_attempts, 0) + 1
WHERE id = %s
"""
MONITOR_FINISHES = """
UPDATE extraction_queue
SET status_id = 5, file_content = 'by the monitor', ocr_completed_at = now(), ocr_error = NULL
WHERE id = %s
"""
MONITOR_FAILS = """
UPDATE extraction_queue
SET status_id = 3, ocr_error = 'no text', error_message = 'no text', ocr_last_error_at = now()
WHERE id = %s
"""
RESET = "UPDATE extraction_queue SET status_id = 3, file_content = NULL WHERE id = %s"
RESET_ATTEMPTS = "UPDATE extraction_queue SET status_id = 3, ocr_attempts = 0, file_content = NULL WHERE id = %s"


def violations(connection: Connection) -> list[tuple[str, str]]:
    return [(one.invariant, one.what) for one in find_violations(connection, sources=["index"])]


def to_be_reread(connection: Connection) -> UUID:
    """A document that was read, and that is to be reread."""
    key = add_document(connection)
    assert succeed(connection, claim_one(connection))
    assert reread(connection, ids=[key]) == [key]
    return key


def expire(connection: Connection, held: Claim) -> None:
    change(connection, "ocr_attempt", held.token, lease_expires_at=ago("1 second"))
    recover_all(connection)


ENDS: dict[str, Callable[[Connection, Claim], object]] = {
    "failed": fail,
    "failed for good": lambda connection, held: fail(connection, held, ENCRYPTED),
    "released": lambda connection, held: releases.release(connection, [held.token], reason="stop"),
    "lease expired": expire,
}


# --- a document that is to be reread, and that another program resets


@pytest.mark.parametrize("end", ENDS)
def test_reset_before_the_claim_withdraws_the_request_to_reread(connection: Connection, end: str) -> None:
    key = to_be_reread(connection)
    connection.execute(RESET, [key])
    row = document(connection, key)
    assert (row["status_id"], row["ocr_reread_requested_at"]) == (3, None)
    ENDS[end](connection, claim_one(connection))
    row = document(connection, key)
    assert (row["status_id"], row["file_content"]) == (3, None)
    assert violations(connection) == []


@pytest.mark.parametrize("end", ENDS)
def test_reset_during_rereading_leaves_the_document_ready(connection: Connection, end: str) -> None:
    key = to_be_reread(connection)
    held = claim_one(connection)
    connection.execute(RESET, [key])
    row = document(connection, key)
    assert (row["status_id"], row["ocr_claim_id"], row["ocr_reread_requested_at"]) == (3, None, None)
    ENDS[end](connection, held)
    assert document(connection, key)["status_id"] == 3
    assert not succeed(connection, held), "the claim ended when the row was reset"
    assert claim_one(connection).document_id == key
    assert violations(connection) == []


@pytest.mark.parametrize("end", ENDS)
def test_text_that_is_deleted_during_rereading_is_not_done(connection: Connection, end: str) -> None:
    key = to_be_reread(connection)
    held = claim_one(connection)
    connection.execute("UPDATE extraction_queue SET file_content = NULL WHERE id = %s", [key])
    ENDS[end](connection, held)
    row = document(connection, key)
    assert (row["status_id"], row["file_content"], row["ocr_reread_requested_at"]) == (3, None, None)


@pytest.mark.parametrize("end", ENDS)
def test_text_of_another_program_during_reading_is_kept(connection: Connection, end: str) -> None:
    key = add_document(connection)
    held = claim_one(connection)
    connection.execute("UPDATE extraction_queue SET file_content = 'written elsewhere' WHERE id = %s", [key])
    ENDS[end](connection, held)
    row = document(connection, key)
    assert (row["status_id"], row["file_content"]) == (5, "written elsewhere")
    assert violations(connection) == []


@pytest.mark.parametrize("again", [False, True], ids=["first reading", "rereading"])
def test_success_does_not_overwrite_a_text_written_meanwhile(connection: Connection, again: bool) -> None:
    key = to_be_reread(connection) if again else add_document(connection)
    held = claim_one(connection)
    connection.execute("UPDATE extraction_queue SET file_content = 'written elsewhere' WHERE id = %s", [key])
    assert not succeed(connection, held)
    row = document(connection, key)
    assert (row["status_id"], row["file_content"]) == (5, "written elsewhere")
    assert attempts(connection, key)[-1]["outcome"] == "released"
    assert violations(connection) == []
    assert claim(connection) == []


def test_empty_text_counts_as_a_text(connection: Connection) -> None:
    key = add_document(connection)
    [held] = claim(connection)
    assert succeed(connection, held, BLANK)
    assert reread(connection, ids=[key]) == [key]
    fail(connection, claim_one(connection))
    row = document(connection, key)
    assert (row["status_id"], row["file_content"]) == (5, "")


MOVES = {
    "back to extraction": "UPDATE extraction_queue SET status_id = 1 WHERE id = %s",
    "extraction error": "UPDATE extraction_queue SET status_id = 4 WHERE id = %s",
    "ready with its text": "UPDATE extraction_queue SET status_id = 3 WHERE id = %s",
    "claimed": MONITOR_CLAIMS,
    "finished": MONITOR_FINISHES,
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("claimed", [False, True], ids=["waiting", "claimed"])
def test_row_that_another_program_moves_loses_its_request(connection: Connection, move: str, claimed: bool) -> None:
    key = to_be_reread(connection)
    if claimed:
        claim_one(connection)
    connection.execute(MOVES[move], [key])
    if (move, claimed) != ("finished", False):  # which changes the text alone, where the row is at 5 already
        assert document(connection, key)["ocr_reread_requested_at"] is None
    assert document(connection, key)["file_content"] is not None
    assert document(connection, key)["ocr_claim_id"] is None


# --- beside NotaFlow's own monitor


def test_claim_by_another_program_ends_ours(connection: Connection) -> None:
    key = add_document(connection)
    held = claim_one(connection)
    connection.execute(MONITOR_CLAIMS, [key])
    assert document(connection, key)["ocr_claim_id"] is None
    assert lease_renewal.renew(connection, [held.token], LEASE) == set()
    assert not succeed(connection, held)
    connection.execute(MONITOR_FINISHES, [key])
    row, [attempt] = document(connection, key), attempts(connection, key)
    assert (row["status_id"], row["file_content"]) == (5, "by the monitor")
    assert attempt["outcome"] == "superseded"
    assert attempt["finished_at"] == row["ocr_started_at"], "it ended when the other claim began"
    assert violations(connection) == []


def test_claim_survives_a_write_that_is_no_claim(connection: Connection) -> None:
    """A program that writes a row back as it read it, or touches what is not OCR's, takes nothing from us."""
    key = add_document(connection)
    held = claim_one(connection)
    connection.execute(
        "UPDATE extraction_queue SET status_id = status_id, ocr_started_at = ocr_started_at, cadastre = 'Québec' "
        "WHERE id = %s",
        [key],
    )
    assert document(connection, key)["ocr_changed_elsewhere_at"] is None
    assert succeed(connection, held)


def test_claim_that_writes_no_status_ends_ours(connection: Connection) -> None:
    key = add_document(connection)
    held = claim_one(connection)
    connection.execute(
        "UPDATE extraction_queue SET ocr_worker_id = 'ocr-monitor-1', ocr_started_at = now() WHERE id = %s", [key]
    )
    assert not succeed(connection, held)
    assert document(connection, key)["file_content"] is None
    assert document(connection, key)["ocr_changed_elsewhere_at"] is not None


def test_row_written_back_with_times_in_milliseconds_keeps_its_claim(connection: Connection) -> None:
    """As a program does whose times are JavaScript's."""
    key = add_document(connection)
    held = claim_one(connection)
    connection.execute(
        "UPDATE extraction_queue SET status_id = 6, ocr_attempts = 1, ocr_worker_id = ocr_worker_id, "
        "ocr_started_at = date_trunc('milliseconds', ocr_started_at), ocr_claim_id = ocr_claim_id WHERE id = %s",
        [key],
    )
    assert succeed(connection, held)
    assert violations(connection) == []


@pytest.mark.parametrize("with_status", [False, True])
def test_claim_survives_the_loss_of_its_start_and_worker(connection: Connection, with_status: bool) -> None:
    key = add_document(connection)
    held = claim_one(connection)
    change(connection, "extraction_queue", key, ocr_started_at=None, ocr_worker_id=None)
    if with_status:
        change(connection, "extraction_queue", key, status_id=6)
    assert lease_renewal.renew(connection, [held.token], LEASE) == {held.token}
    assert succeed(connection, held)
    row, [attempt] = document(connection, key), attempts(connection, key)
    assert row["ocr_started_at"] == attempt["claimed_at"]
    assert violations(connection) == []


def test_claim_by_a_program_whose_clock_is_ahead_ends_ours_now(connection: Connection) -> None:
    key = add_document(connection)
    held = claim_one(connection)
    connection.execute(
        "UPDATE extraction_queue SET status_id = 6, ocr_started_at = now() + interval '1 hour' WHERE id = %s", [key]
    )
    assert not succeed(connection, held)
    [attempt] = attempts(connection, key)
    [now] = connection.execute("SELECT clock_timestamp()").fetchall()
    assert attempt["claimed_at"] <= attempt["finished_at"] <= now[0]


SEQUENCES: dict[str, list[str]] = {
    "it takes the row and finishes it": [MONITOR_CLAIMS, MONITOR_FINISHES],
    "it takes the row, fails and resets it": [MONITOR_CLAIMS, MONITOR_FAILS, RESET_ATTEMPTS],
    "it resets the row with no attempts": [RESET_ATTEMPTS],
    "it finishes the row": [MONITOR_FINISHES],
    "it finishes and reads it again": [MONITOR_FINISHES, MONITOR_CLAIMS, MONITOR_FINISHES],
}


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("after", ["claimed", "failed", "done"])
def test_allowed_changes_of_the_monitor_are_no_violation(connection: Connection, sequence: str, after: str) -> None:
    key = add_document(connection)
    held = claim_one(connection)
    if after == "failed":
        fail(connection, held)
    elif after == "done":
        succeed(connection, held)
    for statement in SEQUENCES[sequence]:
        connection.execute(statement, [key])
        recover_all(connection)  # as every minute
        assert violations(connection) == [], statement
    if after == "claimed":
        expire(connection, held)
    assert violations(connection) == []
    row = document(connection, key)
    if row["status_id"] == 3:
        connection.execute("UPDATE extraction_queue SET ocr_next_attempt_at = NULL")
        assert succeed(connection, claim_one(connection))
        assert violations(connection) == []
        assert document(connection, key)["file_content"] == READING.text
    else:
        assert row["file_content"] == "by the monitor"


def test_row_that_is_deleted_and_inserted_again_breaks_no_invariant(connection: Connection) -> None:
    key = add_document(connection)
    for _ in range(2):
        assert succeed(connection, claim_one(connection))
        assert violations(connection) == []
        connection.execute("DELETE FROM extraction_queue WHERE id = %s", [key])
        assert violations(connection) == []
        add_document(connection, id=key)
        assert violations(connection) == []


def test_maximum_that_another_program_lowers_breaks_no_invariant(connection: Connection) -> None:
    key = add_document(connection)
    fail(connection, claim_one(connection), retry_base_seconds=0)
    held = claim_one(connection)
    change(connection, "extraction_queue", key, ocr_max_attempts=1)
    assert violations(connection) == []
    assert succeed(connection, held)
    assert document(connection, key)["ocr_max_attempts"] == 2
    change(connection, "extraction_queue", key, ocr_max_attempts=1)
    assert violations(connection) == []


def test_violations_in_rows_that_no_other_program_changed_are_found(connection: Connection) -> None:
    add_document(connection)
    key = claim_one(connection).document_id
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # no trigger notes it
        change(connection, "extraction_queue", key, ocr_attempts=2)
    fail(connection, Claim(**claimed_as(connection, key)))
    assert [name for name, _ in violations(connection)] == ["attempts_are_counted"]
    [violation] = find_violations(connection, sources=["index"])
    assert f"notaflow recover --accept {key}" in violation.remedy
    assert accept_changes(connection, [key]) == 1
    assert violations(connection) == []


def claimed_as(connection: Connection, key: UUID) -> dict[str, Any]:
    row = document(connection, key)
    return {
        "token": row["ocr_claim_id"],
        "document_id": key,
        "document_number": row["document_number"],
        "document_source": row["document_source"],
        "supabase_path": row["supabase_path"],
        "attempt_number": 1,
        "max_attempts": 3,
    }


# --- rows that another session has locked


def test_text_of_a_locked_row_waits_and_its_neighbours_are_recorded(connection: Connection, locker: Connection) -> None:
    for number in range(3):
        add_document(connection, document_number=str(number))
    held = claim(connection, 3)
    lock(locker, held[1].document_id)
    recorded = outcomes.record_texts(connection, [(one, READING) for one in held])
    assert [recorded[one.token] for one in held] == [Recording.RECORDED, Recording.LOCKED, Recording.RECORDED]
    locker.rollback()
    assert outcomes.record_texts(connection, [(held[1], READING)]) == {held[1].token: Recording.RECORDED}
    assert violations(connection) == []


def test_failure_of_a_locked_row_waits(connection: Connection, locker: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    lock(locker, held.document_id)
    assert record_failure(connection, held) is Recording.LOCKED
    assert attempts(connection)[0]["outcome"] is None
    locker.rollback()
    assert fail(connection, held)


def test_lease_of_a_locked_row_is_renewed(connection: Connection, locker: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    before = attempts(connection)[0]["lease_expires_at"]
    lock(locker, held.document_id)
    assert lease_renewal.renew(connection, [held.token], LEASE) == {held.token}
    assert attempts(connection)[0]["lease_expires_at"] > before


def test_locked_lease_is_neither_renewed_nor_lost(connection: Connection, locker: Connection) -> None:
    for number in range(2):
        add_document(connection, document_number=str(number))
    locked, free = claim(connection, 2)
    before = {one["id"]: one["lease_expires_at"] for one in attempts(connection)}
    locker.execute("SELECT FROM ocr_attempt WHERE id = %s FOR UPDATE", [locked.token])
    assert lease_renewal.renew(connection, [locked.token, free.token], LEASE) == {locked.token, free.token}
    after = {one["id"]: one["lease_expires_at"] for one in attempts(connection)}
    assert after[locked.token] == before[locked.token]
    assert after[free.token] > before[free.token]


def test_release_skips_the_locked_row_alone(connection: Connection, locker: Connection) -> None:
    for number in range(3):
        add_document(connection, document_number=str(number))
    held = claim(connection, 3)
    lock(locker, held[0].document_id)
    assert releases.release(connection, [one.token for one in held], reason="stop") == 2
    locker.rollback()
    assert releases.release(connection, [held[0].token], reason="stop") == 1


# --- what changes while a document is being read


@pytest.mark.parametrize("outcome", ["text", "failure"])
@pytest.mark.parametrize("changed", [{"supabase_path": "new.pdf"}, {"document_source": "acte"}], ids=["path", "source"])
def test_outcome_is_dropped_if_the_row_names_another_file(
    connection: Connection, changed: dict[str, str], outcome: str
) -> None:
    key = add_document(connection, supabase_path="old.pdf")
    held = claim_one(connection)
    change(connection, "extraction_queue", key, **changed)
    if outcome == "text":
        assert outcomes.record_texts(connection, [(held, READING)]) == {held.token: Recording.RELEASED}
    else:
        assert record_failure(connection, held) is Recording.RELEASED
    row, [attempt] = document(connection, key), attempts(connection, key)
    assert (row["status_id"], row["file_content"], row["ocr_attempts"], row["ocr_error"]) == (3, None, 0, None)
    assert attempt["outcome"] == "released"
    change(connection, "extraction_queue", key, document_source="index")
    assert claim_one(connection).supabase_path == row["supabase_path"]
    assert violations(connection) == []


def test_used_tokens_are_skipped(connection: Connection) -> None:
    """A sequence that was restored from an older state hands out the numbers of attempts that exist."""
    for number in range(3):
        add_document(connection, document_number=str(number))
    first = claim(connection, 2)
    connection.execute("SELECT setval('ocr_attempt_id_seq', 1, FALSE)")
    change(connection, "ocr_attempt", first[1].token, id=5000)
    change(connection, "extraction_queue", first[1].document_id, ocr_claim_id=5000)
    third = claim_one(connection)
    assert third.token > 5000
    assert succeed(connection, third)


def test_attempts_do_not_overlap_when_the_clock_steps_back(connection: Connection) -> None:
    """What was written before the step lies in the future: the next times lie no earlier."""
    key = add_document(connection)
    fail(connection, claim_one(connection))
    connection.execute("UPDATE ocr_attempt SET finished_at = now() + interval '1 hour'")
    connection.execute("UPDATE extraction_queue SET ocr_next_attempt_at = NULL")
    held = claim_one(connection)
    assert succeed(connection, held)
    first, second = attempts(connection, key)
    assert first["finished_at"] <= second["claimed_at"] <= second["finished_at"]
    row = document(connection, key)
    assert row["ocr_started_at"] <= row["ocr_completed_at"]
    assert violations(connection) == []


@pytest.mark.parametrize("counted", [-(2**31), -5, 2**31 - 2])
def test_extreme_numbers_of_attempts_block_no_change_of_a_row(connection: Connection, counted: int) -> None:
    """Another program can write any number into its own table."""
    extreme = add_document(connection, ocr_attempts=counted, ocr_max_attempts=2**31 - 1)
    other = add_document(connection)
    for end in (fail, lambda one, held: releases.release(one, [held.token], reason="stop")):
        held = claim(connection, 2)
        assert {one.document_id for one in held} == {extreme, other}
        for one in held:
            end(connection, one)
        connection.execute("UPDATE extraction_queue SET ocr_next_attempt_at = NULL")
        connection.execute("UPDATE extraction_queue SET ocr_attempts = %s WHERE id = %s", [counted, extreme])
    change(connection, "extraction_queue", extreme, ocr_attempts=2**31 - 1, ocr_max_attempts=None)
    assert [one.document_id for one in claim(connection, 2)] == [other]


@pytest.mark.parametrize("outcome", ["text", "failure"])
def test_token_that_another_program_writes_back_is_no_claim(connection: Connection, outcome: str) -> None:
    """A program that saves a whole row as it read it brings back the token of a claim that has ended since."""
    key = add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    change(connection, "extraction_queue", key, status_id=6, ocr_claim_id=held.token)
    accepted = succeed(connection, held) if outcome == "text" else fail(connection, held)
    row, [attempt] = document(connection, key), attempts(connection, key)
    assert not accepted
    assert (row["status_id"], row["file_content"], attempt["outcome"]) == (6, None, "stuck")
