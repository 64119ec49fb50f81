"""Claims of several workers at once, with crashes and late outcomes."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue import queries
from notaflow_pipeline.job_queue.claiming import releases
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline_tests.job_queue.times import reading
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
    ENCRYPTED,
    add_document,
    ago,
    claim,
    claim_one,
    document,
    fail,
    recover_all,
    succeed,
)


def test_claim_leaves_no_open_transaction(connection: Connection, other: Connection) -> None:
    row = add_document(connection)
    claim_one(connection)
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert document(other, row)["status_id"] == 6


def test_database_refuses_a_second_open_attempt_of_a_document(connection: Connection) -> None:
    row = add_document(connection)
    claim_one(connection)
    with pytest.raises(psycopg.errors.UniqueViolation, match="ocr_attempt_one_open"):
        connection.execute(
            "INSERT INTO ocr_attempt (queue_id, attempt_number, worker_id, claimed_at, lease_expires_at) "
            "VALUES (%s, 2, 'w', now(), now())",
            [row],
        )


# --- together with others


def test_claim_skips_a_locked_row_without_waiting(connection: Connection, other: Connection) -> None:
    locked = add_document(connection, created_at=ago("3 hours"))
    rest = [add_document(connection, created_at=ago("2 hours")), add_document(connection, created_at=ago("1 hour"))]
    with connection.transaction():
        connection.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [locked])
        assert [held.document_id for held in claim(other, 2)] == rest
    assert [held.document_id for held in claim(other, 2)] == [locked]


def test_locked_row_without_maximum_is_not_waited_for_either(connection: Connection, other: Connection) -> None:
    locked = add_document(connection, ocr_max_attempts=None)
    ready = add_document(connection)
    with connection.transaction():
        connection.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [locked])
        assert [held.document_id for held in claim(other, 2)] == [ready]


def in_threads(database_url: str, works: Sequence[Callable[[Connection], None]]) -> None:
    """Run every work at once, each on a connection of its own; raise what the first of them raised."""
    errors: list[BaseException] = []

    def run(work: Callable[[Connection], None]) -> None:
        try:
            with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as one:
                work(one)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_eight_workers_claim_each_of_three_hundred_documents_exactly_once(
    connection: Connection, database_url: str
) -> None:
    connection.execute("""
        INSERT INTO extraction_queue (document_source, document_number, status_id, created_at)
        SELECT 'index', i::text, 3, now() - (i % 50) * interval '1 minute'
        FROM generate_series(1, 300) AS i
    """)
    claimed: list[Claim] = []

    def work(one: Connection) -> None:
        chance = random.Random(9)
        while queries.has_unfinished(one, sources=["index"]):
            for held in claim(one, chance.randint(1, 9)):
                claimed.append(held)
                assert succeed(one, held, reading(f"text of {held.document_number}"))

    in_threads(database_url, [work] * 8)
    assert Counter(held.document_number for held in claimed) == {str(i): 1 for i in range(1, 301)}
    assert len({held.token for held in claimed}) == 300
    finished = connection.execute("SELECT document_number, file_content FROM extraction_queue WHERE status_id = 5")
    assert all(text == f"text of {number}" for number, text in finished.fetchall())
    assert violated_invariants(connection) == {}


def end_by_chance(one: Connection, held: Claim, late: list[bool]) -> None:
    """Succeed, fail, fail for good, be told to stop, be killed, or freeze until others have swept the claim up."""
    # each claim has its own, whichever thread makes it
    fate = random.Random(held.token).choice(["succeed"] * 5 + ["fail", "fail for good", "stop", "die", "freeze"])
    match fate:
        case "succeed":
            succeed(one, held, reading(f"{held.token}"))
        case "fail":
            fail(one, held, retry_base_seconds=0)
        case "fail for good":
            fail(one, held, ENCRYPTED)
        case "stop":
            releases.release(one, [held.token], reason="stop")
        case _:
            one.execute(
                "UPDATE ocr_attempt SET lease_expires_at = clock_timestamp() - interval '1 s' "
                "WHERE id = %s AND finished_at IS NULL",
                [held.token],
            )
            if fate == "freeze":
                recover_all(one)
                late.append(succeed(one, held, reading("late")))


def test_invariants_hold_with_crashed_late_failing_and_stopping_workers(
    connection: Connection, database_url: str
) -> None:
    for number in range(80):
        add_document(connection, document_number=str(number), ocr_max_attempts=6)
    late: list[bool] = []

    def work(one: Connection) -> None:
        chance = random.Random(5)
        while queries.has_unfinished(one, sources=["index"]):
            for held in claim(one, chance.randint(1, 5)):
                end_by_chance(one, held, late)

    def recover_repeatedly(one: Connection) -> None:
        while queries.has_unfinished(one, sources=["index"]):
            recover_all(one)

    in_threads(database_url, [work] * 6 + [recover_repeatedly] * 2)
    assert False in late, "a late text was refused"
    texts = connection.execute("""
        SELECT q.file_content, a.id
        FROM extraction_queue AS q
        JOIN ocr_attempt AS a ON a.queue_id = q.id AND a.outcome = 'succeeded'
    """).fetchall()
    assert {text for text, winner in texts} <= {str(winner) for _, winner in texts} | {"late"}
    assert sum(text == "late" for text, _ in texts) == sum(late)
    ended = connection.execute("SELECT status_id, count(*) FROM extraction_queue GROUP BY 1").fetchall()
    assert dict(ended) == {5: len(texts), 3: 80 - len(texts)}
    assert violated_invariants(connection) == {}
