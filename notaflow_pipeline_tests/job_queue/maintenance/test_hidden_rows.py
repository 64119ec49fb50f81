"""Recovery names the stuck rows that a policy hides from this login, and not those that are locked."""

from datetime import timedelta
from uuid import UUID

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.database.hidden_rows import HIDDEN
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryResult, RecoveryTerms, recover
from notaflow_pipeline_tests.testing.job_queue import add_document, ago, claim_one, document, expire

pytestmark = [pytest.mark.owner, pytest.mark.direct]


def recovered(connection: Connection) -> RecoveryResult:
    return recover(connection, RecoveryTerms(["index"], timedelta(minutes=10)))


@pytest.fixture
def stuck(connection: Connection, worker: Connection) -> tuple[UUID, UUID]:
    """A document with an expired lease, and one that another program left at 6."""
    leased = add_document(connection)
    expire(connection, claim_one(worker))
    return leased, add_document(connection, status_id=6, ocr_started_at=ago("1 hour"))


def test_stuck_rows_that_a_policy_hides_are_named(
    connection: Connection, worker: Connection, stuck: tuple[UUID, UUID]
) -> None:
    connection.execute("CREATE POLICY held ON extraction_queue AS RESTRICTIVE FOR UPDATE USING (status_id <> 6)")
    result = recovered(worker)
    assert result.total == 0
    refused = f"the database refused to change 1 row ({HIDDEN})"
    assert result.failed == {"expired_leases": refused, "stuck_elsewhere": refused}
    connection.execute("DROP POLICY held ON extraction_queue")
    assert (recovered(worker).total, [document(connection, key)["status_id"] for key in stuck]) == (2, [3, 3])


def test_live_and_locked_rows_are_not_taken_for_hidden_ones(
    connection: Connection, worker: Connection, stuck: tuple[UUID, UUID], other: Connection
) -> None:
    add_document(connection, status_id=6, ocr_started_at=ago("1 minute"))
    with other.transaction():
        other.execute("SELECT FROM extraction_queue FOR UPDATE")
        assert recovered(worker) == RecoveryResult()
