"""Negative controls: each safeguard against double processing is removed, and its scenario must fail.

Each scenario passes with the unchanged queue, and fails without the safeguard that it tests.
"""

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from psycopg import Connection, sql

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.claiming import claim_statements, claims, outcomes, releases
from notaflow_pipeline.job_queue.database import sessions
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryTerms, recover
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult, Recording
from notaflow_pipeline_tests.testing.job_queue import succeed

LEASE = timedelta(seconds=60)
READING = OcrResult("late", 1, 90.0, 0.1, 0.1, 1, "test")
FAILURE = Failure(FailureKind.TIMEOUT, "It took too long.")

Scenario = Callable[[str], None]


def claim(connection: Connection, limit: int = 1) -> list[Claim]:
    return claims.claim_documents(
        connection, limit=limit, sources=["index"], worker_id="everybody", run_id=None, lease=LEASE
    )


def finish_late(url: str, finish: Callable[[Connection, Claim], bool]) -> None:
    """A worker declared dead comes back while another has the document."""
    with psycopg.connect(url, autocommit=True) as connection:
        document = enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
        [dead] = claim(connection)
        connection.execute("UPDATE ocr_attempt SET lease_expires_at = now() - interval '1 second'")
        recover(connection, RecoveryTerms(["index"], LEASE))
        [alive] = claim(connection)
        accepted = finish(connection, dead)
        row = connection.execute(
            "SELECT status_id, ocr_claim_id, file_content FROM extraction_queue WHERE id = %s", [document]
        )
        assert not accepted
        assert row.fetchone() == (6, alive.token, None)


def late_success_changes_nothing(url: str) -> None:
    finish_late(url, lambda connection, dead: succeed(connection, dead, READING))


def late_failure_changes_nothing(url: str) -> None:
    def fail(connection: Connection, dead: Claim) -> bool:
        return (
            outcomes.record_failure(
                connection,
                dead,
                FAILURE,
                error="OCR processing failed: It took too long.",
                fetch_seconds=0,
                source_bytes=0,
                retry_base_seconds=1,
                mirror_errors=True,
                exhausted_status=3,
            )
            is Recording.RECORDED
        )

    finish_late(url, fail)


def exhausted_documents_are_not_claimed(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
        connection.execute("UPDATE extraction_queue SET ocr_attempts = 3")
        assert claim(connection) == []


def rows_in_other_hands_are_passed_over(url: str) -> None:
    with psycopg.connect(url) as other, psycopg.connect(url, autocommit=True) as connection:
        first = enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
        second = enqueue_document(connection, NewDocument("index", "2", "index/2.pdf"))
        other.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [first])
        assert [one.document_id for one in claim(connection)] == [second]


def one_document_has_one_open_attempt(url: str) -> None:
    """Without what the claim supersedes, the database itself refuses a second open attempt."""
    with psycopg.connect(url, autocommit=True) as connection:
        enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
        claim(connection)
        connection.execute("UPDATE extraction_queue SET status_id = 3")
        assert len(claim(connection)) == 1


def locked_row_keeps_no_other_waiting(url: str, attempt: bool = False) -> None:
    with psycopg.connect(url) as other, psycopg.connect(url, autocommit=True) as connection:
        for number in "12":
            enqueue_document(connection, NewDocument("index", number, f"index/{number}.pdf"))
        first, second = claim(connection, limit=2)
        if attempt:
            other.execute("SELECT FROM ocr_attempt WHERE id = %s FOR UPDATE", [first.token])
        else:
            other.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [first.document_id])
        recorded = outcomes.record_texts(connection, [(first, READING), (second, READING)])
        assert [recorded[one.token] for one in (first, second)] == [Recording.LOCKED, Recording.RECORDED]


def locked_attempt_keeps_no_other_waiting(url: str) -> None:
    locked_row_keeps_no_other_waiting(url, attempt=True)


