"""Recovery and another session write the same row at the same time: each first, each committing or rolling back.

The first session holds its transaction open; the second runs on another connection, and waits or skips the row. Then the
first ends, and row, attempt and invariants are checked.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import lease_renewal, releases
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
    ENCRYPTED,
    LEASE,
    READING,
    add_document,
    attempts,
    claim,
    claim_one,
    expire,
    fail,
    recover_all,
    succeed,
)
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

WAITS_SECONDS = 0.15
"""Within which one that need not wait is done; it may also be slower, and nothing else follows from it."""

Act = Callable[[Connection, Claim], object]


def _reset(connection: Connection, held: Claim) -> None:
    connection.execute("UPDATE extraction_queue SET status_id = 3 WHERE id = %s", [held.document_id])


def _delete(connection: Connection, held: Claim) -> None:
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [held.document_id])


@dataclass(frozen=True)
class Actor:
    """A session that writes the row, and the state of row (status; None if deleted) and attempt after it alone."""

    act: Act
    status: int | None
    outcome: str | None


def _release(one: Connection, held: Claim) -> None:
    """Release, again while the row is locked."""
    wait_until(
        lambda: (
            releases.release(one, [held.token], reason="stop")
            or not lease_renewal.renew(one, [held.token], timedelta(seconds=-1))
        )
    )


ACTORS = {
    "renew": Actor(lambda one, held: lease_renewal.renew(one, [held.token], LEASE), 6, None),
    "succeed": Actor(lambda one, held: succeed(one, held, READING), 5, "succeeded"),
    "fail": Actor(lambda one, held: fail(one, held, retry_base_seconds=0), 3, "failed"),
    "fail for good": Actor(lambda one, held: fail(one, held, ENCRYPTED), 3, "failed"),
    "release": Actor(_release, 3, "released"),
    "another program resets": Actor(_reset, 3, "superseded"),
    "another program deletes": Actor(_delete, None, "superseded"),
}

RECOVERY = Actor(lambda one, _: recover_all(one), 3, "stuck")


def _meet(first: Act, second: Act, one: Connection, other: Connection, held: Claim, *, commits: bool) -> None:
    """Let the second run while the first's transaction is open, then end that."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            second(other, held)
        except BaseException as failure:  # noqa: BLE001 - told in the test's own thread
            failures.append(failure)

    running = threading.Thread(target=run)
    with one.transaction() as transaction:
        first(one, held)
        running.start()
        running.join(WAITS_SECONDS)
        if not commits:
            raise psycopg.Rollback(transaction)
    running.join(HANG_SECONDS)
    assert not running.is_alive(), "it does not wait"
    assert failures == []


def _status(connection: Connection, held: Claim) -> int | None:
    row = connection.execute("SELECT status_id FROM extraction_queue WHERE id = %s", [held.document_id]).fetchone()
    return None if row is None else int(row[0])


@pytest.mark.owner
@pytest.mark.parametrize("commits", [True, False], ids=["commits", "rolls back"])
@pytest.mark.parametrize("recovery_first", [True, False], ids=["recovery first", "recovery second"])
@pytest.mark.parametrize("actor", ACTORS.values(), ids=ACTORS.keys())
def test_recovery_and_another_writer_of_the_row_end_right_in_every_order(
    connection: Connection, other: Connection, actor: Actor, *, recovery_first: bool, commits: bool
) -> None:
    add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    first, second = (RECOVERY, actor) if recovery_first else (actor, RECOVERY)
    _meet(first.act, second.act, connection, other, held, commits=commits)

    # what its first writer held was passed over, and what another program left open is closed: both by the next recovery
    if recovery_first == commits or actor.outcome == "superseded":
        recover_all(connection)
    ends = actor if recovery_first != commits else RECOVERY
    # what another program does to the row counts, also where recovery has closed the attempt before
    status = actor.status if recovery_first and actor.outcome == "superseded" else ends.status
    [attempt] = attempts(connection, held.document_id)
    assert (_status(connection, held), attempt["outcome"]) == (status, ends.outcome)
    assert (attempt["finished_at"] is None) == (ends.outcome is None)
    assert violated_invariants(connection) == {}
    exhausted = ends is ACTORS["fail for good"]
    assert (claim(connection) != []) == (status == 3 and not exhausted)
    assert succeed(connection, held, READING) == (ends.outcome in {None, "succeeded"})


def test_document_cancelled_by_hand_is_not_claimed_or_written(connection: Connection) -> None:
    cancel = """
        UPDATE extraction_queue
        SET status_id = 3, ocr_max_attempts = COALESCE(ocr_attempts, 0)
        WHERE status_id IN (3, 6)
    """
    add_document(connection)
    held = claim_one(connection)
    add_document(connection)
    connection.execute(cancel)
    assert claim(connection, 2) == []
    assert lease_renewal.renew(connection, [held.token], LEASE) == set()
    assert not succeed(connection, held, READING)
    [attempt] = attempts(connection)
    assert attempt["outcome"] == "superseded"
    assert violated_invariants(connection) == {}
    connection.execute("UPDATE extraction_queue SET ocr_max_attempts = ocr_attempts + 3")
    assert len(claim(connection, 2)) == 2
