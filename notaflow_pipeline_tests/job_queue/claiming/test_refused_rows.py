"""A row that the database refuses to change costs no other row its claim, its outcome or its release.

A constraint that was added with NOT VALID refuses every change of the older rows that violate it; a trigger of another
program can refuse a change too.
"""

from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import lease_renewal, outcomes, releases
from notaflow_pipeline.job_queue.claiming.claim_check import check_claim, find_refusal
from notaflow_pipeline.job_queue.claiming.claim_position import LEFT_OUT_SECONDS, ClaimPosition
from notaflow_pipeline.job_queue.database import chunks
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, OutcomeRefused
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryTerms, recover
from notaflow_pipeline.job_queue.queries import can_claim
from notaflow_pipeline_tests.testing.job_queue import (
    LEASE,
    READING,
    add_document,
    ago,
    attempts,
    claim,
    document,
    everything,
    expire,
    record_failure,
    reread,
    succeed,
)

pytestmark = pytest.mark.owner

REFUSED = "0000"


def refuse(connection: Connection, refusal: str) -> None:
    """Have the database refuse every change of documents with the number `REFUSED`: by a constraint or an SQLSTATE."""
    if refusal == "constraint":
        connection.execute(
            "ALTER TABLE extraction_queue ADD CONSTRAINT has_number CHECK (document_number <> '0000') NOT VALID"
        )
        return
    connection.execute(f"""
        CREATE FUNCTION legal_hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'held: %', NEW.document_number USING ERRCODE = '{refusal}';
        END $$;
        CREATE TRIGGER legal_hold BEFORE UPDATE ON extraction_queue
        FOR EACH ROW WHEN (NEW.document_number = '0000') EXECUTE FUNCTION legal_hold()
    """)


def allow(connection: Connection) -> None:
    connection.execute("ALTER TABLE extraction_queue DROP CONSTRAINT IF EXISTS has_number")
    connection.execute("DROP TRIGGER IF EXISTS legal_hold ON extraction_queue")


