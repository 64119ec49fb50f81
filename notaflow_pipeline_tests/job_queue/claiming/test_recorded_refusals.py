"""Documents that the database refuses to claim are told from those that wait for a worker."""

from uuid import UUID

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue import metrics, queries
from notaflow_pipeline.job_queue.claiming.claim_check import find_refusal
from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.claiming.ready_rows import find_hidden
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused
from notaflow_pipeline.job_queue.database.hidden_rows import HIDDEN
from notaflow_pipeline.job_queue.listing import list_documents
from notaflow_pipeline.job_queue.refusals import find_refusals
from notaflow_pipeline_tests.testing.job_queue import STUCK_AFTER, add_document, ago, change, claim, claim_one, succeed

pytestmark = [pytest.mark.owner, pytest.mark.direct]

INDEX = ["index"]


def refuse(connection: Connection, key: UUID) -> None:
    """Have a constraint of another program refuse every change of this row."""
    connection.execute(f"ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (id <> '{key}') NOT VALID")


def hide(connection: Connection, key: UUID) -> None:
    """Have a policy of another program hide this row from the worker's updates, not from its reads."""
    connection.execute(f"CREATE POLICY held ON extraction_queue AS RESTRICTIVE FOR UPDATE USING (id <> '{key}')")


def counts(connection: Connection) -> tuple[int, int]:
    """Return how many documents are ready, and how many are refused."""
    found = queries.count_queue(connection, sources=INDEX, stuck_after=STUCK_AFTER)
    listed = list_documents(connection, sources=INDEX, stuck_after=STUCK_AFTER, exhausted_status=3, limit=9)
    states = [one.state for one in listed]
    assert (states.count("ready"), states.count("refused")) == (found.ready, found.refused)
    return found.ready, found.refused


def test_refused_document_counts_as_refused_until_it_is_claimed(connection: Connection) -> None:
    refused, other = add_document(connection, created_at=ago("1 day")), add_document(connection)
    change(connection, "extraction_queue", refused, updated_at=ago("1 day"))
    refuse(connection, refused)
    assert counts(connection) == (2, 0), "no claim has met it"
    assert succeed(connection, claim_one(connection))
    assert counts(connection) == (0, 1)
    assert [one.document_id for one in find_refusals(connection, INDEX)] == [refused]
    assert metrics.oldest_waiting_seconds(connection, sources=INDEX) is None

    connection.execute("ALTER TABLE extraction_queue DROP CONSTRAINT held")
    assert claim_one(connection).document_id == refused
    change(connection, "extraction_queue", refused, status_id=3)
    assert counts(connection) == (1, 0)
    assert find_refusals(connection, INDEX) == []
    assert other != refused


@pytest.mark.parametrize("columns", [{"ocr_next_attempt_at": ago("1 hour")}, {"ocr_max_attempts": None}])
def test_document_that_cannot_be_made_claimable_is_refused(connection: Connection, columns: dict[str, object]) -> None:
    refuse(connection, add_document(connection, **columns))
    with pytest.raises(ClaimsRefused, match=r"refuses to claim 1 ready document, such as .*constraint held"):
        claim(connection)
    assert counts(connection) == (0, 1)


def test_claim_that_is_tried_and_rolled_back_records_refusals(connection: Connection) -> None:
    refused = add_document(connection)
    refuse(connection, refused)
    assert "constraint held" in str(find_refusal(connection, INDEX, ClaimPosition()))
    [noted] = find_refusals(connection, INDEX)
    assert noted.document_id == refused
    assert "constraint held" in noted.reason


def test_refusal_of_a_deleted_document_is_forgotten(connection: Connection) -> None:
    first, second = add_document(connection), add_document(connection, document_number="7")
    connection.execute("ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (document_source <> 'index') NOT VALID")
    with pytest.raises(ClaimsRefused, match="2 ready documents"):
        claim(connection)
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [first])
    with pytest.raises(ClaimsRefused, match="1 ready document,"):
        claim(connection)
    assert connection.execute("SELECT queue_id FROM ocr_refusal").fetchall() == [(second,)]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"ocr_next_attempt_at": ago("1 hour")},
        {"ocr_max_attempts": None},
        {"status_id": 5, "file_content": "text", "ocr_attempts": 1, "ocr_reread_requested_at": ago("1 hour")},
    ],
    ids=["ready", "backoff has ended", "no maximum", "to reread"],
)
def test_document_hidden_by_a_policy_is_refused(
    connection: Connection, worker: Connection, columns: dict[str, object]
) -> None:
    hidden = add_document(connection, **columns)
    hide(connection, hidden)
    position = ClaimPosition()
    with pytest.raises(ClaimsRefused, match=f"refuses to claim 1 ready document, such as {hidden} .*{HIDDEN}"):
        claim(worker, position=position)
    assert position.left_out == [hidden]
    assert claim(worker, position=position) == []
    assert [one.reason for one in find_refusals(connection, INDEX)] == [HIDDEN]


def test_locked_document_is_not_taken_for_a_hidden_one(
    connection: Connection, worker: Connection, other: Connection
) -> None:
    locked, hidden = add_document(connection), add_document(connection)
    hide(connection, hidden)
    for mode in ("UPDATE", "NO KEY UPDATE"):
        with other.transaction():
            other.execute(f"SELECT FROM extraction_queue WHERE id = %s FOR {mode}", [locked])
            assert find_hidden(worker, INDEX, []) == [hidden]
    assert find_hidden(worker, INDEX, [hidden]) == []
    connection.execute("INSERT INTO ocr_pause (since, reason) VALUES (now(), 'x')")
    assert find_hidden(worker, INDEX, []) == []
