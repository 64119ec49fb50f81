"""No invariant stays violated: for every state of a row, what its remedy names ends the violation."""

import itertools
from uuid import UUID

import pytest
from psycopg import Connection, sql

from notaflow_pipeline.job_queue.invariants import accept_changes, find_violations
from notaflow_pipeline_tests.testing.job_queue import add_document, claim, fail, recover_all

STATES = list(
    itertools.product(
        [1, 3, 4, 5, 6],
        ["NULL", "ocr_claim_id", "99999999"],
        ["NULL", "''", "'text'"],
        ["NULL", "'infinity'", "'294276-12-31'", "now() - interval '1 hour'"],
    )
)
"""Status, token, text and start of a row, as expressions."""

TWO_HOURS_LATER = """
UPDATE ocr_attempt
SET claimed_at = claimed_at - interval '2 hours',
    finished_at = finished_at - interval '2 hours',
    lease_expires_at = now() - interval '1 minute'
"""


@pytest.mark.owner
@pytest.mark.parametrize("is_open", [True, False], ids=["open attempt", "failed attempt"])
def test_remedies_end_the_violations_of_every_state(connection: Connection, is_open: bool) -> None:
    for _ in STATES:
        add_document(connection)
    claimed = claim(connection, len(STATES))
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # no trigger helps
        for held, (status, token, text, started) in zip(claimed, STATES, strict=True):
            if not is_open:
                assert fail(connection, held)
            connection.execute(
                sql.SQL(
                    "UPDATE extraction_queue SET status_id = {}, ocr_claim_id = {}, file_content = {}, ocr_started_at = {} "
                    "WHERE id = {}"
                ).format(*map(sql.SQL, (str(status), token, text, started)), held.document_id)
            )
        connection.execute(TWO_HOURS_LATER)
    violations = list(find_violations(connection, sources=["index"]))
    assert violations
    for _ in range(2):
        recover_all(connection)
    for left in list(find_violations(connection, sources=["index"])):
        assert f"notaflow recover --accept {left.document_id}" in left.remedy
        assert accept_changes(connection, [UUID(left.document_id)]) == 1
    assert list(find_violations(connection, sources=["index"])) == []
