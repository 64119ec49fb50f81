"""Claims that begin where the last one ended: what they save beside an open snapshot, and what they may never cost."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.queue import claims
from notaflow_pipeline.queue.front import BELIEVED_SECONDS, QueueFront
from notaflow_pipeline.queue.model import Claim
from notaflow_pipeline_tests.queue.conftest import LEASE, READING, add_document, ago, change
from notaflow_pipeline_tests.queue.oracle import broken_promises


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def front(clock: Clock) -> QueueFront:
    return QueueFront(clock)


def claim(
    connection: Connection, front: QueueFront | None, limit: int = 1, *, sources: Sequence[str] = ("index",)
) -> list[Claim]:
    return claims.claim_documents(
        connection, limit=limit, sources=sources, worker_id="w", run_id=None, lease=LEASE, front=front
    )


def fill(connection: Connection, documents: int) -> list[UUID]:
    """Add documents that are ready, a second apart; return their ids, oldest first."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(
            """
            INSERT INTO extraction_queue (document_source, document_number, status_id, created_at)
            SELECT 'index', i::text, 3, now() - interval '1 day' + i * interval '1 second'
            FROM generate_series(1, %s) AS i
            """,
            [documents],
        )
        return cursor.execute("SELECT id FROM extraction_queue ORDER BY created_at").fetchall()


def test_claims_go_on_in_order_from_where_the_last_one_ended(connection: Connection, front: QueueFront) -> None:
    wanted = fill(connection, 7)
    claimed = [[held.document_id for held in claim(connection, front, 3)] for _ in range(4)]
    assert claimed == [wanted[:3], wanted[3:6], wanted[6:], []]
    assert broken_promises(connection) == {}


def test_two_sources_are_claimed_in_one_order_from_where_the_last_claim_ended(
    connection: Connection, front: QueueFront
) -> None:
    wanted = [
        add_document(connection, document_source=source, created_at=ago(f"{9 - hour} hours"))
        for hour, source in enumerate(("acte", "index", "index", "acte", "acte", "index"))
    ]
    claimed = [claim(connection, front, 2, sources=("index", "acte")) for _ in range(3)]
    assert [held.document_id for batch in claimed for held in batch] == wanted


def urgent(connection: Connection, _claimed: UUID) -> UUID:
    return add_document(connection, ocr_priority=5)


def older(connection: Connection, _claimed: UUID) -> UUID:
    return add_document(connection, created_at=ago("9 days"))


def sent_back(connection: Connection, claimed: UUID) -> UUID:
    change(connection, "extraction_queue", claimed, status_id=3, ocr_claim_id=None)
    return claimed


@pytest.mark.parametrize("arrive", [urgent, older, sent_back])
def test_document_before_that_place_has_its_turn_when_the_place_is_believed_no_longer(
    connection: Connection, front: QueueFront, clock: Clock, arrive: Callable[[Connection, UUID], UUID]
) -> None:
    wanted = fill(connection, 4)
    [first] = claim(connection, front)
    before = arrive(connection, first.document_id)
    clock.now += BELIEVED_SECONDS * 0.9
    assert [held.document_id for held in claim(connection, front)] == [wanted[1]]
    clock.now += BELIEVED_SECONDS * 0.2
    assert [held.document_id for held in claim(connection, front)] == [before]


@pytest.mark.parametrize("arrive", [urgent, older, sent_back])
def test_document_before_that_place_has_its_turn_at_once_when_too_few_stand_behind(
    connection: Connection, front: QueueFront, arrive: Callable[[Connection, UUID], UUID]
) -> None:
    wanted = fill(connection, 3)
    [first] = claim(connection, front)
    before = arrive(connection, first.document_id)
    assert [held.document_id for held in claim(connection, front, 3)] == [*wanted[1:], before]
    assert claim(connection, front) == []


def test_place_of_a_document_that_is_gone_costs_nothing(connection: Connection, front: QueueFront) -> None:
    wanted = fill(connection, 3)
    [first] = claim(connection, front)
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [first.document_id])
    assert [held.document_id for held in claim(connection, front, 2)] == wanted[1:]


def test_place_is_only_believed_behind_claims_that_were_filled(front: QueueFront) -> None:
    held = Claim(1, uuid4(), "1", "index", None, 1, 3)
    front.note_claims([held], limit=2, from_head=True)
    assert front.behind is None
    front.note_claims([held], limit=1, from_head=True)
    assert front.behind == held.document_id


def test_claims_beside_an_open_snapshot_walk_over_nothing_that_was_claimed_before(
    connection: Connection, other: Connection, front: QueueFront
) -> None:
    fill(connection, 3_000)
    connection.execute("ANALYZE extraction_queue")
    other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with other.transaction():
        other.execute("SELECT 1").fetchone()
        for _ in range(10):
            claims.succeed_together(connection, [(held, READING) for held in claim(connection, None, 200)])
        [last] = claim(connection, front)
        from_head, behind = (_entries_read(connection, start) for start in (None, last.document_id))
        assert from_head > 2_000
        assert behind < 20


def _entries_read(connection: Connection, behind: UUID | None) -> int:
    """How many entries of its index a claim of ten walks over."""
    before = _entries(connection)
    statement = claims.claim_statement(["index"], behind=behind is not None)
    arguments: dict[str, Any] = {
        "limit": 10,
        "worker_id": "w",
        "sources": ["index"],
        "run_id": None,
        "instance": None,
        "lease": LEASE,
        "behind": behind,
    }
    with connection.transaction(force_rollback=True):
        assert len(connection.execute(statement, arguments).fetchall()) == 10
    return _entries(connection) - before


def _entries(connection: Connection) -> int:
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'idx_extraction_queue_ocr_claim_index'"
    ).fetchone()
    assert row is not None
    return int(row[0])
