"""Lost claims: renewal reports them, and late outcomes change nothing."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import lease_renewal, releases
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline_tests.job_queue.times import database_time, reading
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
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
    everything,
    expire,
    fail,
    recover_all,
    succeed,
)

# --- renewal


def test_renewal_extends_the_leases_that_are_held_and_returns_them(connection: Connection) -> None:
    for _ in range(2):
        add_document(connection)
    held = claim(connection, 2)
    tokens = {one.token for one in held}
    earlier = database_time(connection)
    assert lease_renewal.renew(connection, tokens, timedelta(hours=1)) == tokens
    assert all(attempt["lease_expires_at"] > earlier + timedelta(hours=1) for attempt in attempts(connection))


def _recover(connection: Connection, held: Claim) -> None:
    expire(connection, held)
    assert recover_all(connection).expired_leases == 1


def _reset_elsewhere(connection: Connection, held: Claim) -> None:
    change(connection, "extraction_queue", held.document_id, status_id=3)


def _delete(connection: Connection, held: Claim) -> None:
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [held.document_id])


def _finish(connection: Connection, held: Claim) -> None:
    assert succeed(connection, held, READING)


def _release(connection: Connection, held: Claim) -> None:
    assert releases.release(connection, [held.token], reason="stop") == 1


@pytest.mark.parametrize("lose", [_recover, _reset_elsewhere, _delete, _finish, _release])
def test_renewal_reports_lost_claims(connection: Connection, lose: Callable[[Connection, Claim], None]) -> None:
    add_document(connection, created_at=ago("1 hour"))
    add_document(connection)
    lost, kept = claim(connection, 2)
    lose(connection, lost)
    assert lease_renewal.renew(connection, [lost.token, kept.token, 987_654], LEASE) == {kept.token}


# --- what comes too late

LATE: list[Callable[[Connection, Claim], int]] = [
    lambda connection, held: succeed(connection, held, reading("late text")),
    lambda connection, held: fail(connection, held),
    lambda connection, held: fail(connection, held, ENCRYPTED, exhausted_status=4),
    lambda connection, held: releases.release(connection, [held.token], reason="stop"),
]
LATE_IDS = ["succeed", "fail", "fail for good", "release"]


@pytest.mark.parametrize("finish", LATE, ids=LATE_IDS)
def test_late_finish_of_recovered_claim_changes_nothing(
    connection: Connection, finish: Callable[[Connection, Claim], int]
) -> None:
    add_document(connection)
    late = claim_one(connection)
    expire(connection, late)
    recover_all(connection)
    before = everything(connection)
    assert not finish(connection, late)
    assert everything(connection) == before


@pytest.mark.parametrize("finish", LATE, ids=LATE_IDS)
def test_late_finish_beside_a_worker_of_the_same_name_changes_nothing(
    connection: Connection, finish: Callable[[Connection, Claim], int]
) -> None:
    row = add_document(connection)
    late = claim_one(connection)
    expire(connection, late)
    recover_all(connection)
    winner = claim_one(connection)
    before = everything(connection)
    assert not finish(connection, late)
    assert everything(connection) == before

    assert succeed(connection, winner, reading("the winner's text"))
    assert not finish(connection, late)
    assert document(connection, row)["file_content"] == "the winner's text"
    assert [attempt["outcome"] for attempt in attempts(connection, row)] == ["stuck", "succeeded"]
    assert violated_invariants(connection) == {}


@pytest.mark.parametrize("finish", LATE[:3], ids=LATE_IDS[:3])
def test_finish_after_a_foreign_reset_supersedes_its_attempt(
    connection: Connection, finish: Callable[[Connection, Claim], int]
) -> None:
    row = add_document(connection)
    late = claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3, ocr_attempts=0)
    before = document(connection, row)
    assert not finish(connection, late)
    assert document(connection, row) == before
    assert [attempt["outcome"] for attempt in attempts(connection, row)] == ["superseded"]


def test_claim_after_a_foreign_reset_closes_the_old_attempt_as_superseded(connection: Connection) -> None:
    row = add_document(connection)
    late = claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3)
    winner = claim_one(connection)
    assert winner.token != late.token
    old, new = attempts(connection, row)
    assert (old["outcome"], new["outcome"]) == ("superseded", None)
    assert not succeed(connection, late, reading("late"))
    assert succeed(connection, winner, READING)
    assert document(connection, row)["file_content"] == READING.text


def test_superseded_attempt_ends_before_the_next_one_begins(connection: Connection) -> None:
    row = add_document(connection)
    claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3)
    claim_one(connection)
    old, new = attempts(connection, row)
    assert old["finished_at"] <= new["claimed_at"]
    assert violated_invariants(connection) == {}


def test_finish_of_a_deleted_document_is_refused(connection: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [row])
    assert not succeed(connection, held, READING)
    assert [attempt["outcome"] for attempt in attempts(connection, row)] == ["superseded"]


def test_outcome_of_an_unknown_claim_is_refused(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    before = everything(connection)
    invented = Claim(held.token + 1, held.document_id, "1", "index", None, 1, 3)
    elsewhere = Claim(held.token + 1, uuid4(), "1", "index", None, 1, 3)
    assert not succeed(connection, invented, READING)
    assert not succeed(connection, elsewhere, READING)
    assert everything(connection) == before


def test_locked_attempt_of_a_reset_row_keeps_no_other_waiting(connection: Connection, locker: Connection) -> None:
    first, other = add_document(connection, created_at=ago("1 day")), add_document(connection)
    [held] = claim(connection)
    change(connection, "extraction_queue", first, status_id=3)
    locker.execute("SELECT FROM ocr_attempt WHERE id = %s FOR UPDATE", [held.token])
    assert [one.document_id for one in claim(connection, 2)] == [other]
    assert not succeed(connection, held)
    assert attempts(connection, first)[0]["outcome"] is None
    locker.rollback()
    assert [one.document_id for one in claim(connection, 2)] == [first]
    assert [one["outcome"] for one in attempts(connection, first)] == ["superseded", None]
