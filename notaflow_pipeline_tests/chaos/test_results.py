"""The checks of the chaos run notice each kind of wrong result, and accept allowed changes of other programs."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline_tests.chaos import other_programs
from notaflow_pipeline_tests.chaos.history import record_history
from notaflow_pipeline_tests.chaos.results import (
    Expected,
    exit_code,
    find_wrong_results,
    missing_disturbances,
    text_of_other_program,
)
from notaflow_pipeline_tests.testing.job_queue import READING, add_document, change, claim_one, fail, succeed

EXPECTED = {"1": Expected(READING.text, unreadable=False)}


@pytest.fixture
def other(connection: Connection, database_url: str) -> Iterator[Connection]:
    """Another program, which works on a recorded queue."""
    with psycopg.connect(database_url, autocommit=True, application_name=other_programs.PROGRAM) as one:
        one.execute("SELECT 1")
        yield one


@pytest.fixture(autouse=True)
def _recorded(connection: Connection) -> None:
    record_history(connection)


def kinds(connection: Connection, expected: dict[str, Expected] = EXPECTED) -> set[str]:
    """What is found, but for what the product's own check of the invariants says, which has tests of its own."""
    return {wrong.kind for wrong in find_wrong_results(connection, expected)} - {"invariant violations"}


def test_document_that_was_read_once_is_right(connection: Connection) -> None:
    add_document(connection, document_number="1")
    assert succeed(connection, claim_one(connection), READING)
    assert find_wrong_results(connection, EXPECTED) == []


def test_rows_that_are_missing_or_have_not_ended_are_lost(connection: Connection) -> None:
    assert kinds(connection) == {"documents lost"}
    add_document(connection, document_number="1")
    assert kinds(connection) == {"documents lost"}
    claim_one(connection)
    assert kinds(connection) == {"documents lost"}
    connection.execute("UPDATE extraction_queue SET status_id = 4, ocr_claim_id = NULL")
    assert kinds(connection) == {"documents lost"}


def test_exhausted_document_is_accepted_and_required_if_unreadable(connection: Connection) -> None:
    add_document(connection, document_number="1", ocr_max_attempts=1)
    fail(connection, claim_one(connection))
    unreadable = {"1": replace(EXPECTED["1"], unreadable=True)}
    assert find_wrong_results(connection, EXPECTED) == find_wrong_results(connection, unreadable) == []
    connection.execute("UPDATE extraction_queue SET status_id = 5, file_content = %s", [READING.text])
    assert kinds(connection, unreadable) == {"texts wrong"}


def test_text_of_another_document_is_wrong_another_programs_is_not(connection: Connection) -> None:
    row = add_document(connection, document_number="1", status_id=6)
    change(connection, "extraction_queue", row, status_id=5, file_content="page of 1x1")
    assert kinds(connection) == {"texts wrong"}
    change(connection, "extraction_queue", row, file_content=text_of_other_program("1"))
    assert kinds(connection) == set()


def test_row_at_5_without_a_text_is_noticed_even_after_its_repair(connection: Connection) -> None:
    row = add_document(connection, document_number="1", status_id=6)
    change(connection, "extraction_queue", row, status_id=5)
    assert kinds(connection) == {"documents lost", "done without a text"}
    change(connection, "extraction_queue", row, file_content=READING.text)
    assert kinds(connection) == {"done without a text"}


def test_text_that_is_accepted_after_another_programs_claim_is_noticed(
    connection: Connection, other: Connection
) -> None:
    row = add_document(connection, document_number="1")
    held = claim_one(connection)
    assert other.execute(other_programs.CLAIM, [row, 6]).rowcount == 1
    # as a finish that does not look whose claim the row holds
    connection.execute("UPDATE extraction_queue SET ocr_claim_id = %s", [held.token])
    connection.execute("SET application_name = 'notaflow_pipeline'")
    connection.execute("UPDATE extraction_queue SET status_id = 5, file_content = %s", [READING.text])
    assert "texts of superseded claims" in kinds(connection)


def test_other_program_may_claim_finish_and_reset(connection: Connection, other: Connection) -> None:
    row = add_document(connection, document_number="1")
    assert other.execute(other_programs.CLAIM, [row, 3]).rowcount == 1
    assert other.execute(other_programs.FINISH, [text_of_other_program("1"), row]).rowcount == 1
    assert kinds(connection) == set()
    other.execute(other_programs.RESET, [row])
    assert succeed(connection, claim_one(connection), READING)
    assert kinds(connection) == set()


def test_second_success_is_noticed_unless_it_was_requested(connection: Connection) -> None:
    add_document(connection, document_number="1")
    assert succeed(connection, claim_one(connection), READING)
    request_reread(connection, sources=["index"])
    assert succeed(connection, claim_one(connection), READING)
    assert kinds(connection) == set()
    connection.execute("""
        INSERT INTO ocr_attempt (queue_id, attempt_number, worker_id, claimed_at, lease_expires_at, finished_at,
                                 outcome, text_sha256, characters)
        SELECT queue_id, 3, 'w', clock_timestamp(), now(), clock_timestamp(), outcome, text_sha256, characters
        FROM ocr_attempt
        ORDER BY id DESC
        LIMIT 1
    """)
    assert kinds(connection) == {"documents read twice"}


def test_broken_invariant_is_noticed(connection: Connection) -> None:
    add_document(connection, document_number="1")
    assert succeed(connection, claim_one(connection), READING)
    connection.execute("UPDATE ocr_attempt SET text_sha256 = sha256('late')")
    assert {wrong.kind for wrong in find_wrong_results(connection, EXPECTED)} == {"invariant violations"}


def test_missing_disturbance_fails_only_a_long_run(connection: Connection) -> None:
    done = {"workers killed": 3, "failovers to a read-only server": 0}
    assert missing_disturbances(done, minutes=2) == ["failovers to a read-only server"]
    assert missing_disturbances(done, minutes=1) == []
    assert exit_code([], ["failovers to a read-only server"]) == 1
    assert exit_code([], []) == 0