@pytest.fixture(params=["constraint", "NF001", "insufficient_privilege"])
def refusal(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def add_refused(connection: Connection, **columns: object) -> UUID:
    """Add the oldest document."""
    return add_document(connection, document_number=REFUSED, created_at=ago("1 day"), **columns)


def test_documents_behind_a_refused_one_are_claimed(connection: Connection, refusal: str) -> None:
    refused = add_refused(connection)
    others = [add_document(connection, created_at=ago(f"{hours} hours")) for hours in (3, 2, 1)]
    refuse(connection, refusal)
    assert [one.document_id for one in claim(connection, 2)] == others[:2]
    assert [one.document_id for one in claim(connection, 2)] == others[2:]
    assert document(connection, refused)["status_id"] == 3
    allow(connection)
    assert [one.document_id for one in claim(connection, 2)] == [refused]


def test_claim_of_refused_documents_alone_says_what_refuses(connection: Connection, refusal: str) -> None:
    refused = add_refused(connection)
    refuse(connection, refusal)
    name = "constraint has_number" if refusal == "constraint" else r"trigger function legal_hold\(\)"
    with pytest.raises(ClaimsRefused, match=f"claim 1 ready document, such as {refused} .*{name}"):
        claim(connection)


def test_many_refused_documents_in_a_row_end_the_claim(
    connection: Connection, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notaflow_pipeline.job_queue.claiming.claims.MAX_REFUSED_IN_SUCCESSION", 3)
    for _ in range(5):
        add_refused(connection)
    refuse(connection, refusal)
    with pytest.raises(ClaimsRefused, match="3 ready documents"):
        claim(connection)


def test_document_whose_backoff_cannot_end_keeps_no_other_waiting(connection: Connection, refusal: str) -> None:
    refused = add_refused(connection, ocr_next_attempt_at=ago("1 hour"))
    waited, ready = add_document(connection, ocr_next_attempt_at=ago("1 minute")), add_document(connection)
    refuse(connection, refusal)
    assert {one.document_id for one in claim(connection, 3)} == {waited, ready}
    assert document(connection, refused)["ocr_next_attempt_at"] is not None


def test_missing_maximum_that_cannot_be_written_keeps_no_other_waiting(connection: Connection, refusal: str) -> None:
    add_refused(connection, ocr_max_attempts=None)
    other = add_document(connection, ocr_max_attempts=None)
    refuse(connection, refusal)
    assert [one.document_id for one in claim(connection, 3)] == [other]


def test_refused_document_to_be_reread_keeps_no_other_waiting(connection: Connection, refusal: str) -> None:
    refused, other = add_refused(connection), add_document(connection)
    for held in claim(connection, 2):
        assert succeed(connection, held)
    assert set(reread(connection)) == {refused, other}
    refuse(connection, refusal)
    assert [one.document_id for one in claim(connection, 2)] == [other]


def test_release_leaves_out_the_refused_row_alone(connection: Connection, refusal: str) -> None:
    refused = add_refused(connection)
    for _ in range(3):
        add_document(connection)
    held = claim(connection, 4)
    refuse(connection, refusal)
    assert releases.release(connection, [one.token for one in held], reason="stop") == 3
    assert [one["queue_id"] for one in attempts(connection) if one["outcome"] is None] == [refused]


def test_release_of_a_run_leaves_out_the_refused_row_alone(connection: Connection, refusal: str) -> None:
    add_refused(connection)
    add_document(connection)
    claim(connection, 2, run_id="run")
    refuse(connection, refusal)
    assert releases.release_run(connection, "run", reason="stop") == 1


def test_refused_renewal_of_one_lease_costs_no_other_its_own(connection: Connection) -> None:
    refused, other = add_refused(connection), add_document(connection)
    tokens = {one.document_id: one.token for one in claim(connection, 2)}
    connection.execute(f"ALTER TABLE ocr_attempt ADD CONSTRAINT held CHECK (queue_id <> '{refused}') NOT VALID")
    before = {one["queue_id"]: one["lease_expires_at"] for one in attempts(connection)}
    assert lease_renewal.renew(connection, tokens.values(), LEASE) == set(tokens.values()), "none is lost yet"
    after = {one["queue_id"]: one["lease_expires_at"] for one in attempts(connection)}
    assert (after[refused] == before[refused], after[other] > before[other]) == (True, True)


def test_refused_document_is_left_out_and_tried_again_later(connection: Connection, refusal: str) -> None:
    now = 0.0
    position = ClaimPosition(lambda: now)
    refused = add_refused(connection)
    refuse(connection, refusal)
    with pytest.raises(ClaimsRefused):
        claim(connection, position=position)
    assert position.left_out == [refused]
    allow(connection)
    assert claim(connection, position=position) == []
    now = LEFT_OUT_SECONDS
    assert [one.document_id for one in claim(connection, position=position)] == [refused]


def test_claim_that_is_rolled_back_finds_what_is_refused(connection: Connection, refusal: str) -> None:
    refused = add_refused(connection)
    refuse(connection, refusal)
    before, position = everything(connection), ClaimPosition()
    assert f"such as {refused}" in str(find_refusal(connection, ["index"], position))
    assert not can_claim(connection, sources=["index"], left_out=position.left_out)
    assert not check_claim(connection, ["index"]).ok
    assert everything(connection) == before
    add_document(connection)
    assert can_claim(connection, sources=["index"], left_out=position.left_out)
    assert find_refusal(connection, ["index"], ClaimPosition()) is None


def test_recovery_says_what_refuses_a_row(connection: Connection, refusal: str) -> None:
    add_refused(connection)
    other = add_document(connection)
    for held in claim(connection, 2):
        expire(connection, held)
    refuse(connection, refusal)
    recovered = recover(connection, RecoveryTerms(["index"], timedelta(minutes=10)))
    assert recovered.expired_leases == 1
    assert document(connection, other)["status_id"] == 3
    assert ("has_number" if refusal == "constraint" else "legal_hold()") in recovered.failed["expired_leases"]


def test_what_was_claimed_before_an_error_is_returned(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    add_document(connection)

    def fails(*_arguments: object) -> int:
        raise psycopg.errors.LockNotAvailable("a table is locked")

    monkeypatch.setattr("notaflow_pipeline.job_queue.claiming.claims.write_missing_maxima", fails)
    assert len(claim(connection, 2)) == 1
    with pytest.raises(psycopg.errors.LockNotAvailable):
        claim(connection, 2)


def test_outcome_of_a_refused_row_contains_none_of_its_values(connection: Connection, refusal: str) -> None:
    add_refused(connection)
    [held] = claim(connection)
    refuse(connection, refusal)
    for record in (
        lambda: outcomes.record_texts(connection, [(held, READING)]),
        lambda: record_failure(connection, held),
    ):
        with pytest.raises(OutcomeRefused) as refused:
            record()
        assert "Lot" not in str(refused.value)
        assert REFUSED not in str(refused.value)


def test_session_that_may_not_write_refuses_no_row(connection: Connection) -> None:
    add_document(connection)
    connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        claim(connection)
    assert not chunks.is_refusal(connection, psycopg.errors.ReadOnlySqlTransaction())
