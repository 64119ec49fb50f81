"""The count of rows that need recovery equals the number of repairs."""

from collections.abc import Callable

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.testing.job_queue import (
    BLANK,
    READING,
    add_document,
    ago,
    ahead,
    change,
    claim_one,
    expire,
    recover_all,
    repaired,
    rows_to_recover,
    succeed,
)


def _expired(connection: Connection) -> None:
    add_document(connection)
    expire(connection, claim_one(connection))


def _lease_renewed(connection: Connection) -> None:
    add_document(connection)
    change(connection, "extraction_queue", claim_one(connection).document_id, ocr_started_at=ago("3 hours"))


def _stuck_elsewhere(connection: Connection) -> None:
    add_document(connection, status_id=6, ocr_attempts=1, ocr_started_at=ago("11 minutes"))
    add_document(connection, status_id=6, ocr_attempts=1)


def _claimed_elsewhere(connection: Connection) -> None:
    add_document(connection, status_id=6, ocr_attempts=1, ocr_started_at=ago("9 minutes"))


def _orphaned(connection: Connection) -> None:
    _expired(connection)
    connection.execute("UPDATE extraction_queue SET status_id = 3")


def _orphaned_and_claimed_elsewhere(connection: Connection) -> None:
    _orphaned(connection)
    connection.execute("UPDATE extraction_queue SET status_id = 6, ocr_started_at = clock_timestamp()")


def _read_but_ready(connection: Connection) -> None:
    add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    connection.execute("UPDATE extraction_queue SET status_id = 3")


def _text_of_another_program(connection: Connection) -> None:
    _read_but_ready(connection)
    connection.execute("UPDATE extraction_queue SET file_content = 'corrected by hand'")


def _text_of_an_earlier_success(connection: Connection) -> None:
    _read_but_ready(connection)
    connection.execute("UPDATE extraction_queue SET file_content = NULL")
    assert succeed(connection, claim_one(connection), BLANK)
    connection.execute("UPDATE extraction_queue SET status_id = 3, file_content = %s", [READING.text])


def _without_maximum(connection: Connection) -> None:
    add_document(connection, ocr_max_attempts=None)
    add_document(connection, ocr_max_attempts=None, document_source="acte")


def _ordinary(connection: Connection) -> None:
    for status in (1, 2, 3, 4, 5):
        add_document(connection, status_id=status)


@pytest.mark.parametrize(
    "situation",
    [
        _expired,
        _lease_renewed,
        _stuck_elsewhere,
        _claimed_elsewhere,
        _orphaned,
        _orphaned_and_claimed_elsewhere,
        _read_but_ready,
        _text_of_another_program,
        _text_of_an_earlier_success,
        _without_maximum,
        _ordinary,
    ],
)
def test_count_of_rows_that_need_recovery_matches_the_repairs(
    connection: Connection, situation: Callable[[Connection], None]
) -> None:
    situation(connection)
    counted = rows_to_recover(connection)
    assert recover_all(connection).total == counted
    assert rows_to_recover(connection) == 0


@pytest.mark.parametrize("orphaned", [False, True], ids=["under OCR", "row deleted"])
def test_lease_of_a_clock_that_was_ahead_is_recovered(connection: Connection, orphaned: bool) -> None:
    add_document(connection)
    held = claim_one(connection)
    change(connection, "ocr_attempt", held.token, lease_expires_at=ahead("300 days"))
    if orphaned:
        connection.execute("DELETE FROM extraction_queue")
    assert rows_to_recover(connection) == 1
    assert recover_all(connection) == repaired(**{"orphaned_attempts" if orphaned else "expired_leases": 1})


def test_rows_that_others_have_locked_are_not_counted(connection: Connection, other: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    add_document(connection, status_id=6)
    add_document(connection, ocr_max_attempts=None)
    with other.transaction():
        other.execute("SELECT FROM extraction_queue FOR UPDATE")
        assert rows_to_recover(connection) == 0
        assert recover_all(connection) == repaired()
    assert rows_to_recover(connection) == 3
