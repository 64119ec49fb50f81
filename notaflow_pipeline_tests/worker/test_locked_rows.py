"""The outcome of a row that another session has locked is recorded later, those of other rows at once."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.database import row_locks
from notaflow_pipeline.job_queue.model import Failure, Recording
from notaflow_pipeline.worker.queue_client import QueueClient
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import BLANK
from notaflow_pipeline_tests.testing.rows import lock
from notaflow_pipeline_tests.testing.waiting import wait_until
from notaflow_pipeline_tests.worker.pipelines import pipeline_over, ready_pages, row


def statuses(connection: Connection, documents: list[UUID]) -> list[int]:
    return [row(connection, document)["status_id"] for document in documents]


def test_neighbours_of_a_locked_row_are_recorded_and_it_follows(
    connection: Connection, locker: Connection, pool: ConnectionPool[Connection], folder: Path
) -> None:
    documents = ready_pages(connection, folder, 8)
    with pipeline_over(pool, folder) as pipeline:
        claimed = pipeline.queue.claim(8)
        lock(locker, documents[3])
        working = threading.Thread(target=pipeline.work, args=[claimed], kwargs={"limit": 8})
        working.start()
        wait_until(lambda: statuses(connection, documents) == [5, 5, 5, 6, 5, 5, 5, 5])
        assert working.is_alive(), "it waits for the locked one"
        locker.rollback()
        working.join()
    assert statuses(connection, documents) == [5] * 8
    assert violated_invariants(connection) == {}


def test_neighbours_of_a_locked_attempt_are_recorded_and_released(
    connection: Connection, locker: Connection, pool: ConnectionPool[Connection], folder: Path
) -> None:
    documents = ready_pages(connection, folder, 6)
    with pipeline_over(pool, folder) as pipeline:
        claimed = pipeline.queue.claim(6)
        for held in (claimed[0], claimed[1], claimed[2]):
            locker.execute("SELECT FROM ocr_attempt WHERE id = %s FOR UPDATE", [held.token])
        record_failure = partial(
            pipeline.queue.record_failure, claimed[1], Failure(FailureKind.TIMEOUT, "Slow."), 0.0, 0
        )
        assert pipeline.queue.record_texts([(one, BLANK) for one in (claimed[0], claimed[3])]) == {
            claimed[0].token: Recording.LOCKED,
            claimed[3].token: Recording.RECORDED,
        }
        assert record_failure() is Recording.LOCKED
        assert pipeline.queue.release([claimed[2].token, claimed[4].token, claimed[5].token], reason="test") == 2
        assert statuses(connection, documents) == [6, 6, 6, 5, 3, 3]
        locker.rollback()
        assert record_failure() is Recording.RECORDED
    assert violated_invariants(connection) == {}


def test_row_that_stays_locked_is_left_to_recovery(
    connection: Connection, locker: Connection, pool: ConnectionPool[Connection], folder: Path
) -> None:
    [document] = ready_pages(connection, folder, 1)
    with pipeline_over(pool, folder) as whole:
        terms = replace(whole.queue.terms, lease=timedelta(seconds=1.5))
        pipeline = replace(whole, queue=QueueClient(pool, terms))
        claimed = pipeline.queue.claim(1)
        lock(locker, document)
        progress = pipeline.work(claimed, limit=1)
        assert (progress.lost, progress.succeeded) == (1, 0)
        locker.rollback()
        wait_until(lambda: pipeline.queue.recover().counts["expired_leases"] == 1)
    assert row(connection, document)["status_id"] == 3
    assert violated_invariants(connection) == {}


def test_claim_whose_row_is_locked_in_passing_is_released_with_the_others(
    connection: Connection,
    locker: Connection,
    pool: ConnectionPool[Connection],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As other workers' claims do with rows that were ready when their statement began."""
    documents = ready_pages(connection, folder, 3)

    def unlocked() -> Iterator[float]:
        locker.rollback()
        yield 0.0

    monkeypatch.setattr(row_locks, "PAUSES_SECONDS", unlocked())
    with pipeline_over(pool, folder) as pipeline:
        held = [one.token for one in pipeline.queue.claim(3)]
        lock(locker, documents[1])
        pipeline.queue.release_when_stopping(held, [])
    assert statuses(connection, documents) == [3, 3, 3]
