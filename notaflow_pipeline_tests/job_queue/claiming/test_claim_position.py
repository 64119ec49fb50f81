"""Claims that continue from the last position read fewer rows beside an open snapshot, and miss no document."""

from collections.abc import Callable, Iterator, Sequence, Sized
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.claiming import claims, lease_renewal, outcomes
from notaflow_pipeline.job_queue.claiming.claim_position import POSITION_VALID_SECONDS, ClaimPosition
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import LEASE, READING, add_document, ago, change, fail

CLAIM_INDEX = "idx_extraction_queue_ocr_next_index"


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
def position(clock: Clock) -> ClaimPosition:
    return ClaimPosition(clock)


def claim(
    connection: Connection, position: ClaimPosition | None, limit: int = 1, *, sources: Sequence[str] = ("index",)
) -> list[Claim]:
    return claims.claim_documents(
        connection, limit=limit, sources=sources, worker_id="w", run_id=None, lease=LEASE, position=position
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


def test_claims_go_on_in_order_from_where_the_last_one_ended(connection: Connection, position: ClaimPosition) -> None:
    wanted = fill(connection, 7)
    claimed = [[held.document_id for held in claim(connection, position, 3)] for _ in range(4)]
    assert claimed == [wanted[:3], wanted[3:6], wanted[6:], []]
    assert violated_invariants(connection) == {}


def test_two_sources_are_claimed_in_one_order_from_the_position(
    connection: Connection, position: ClaimPosition
) -> None:
    wanted = [
        add_document(connection, document_source=source, created_at=ago(f"{9 - hour} hours"))
        for hour, source in enumerate(("acte", "index", "index", "acte", "acte", "index"))
    ]
    claimed = [claim(connection, position, 2, sources=("index", "acte")) for _ in range(3)]
    assert [held.document_id for batch in claimed for held in batch] == wanted


def urgent(connection: Connection, _claimed: UUID) -> UUID:
    return add_document(connection, ocr_priority=5)


def older(connection: Connection, _claimed: UUID) -> UUID:
    return add_document(connection, created_at=ago("9 days"))


def sent_back(connection: Connection, claimed: UUID) -> UUID:
    change(connection, "extraction_queue", claimed, status_id=3, ocr_claim_id=None)
    return claimed


@pytest.mark.parametrize("arrive", [urgent, older, sent_back])
def test_document_before_the_position_is_claimed_when_it_expires(
    connection: Connection, position: ClaimPosition, clock: Clock, arrive: Callable[[Connection, UUID], UUID]
) -> None:
    wanted = fill(connection, 4)
    [first] = claim(connection, position)
    before = arrive(connection, first.document_id)
    clock.now += POSITION_VALID_SECONDS * 0.9
    assert [held.document_id for held in claim(connection, position)] == [wanted[1]]
    clock.now += POSITION_VALID_SECONDS * 0.2
    assert [held.document_id for held in claim(connection, position)] == [before]


@pytest.mark.parametrize("arrive", [urgent, older, sent_back])
def test_document_before_the_position_is_claimed_if_too_few_follow(
    connection: Connection, position: ClaimPosition, arrive: Callable[[Connection, UUID], UUID]
) -> None:
    wanted = fill(connection, 3)
    [first] = claim(connection, position)
    before = arrive(connection, first.document_id)
    assert [held.document_id for held in claim(connection, position, 3)] == [*wanted[1:], before]
    assert claim(connection, position) == []


def test_claim_position_of_a_deleted_document_costs_nothing(connection: Connection, position: ClaimPosition) -> None:
    wanted = fill(connection, 3)
    [first] = claim(connection, position)
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [first.document_id])
    assert [held.document_id for held in claim(connection, position, 2)] == wanted[1:]


def test_position_is_kept_only_after_a_full_claim(position: ClaimPosition) -> None:
    held = Claim(1, uuid4(), "1", "index", None, 1, 3)
    position.note_claims([held], limit=2, from_head=True)
    assert position.after is None
    position.note_claims([held], limit=1, from_head=True)
    assert position.after == held.document_id


@pytest.fixture
def beside_a_snapshot(connection: Connection, other: Connection) -> Iterator[None]:
    """2,000 documents were read, and 1,000 are ready, while a session holds an older snapshot."""
    fill(connection, 3_000)
    other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with other.transaction():
        other.execute("SELECT 1").fetchone()
        for _ in range(10):
            outcomes.record_texts(connection, [(held, READING) for held in claim(connection, None, 200)])
        connection.execute("VACUUM (ANALYZE) extraction_queue, ocr_attempt")
        yield


@pytest.mark.usefixtures("beside_a_snapshot")
def test_claims_beside_an_open_snapshot_read_no_claimed_rows(connection: Connection, position: ClaimPosition) -> None:
    claim(connection, position)
    everywhere = entries_read(connection, lambda: claim(connection, position, 10))
    behind = entries_read(connection, lambda: claim(connection, position, 10), CLAIM_INDEX)
    from_head = entries_read(connection, lambda: claim(connection, None, 10), CLAIM_INDEX)
    assert from_head > 2_000
    assert behind < 20
    assert everywhere < 200


def succeed(connection: Connection, held: Sequence[Claim]) -> int:
    return len(outcomes.record_texts(connection, [(one, READING) for one in held]))


def fail_all(connection: Connection, held: Sequence[Claim]) -> int:
    return sum(fail(connection, one) for one in held)


def renew(connection: Connection, held: Sequence[Claim]) -> int:
    return len(lease_renewal.renew(connection, [one.token for one in held], LEASE))


@pytest.mark.usefixtures("beside_a_snapshot")
@pytest.mark.parametrize("change", [succeed, fail_all, renew])
def test_renewals_and_outcomes_beside_an_open_snapshot_stay_fast(
    connection: Connection, change: Callable[[Connection, Sequence[Claim]], int]
) -> None:
    held = claim(connection, None, 10)
    assert entries_read(connection, lambda: change(connection, held)) < 200


def entries_read(connection: Connection, work: Callable[[], Sized | int], index: str = "%") -> int:
    """How many entries of an index, or of all, this work walks over, which is done to ten documents."""
    before = _entries(connection, index)
    done = work()
    assert (done if isinstance(done, int) else len(done)) == 10
    return _entries(connection, index) - before


def _entries(connection: Connection, index: str) -> int:
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE indexrelname LIKE %s", [index]
    ).fetchone()
    assert row is not None
    return int(row[0])
