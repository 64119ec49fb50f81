"""A row is claimed, recovered, requeued and reread while another session keeps its key with FOR KEY SHARE.

An INSERT into a table with a foreign key to extraction_queue takes this lock, and holds it until its transaction ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from psycopg import Connection

from notaflow_pipeline.job_queue.maintenance.recovery_poll import count_needing_recovery
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter
from notaflow_pipeline.job_queue.queries import can_claim
from notaflow_pipeline_tests.testing.job_queue import (
    STUCK_AFTER,
    add_document,
    ago,
    claim_one,
    document,
    expire,
    recover_all,
    repaired,
    requeue,
    reread,
    succeed,
)


@contextmanager
def referred_to(locker: Connection, key: UUID) -> Iterator[None]:
    assert locker.execute("SELECT FROM extraction_queue WHERE id = %s FOR KEY SHARE", [key]).rowcount == 1
    yield
    locker.rollback()


def test_row_whose_key_is_locked_is_claimed(connection: Connection, locker: Connection) -> None:
    key = add_document(connection)
    with referred_to(locker, key):
        assert can_claim(connection, sources=["index"])
        assert claim_one(connection).document_id == key


def test_backoff_of_a_row_whose_key_is_locked_ends(connection: Connection, locker: Connection) -> None:
    key = add_document(connection, ocr_next_attempt_at=ago("1 second"))
    with referred_to(locker, key):
        assert claim_one(connection).document_id == key


def test_missing_maximum_of_a_row_whose_key_is_locked_is_written(connection: Connection, locker: Connection) -> None:
    key = add_document(connection, ocr_max_attempts=None)
    with referred_to(locker, key):
        assert count_needing_recovery(connection, sources=["index"], stuck_after=STUCK_AFTER) == 1
        assert recover_all(connection) == repaired(missing_maxima=1)


def test_expired_lease_of_a_row_whose_key_is_locked_is_recovered(connection: Connection, locker: Connection) -> None:
    key = add_document(connection)
    expire(connection, claim_one(connection))
    with referred_to(locker, key):
        # recovery does what its poll counts; otherwise the sensor would start runs for nothing
        assert count_needing_recovery(connection, sources=["index"], stuck_after=STUCK_AFTER) == 1
        assert recover_all(connection) == repaired(expired_leases=1)


def test_row_stuck_elsewhere_whose_key_is_locked_is_recovered(connection: Connection, locker: Connection) -> None:
    key = add_document(connection, status_id=6, ocr_started_at=ago("1 hour"))
    with referred_to(locker, key):
        assert count_needing_recovery(connection, sources=["index"], stuck_after=STUCK_AFTER) == 1
        assert recover_all(connection) == repaired(stuck_elsewhere=1)


def test_read_row_at_three_whose_key_is_locked_is_finished(connection: Connection, locker: Connection) -> None:
    key = add_document(connection)
    assert succeed(connection, claim_one(connection))
    connection.execute("UPDATE extraction_queue SET status_id = 3")
    with referred_to(locker, key):
        assert recover_all(connection) == repaired(texts_without_status=1)


def test_exhausted_row_whose_key_is_locked_is_requeued(connection: Connection, locker: Connection) -> None:
    key = add_document(connection, ocr_attempts=3)
    with referred_to(locker, key):
        assert [one.id for one in requeue(connection, ExhaustedFilter(("index",)))] == [key]


def test_finished_row_whose_key_is_locked_is_marked_for_rereading(connection: Connection, locker: Connection) -> None:
    key = add_document(connection)
    assert succeed(connection, claim_one(connection))
    with referred_to(locker, key):
        assert reread(connection, ids=[key]) == [key]
    assert document(connection, key)["ocr_reread_requested_at"] is not None
