"""Each check of the invariants, of the product and of the tests, notices the row that breaks it."""

from collections.abc import Callable

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import releases
from notaflow_pipeline.job_queue.invariants import INVARIANTS, find_violations
from notaflow_pipeline_tests.testing.invariants import INVARIANT_QUERIES
from notaflow_pipeline_tests.testing.job_queue import (
    ENCRYPTED,
    READING,
    add_document,
    ago,
    attempts,
    change,
    claim,
    fail,
    succeed,
)


def history(connection: Connection) -> None:
    """A finished, a failed, an exhausted, a released and an open document, and one that was never claimed."""
    for hours in range(1, 7):
        add_document(connection, document_number=str(hours), created_at=ago(f"{10 - hours} hours"))
    done, failed, exhausted, released, _ = claim(connection, 5)
    succeed(connection, done, READING)
    fail(connection, failed)
    fail(connection, exhausted, ENCRYPTED)
    releases.release(connection, [released.token], reason="stop")


BREAKS: dict[str, tuple[str, str]] = {
    "one_success_per_attempt": (
        "",
        """
        INSERT INTO ocr_attempt (queue_id, attempt_number, worker_id, claimed_at, lease_expires_at, finished_at,
                                 outcome, text_sha256, characters)
        SELECT queue_id, 1, 'w', clock_timestamp(), now(), clock_timestamp(), outcome, text_sha256, characters
        FROM ocr_attempt WHERE outcome = 'succeeded'
        """,
    ),
    "text_matches_last_success": (
        "(b) file_content",
        "UPDATE extraction_queue SET file_content = 'late' WHERE status_id = 5",
    ),
    "attempts_are_counted": (
        "(c) ocr_attempts equals",
        "UPDATE extraction_queue SET ocr_attempts = 0 WHERE status_id = 5",
    ),
    "attempts_stay_within_maximum": (
        "(c) attempts never",
        "UPDATE extraction_queue SET ocr_max_attempts = 0 WHERE status_id = 5",
    ),
    "attempts_do_not_overlap": (
        "(d) two attempts",
        """
        INSERT INTO ocr_attempt (queue_id, attempt_number, worker_id, claimed_at, lease_expires_at, finished_at, outcome)
        SELECT queue_id, 2, 'w', claimed_at, now(), finished_at, 'superseded'
        FROM ocr_attempt WHERE outcome = 'succeeded'
        """,
    ),
    "status_6_is_one_open_attempt": (
        "(e) a row at 6",
        "UPDATE ocr_attempt SET finished_at = clock_timestamp(), outcome = 'stuck' WHERE finished_at IS NULL",
    ),
    "token_means_status_6": (
        "(e) a row that is not at 6",
        "UPDATE extraction_queue SET ocr_claim_id = 1 WHERE status_id = 5",
    ),
    "done_means_succeeded": (
        "(f) a row at 5",
        "UPDATE extraction_queue SET ocr_completed_at = ocr_started_at - interval '1 s' WHERE status_id = 5",
    ),
}


@pytest.mark.parametrize("invariant", BREAKS)
def test_both_checks_name_the_row_that_breaks_an_invariant(connection: Connection, invariant: str) -> None:
    history(connection)
    assert list(find_violations(connection, sources=["index"])) == []
    promise, damage = BREAKS[invariant]
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # no trigger helps
        connection.execute(damage.encode())
    violations = list(find_violations(connection, sources=["index"]))
    assert invariant in {violation.invariant for violation in violations}
    assert len({violation.document_id for violation in violations}) == 1
    if promise:
        found = [name for name, query in INVARIANT_QUERIES.items() if connection.execute(query).fetchall()]
        assert [name for name in found if name.startswith(promise)]


def test_open_attempt_of_a_row_that_went_elsewhere_is_named(connection: Connection) -> None:
    history(connection)
    [running] = [one for one in attempts(connection) if one["finished_at"] is None]
    change(connection, "extraction_queue", running["queue_id"], status_id=3)
    assert list(find_violations(connection, sources=["index"])) == [], (
        "its worker has until the lease expires to end it"
    )
    change(connection, "ocr_attempt", running["id"], lease_expires_at=ago("1 second"))
    [violation] = find_violations(connection, sources=["index"])
    assert (violation.invariant, violation.document_id) == ("status_6_is_one_open_attempt", str(running["queue_id"]))
    assert connection.execute(INVARIANT_QUERIES["(e) an open attempt is the token of a row at 6"]).fetchall()


def test_row_at_three_with_our_text_is_named_as_in_no_list(connection: Connection) -> None:
    history(connection)
    connection.execute("UPDATE extraction_queue SET status_id = 3 WHERE status_id = 5")
    [violation] = find_violations(connection, sources=["index"])
    assert violation.invariant == "status_3_has_one_state"


def test_every_invariant_of_the_product_notices_a_violation() -> None:
    assert set(INVARIANTS) == {*BREAKS, "status_3_has_one_state"}


CHANGES: list[Callable[[Connection], object]] = [
    lambda connection: add_document(connection, ocr_attempts=None, ocr_max_attempts=None),
    lambda connection: add_document(connection, ocr_attempts=0, ocr_max_attempts=0),
    lambda connection: add_document(connection, file_content="by another program"),
    lambda connection: add_document(connection, document_source=None),
    lambda connection: add_document(connection, status_id=6, ocr_attempts=1),
    lambda connection: add_document(connection, status_id=5, ocr_attempts=1, file_content="by another program"),
    lambda connection: connection.execute("DELETE FROM extraction_queue WHERE status_id <> 6"),
]


def test_allowed_changes_of_other_programs_are_no_violation(connection: Connection) -> None:
    history(connection)
    for change_elsewhere in CHANGES:
        change_elsewhere(connection)
        assert list(find_violations(connection, sources=["index"])) == []