def text_of_a_file_that_was_replaced_is_dropped(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        document = enqueue_document(connection, NewDocument("index", "1", "index/old.pdf"))
        [held] = claim(connection)
        connection.execute("UPDATE extraction_queue SET supabase_path = 'index/new.pdf'")
        assert not succeed(connection, held, READING)
        row = connection.execute("SELECT status_id, file_content FROM extraction_queue WHERE id = %s", [document])
        assert row.fetchone() == (3, None)


def attempts_follow_one_another_though_the_clock_steps_back(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
        releases.release(connection, [claim(connection)[0].token], reason="stop")
        connection.execute("UPDATE ocr_attempt SET finished_at = now() + interval '1 hour'")
        claim(connection)
        assert list(find_violations(connection, sources=["index"])) == []


SCENARIOS: list[tuple[Scenario, str, list[str]]] = [
    (
        late_success_changes_nothing,
        "_SUCCEED",
        [
            "\n      AND q.ocr_claim_id = read.token",
            "\n      AND a.outcome IS NULL",
        ],
    ),
    (
        late_failure_changes_nothing,
        "_FAIL",
        [
            "\n      AND q.ocr_claim_id = %(token)s",
            "\n      AND a.outcome IS NULL",
        ],
    ),
    (
        exhausted_documents_are_not_claimed,
        "CLAIMABLE",
        [
            "\n      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)",
            "\n      AND COALESCE(ocr_attempts, 0) < ocr_max_attempts",
        ],
    ),
    (rows_in_other_hands_are_passed_over, "_PICK", [" SKIP LOCKED"]),
    (locked_row_keeps_no_other_waiting, "_SUCCEED", [" SKIP LOCKED"]),
    (locked_attempt_keeps_no_other_waiting, "_SUCCEED", [", a"]),
    (
        text_of_a_file_that_was_replaced_is_dropped,
        "_SUCCEED",
        ["\n      AND q.supabase_path IS NOT DISTINCT FROM read.path"],
    ),
    (attempts_follow_one_another_though_the_clock_steps_back, "_CLAIM", [", before.ended_at"]),
]


@pytest.mark.parametrize("scenario", [*(one[0] for one in SCENARIOS), one_document_has_one_open_attempt])
def test_scenario_passes_with_its_safeguard(scenario: Scenario, database_url: str) -> None:
    scenario(database_url)


@pytest.mark.parametrize(("scenario", "statement", "safeguards"), SCENARIOS)
def test_scenario_fails_without_its_safeguard(
    scenario: Scenario,
    statement: str,
    safeguards: list[str],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    module = claim_statements if hasattr(claim_statements, statement) else outcomes
    whole = getattr(module, statement)
    text = whole.as_string() if isinstance(whole, sql.SQL) else whole
    for safeguard in safeguards:
        assert safeguard in text
        text = text.replace(safeguard, "")
    monkeypatch.setattr(module, statement, sql.SQL(text) if isinstance(whole, sql.SQL) else text)
    for composed in (claim_statements.claim_statement, outcomes._succeed_statement):
        composed.cache_clear()
    request.addfinalizer(claim_statements.claim_statement.cache_clear)
    request.addfinalizer(outcomes._succeed_statement.cache_clear)
    monkeypatch.setattr(sessions, "LOCK_SECONDS", 1)
    with pytest.raises((AssertionError, psycopg.errors.LockNotAvailable)):
        scenario(database_url)


def test_without_superseding_the_unique_index_refuses(
    database_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    condition = "WHERE a.queue_id = picked.id"
    text = claim_statements._CLAIM.as_string().replace(condition, condition.replace("WHERE", "WHERE FALSE AND"))
    monkeypatch.setattr(claim_statements, "_CLAIM", sql.SQL(text))
    claim_statements.claim_statement.cache_clear()
    request.addfinalizer(claim_statements.claim_statement.cache_clear)
    with pytest.raises(ClaimsRefused, match="ocr_attempt_one_open"):
        one_document_has_one_open_attempt(database_url)


def our_claim_ends_with_another_programs(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
        [held] = claim(connection)
        connection.execute("UPDATE extraction_queue SET status_id = 6, ocr_started_at = clock_timestamp()")
        assert not succeed(connection, held, READING)


@pytest.mark.owner
def test_trigger_ends_our_claim_when_another_program_claims(database_url: str) -> None:
    our_claim_ends_with_another_programs(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE extraction_queue, ocr_attempt")
        connection.execute("DROP TRIGGER ocr_changed_elsewhere ON extraction_queue")
    with pytest.raises(AssertionError):
        our_claim_ends_with_another_programs(database_url)
