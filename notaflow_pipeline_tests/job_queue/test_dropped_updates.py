"""An update of ours that a trigger of another program drops or reverts, without an error, is a refusal of that row.

Such a row would otherwise be claimed again and again, in place of the documents behind it, or be recorded as changed.
"""

from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.cancel import cancel_documents
from notaflow_pipeline.job_queue.claiming import outcomes, releases
from notaflow_pipeline.job_queue.claiming.claim_check import check_claim, find_refusal
from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.database.chunks import DROPPED
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, OutcomeRefused
from notaflow_pipeline.job_queue.database.hidden_rows import HIDDEN
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryResult, RecoveryTerms, recover
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, requeue_exhausted
from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline_tests.testing.job_queue import (
    READING,
    add_document,
    ago,
    attempts,
    claim,
    document,
    everything,
    expire,
    fail,
    record_failure,
    succeed,
)

pytestmark = pytest.mark.owner

DROPS = "RETURN NULL;"
REVERTS = "NEW.status_id := OLD.status_id; RETURN NEW;"


@pytest.fixture(params=[DROPS, REVERTS], ids=["dropped", "reverted"])
def body(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def hold(connection: Connection, key: UUID, body: str = DROPS) -> None:
    """Have a trigger of another program keep this row as it is."""
    connection.execute(f"""
        CREATE FUNCTION hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
        CREATE TRIGGER zz_hold BEFORE UPDATE ON extraction_queue
        FOR EACH ROW WHEN (OLD.id = '{key}') EXECUTE FUNCTION hold()
    """)


def two(connection: Connection, **columns: object) -> tuple[UUID, UUID]:
    """Add two documents; return the older one first."""
    older = add_document(connection, created_at=ago("1 day"), **columns)
    return older, add_document(connection, **columns)


def recovered(connection: Connection) -> RecoveryResult:
    return recover(connection, RecoveryTerms(["index"], timedelta(minutes=10)))


def test_document_behind_one_that_cannot_be_claimed_is_claimed(connection: Connection, body: str) -> None:
    held, other = two(connection)
    hold(connection, held, body)
    assert [one.document_id for one in claim(connection)] == [other]
    with pytest.raises(ClaimsRefused, match=f"such as {held} .*{DROPPED}"):
        claim(connection)
    assert attempts(connection, held) == []
    assert document(connection, held)["ocr_claim_id"] is None
    check = check_claim(connection, ["index"])
    assert not check.ok
    assert DROPPED in check.detail


def test_backoff_that_cannot_end_keeps_no_other_waiting(connection: Connection) -> None:
    held, other = two(connection, ocr_next_attempt_at=ago("1 hour"))
    hold(connection, held)
    position = ClaimPosition()
    assert find_refusal(connection, ["index"], ClaimPosition()) is None
    assert [one.document_id for one in claim(connection, 2, position=position)] == [other]
    assert position.left_out == [held]
    assert DROPPED in str(find_refusal(connection, ["index"], ClaimPosition())), "no run is launched"


@pytest.mark.direct
def test_row_that_a_policy_keeps_from_being_locked_is_named(connection: Connection, worker: Connection) -> None:
    add_document(connection)
    connection.execute("CREATE POLICY held ON extraction_queue AS RESTRICTIVE FOR UPDATE USING (status_id <> 3)")
    with pytest.raises(ClaimsRefused, match=HIDDEN):
        claim(worker)
    assert HIDDEN in check_claim(worker, ["index"]).detail
    assert HIDDEN in str(find_refusal(worker, ["index"], ClaimPosition()))


def test_rule_that_keeps_every_row_from_being_claimed_is_explained(connection: Connection) -> None:
    add_document(connection)
    connection.execute("CREATE RULE audit AS ON UPDATE TO extraction_queue DO ALSO NOTIFY audit")
    with pytest.raises(ClaimsRefused, match="rules are not supported for data-modifying statements in WITH"):
        claim(connection)


def test_missing_maximum_that_is_not_written_keeps_no_other_waiting(connection: Connection) -> None:
    held, other = two(connection, ocr_max_attempts=None)
    hold(connection, held)
    position = ClaimPosition()
    assert [one.document_id for one in claim(connection, 2, position=position)] == [other]
    assert position.left_out == [held]
    assert DROPPED in recovered(connection).failed["missing_maxima"]


def test_outcome_that_is_dropped_is_refused_and_the_claim_stays_open(connection: Connection, body: str) -> None:
    key = add_document(connection)
    [held] = claim(connection)
    hold(connection, key, body)
    with pytest.raises(OutcomeRefused, match=DROPPED):
        outcomes.record_texts(connection, [(held, READING)])
    with pytest.raises(OutcomeRefused, match=DROPPED):
        record_failure(connection, held)
    assert [one["outcome"] for one in attempts(connection)] == [None]
    assert document(connection, key)["status_id"] == 6


def test_release_and_recovery_leave_out_the_row_that_is_kept(connection: Connection, body: str) -> None:
    kept, other = two(connection)
    held = claim(connection, 2)
    hold(connection, kept, body)
    assert releases.release(connection, [one.token for one in held], reason="stop") == 1
    assert [row["queue_id"] for row in attempts(connection) if row["outcome"] is None] == [kept]
    [again] = claim(connection)
    assert again.document_id == other
    for one in (held[0], again):
        expire(connection, one)
    result = recovered(connection)
    assert (result.expired_leases, document(connection, other)["status_id"]) == (1, 3)
    assert DROPPED in result.failed["expired_leases"]


def test_recovery_names_the_row_of_another_program_that_is_kept(connection: Connection, body: str) -> None:
    kept, other = two(connection, status_id=6, ocr_started_at=ago("1 hour"))
    hold(connection, kept, body)
    result = recovered(connection)
    assert (result.stuck_elsewhere, document(connection, other)["status_id"]) == (1, 3)
    assert DROPPED in result.failed["stuck_elsewhere"]
    assert attempts(connection, kept) == []


def test_recovery_names_the_read_row_that_stays_at_three(connection: Connection, body: str) -> None:
    kept = add_document(connection)
    [held] = claim(connection)
    assert succeed(connection, held)
    connection.execute("UPDATE extraction_queue SET status_id = 3")
    hold(connection, kept, body)
    result = recovered(connection)
    assert result.texts_without_status == 0
    assert DROPPED in result.failed["texts_without_status"]


def test_requeue_that_is_dropped_is_reported_and_not_recorded(connection: Connection) -> None:
    kept, other = two(connection, ocr_max_attempts=1)
    for held in claim(connection, 2):
        assert fail(connection, held)
    hold(connection, kept)
    result = requeue_exhausted(connection, ExhaustedFilter(("index",)))
    assert result.rows == 1
    assert DROPPED in result.refused
    assert connection.execute("SELECT queue_id FROM ocr_round").fetchall() == [(other,)]


def test_reread_that_is_dropped_is_reported(connection: Connection) -> None:
    kept, _ = two(connection)
    for held in claim(connection, 2):
        assert succeed(connection, held)
    hold(connection, kept)
    result = request_reread(connection, sources=["index"])
    assert result.rows == 1
    assert DROPPED in result.refused


@pytest.mark.parametrize("claimed", [True, False], ids=["in work", "waiting"])
def test_cancelling_that_is_dropped_is_not_recorded(connection: Connection, claimed: bool) -> None:
    kept, other = two(connection)
    if claimed:
        claim(connection, 2)
    hold(connection, kept)
    before = everything(connection) if claimed else None
    cancelled = cancel_documents(
        connection, [kept, other], sources=["index"], worker_id="test", reason="by a person", mirror_errors=True
    )
    assert [one.id for one in cancelled] == [other]
    assert [one["outcome"] for one in attempts(connection, kept)] == ([None] if before else [])


REMOVES_TEXT = "IF NEW.status_id = 5 THEN NEW.file_content := NULL; END IF; RETURN NEW;"


def test_text_that_a_trigger_removes_is_refused(connection: Connection) -> None:
    key = add_document(connection)
    [held] = claim(connection)
    hold(connection, key, REMOVES_TEXT)
    with pytest.raises(OutcomeRefused, match=DROPPED):
        outcomes.record_texts(connection, [(held, READING)])
    assert document(connection, key)["status_id"] == 6
    assert fail(connection, held)
    assert document(connection, key)["status_id"] == 3


@pytest.mark.parametrize("time", ["BEFORE", "AFTER"])
def test_check_of_claims_finds_a_trigger_that_removes_texts(connection: Connection, time: str) -> None:
    add_document(connection)
    body = "NEW.file_content := NULL; RETURN NEW;"
    if time == "AFTER":
        body = "UPDATE extraction_queue SET file_content = NULL WHERE id = NEW.id; RETURN NULL;"
    connection.execute(f"""
        CREATE FUNCTION hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
        CREATE TRIGGER zz_hold {time} UPDATE ON extraction_queue
        FOR EACH ROW WHEN (NEW.status_id = 5 AND NEW.file_content IS NOT NULL) EXECUTE FUNCTION hold()
    """)
    check = check_claim(connection, ["index"])
    assert not check.ok
    assert DROPPED in check.detail


def test_old_text_is_not_removed_by_a_failure_release_or_recovery(connection: Connection) -> None:
    key = add_document(connection)
    [held] = claim(connection)
    assert succeed(connection, held)
    request_reread(connection, sources=["index"])
    [again] = claim(connection)
    hold(connection, key, REMOVES_TEXT)
    with pytest.raises(OutcomeRefused, match=DROPPED):
        record_failure(connection, again)
    assert releases.release(connection, [again.token], reason="stop") == 0
    expire(connection, again)
    assert DROPPED in recovered(connection).failed["expired_leases"]
    row = document(connection, key)
    assert (row["status_id"], row["file_content"]) == (6, READING.text)


def test_text_of_another_program_is_not_removed_by_recovery(connection: Connection) -> None:
    key = add_document(connection, status_id=6, file_content="text", ocr_started_at=ago("1 hour"))
    hold(connection, key, REMOVES_TEXT)
    assert DROPPED in recovered(connection).failed["stuck_elsewhere"]
    assert document(connection, key)["file_content"] == "text"


def test_text_that_a_trigger_changes_is_the_text_of_the_attempt(connection: Connection) -> None:
    key = add_document(connection)
    [held] = claim(connection)
    hold(connection, key, "NEW.file_content := 'x' || NEW.file_content; RETURN NEW;")
    assert succeed(connection, held)
    text = "x" + READING.text
    assert document(connection, key)["file_content"] == text
    assert attempts(connection, key)[0]["characters"] == len(text)
    assert list(find_violations(connection, sources=["index"])) == []


def test_new_row_that_is_dropped_is_an_error(connection: Connection) -> None:
    connection.execute("""
        CREATE FUNCTION hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER hold BEFORE INSERT ON extraction_queue FOR EACH ROW EXECUTE FUNCTION hold()
    """)
    with pytest.raises(psycopg.IntegrityError, match="drops new rows"):
        enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    check = check_claim(connection, ["index"])
    assert not check.ok
    assert "drops new rows" in check.detail
