"""Only complete, old and counted histories of deleted documents are removed, and all invariants hold."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import releases
from notaflow_pipeline.job_queue.maintenance.retention import PruningResult, prune_attempts
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import READING, add_document, attempts, claim, claim_one, fail, succeed

ZONE = "America/Toronto"
NOW = datetime.now(UTC)
CUTOFF = NOW - timedelta(days=400)
NOTHING = PruningResult(documents=0, attempts=0, requeues=0, complete=True)


def finished(connection: Connection) -> UUID:
    """A document that failed once and was then read."""
    key = add_document(connection)
    fail(connection, claim_one(connection), retry_base_seconds=0)
    succeed(connection, claim_one(connection), READING)
    return key


def age(connection: Connection, key: UUID, days: int) -> None:
    """Let what happened to a document have happened so long ago."""
    by = timedelta(days=days)
    connection.execute(
        "UPDATE ocr_attempt SET claimed_at = claimed_at - %(by)s, finished_at = finished_at - %(by)s "
        "WHERE queue_id = %(key)s",
        {"by": by, "key": key},
    )
    connection.execute(
        "UPDATE extraction_queue SET ocr_started_at = ocr_started_at - %(by)s, "
        "ocr_completed_at = ocr_completed_at - %(by)s WHERE id = %(key)s",
        {"by": by, "key": key},
    )


def count_days(connection: Connection) -> None:
    """Enter every day with attempts into the daily tables, as the reporting does."""
    connection.execute(
        "INSERT INTO ocr_daily_failure_rate (day, document_source, attempts, attempts_failed, attempts_stuck, "
        "documents_finished, documents_exhausted) "
        "SELECT DISTINCT (finished_at AT TIME ZONE %(zone)s)::date, 'all', 1, 0, 0, 1, 0 FROM ocr_attempt "
        "WHERE finished_at IS NOT NULL ON CONFLICT DO NOTHING",
        {"zone": ZONE},
    )


def delete(connection: Connection, key: UUID) -> None:
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [key])


def prune(connection: Connection, **limits: Any) -> PruningResult:
    return prune_attempts(connection, CUTOFF, timezone=ZONE, **limits)


def pruned_before(connection: Connection) -> datetime | None:
    row = connection.execute("SELECT finished_before FROM ocr_attempts_pruned").fetchone()
    return row[0] if row else None


def remaining(connection: Connection) -> set[UUID]:
    return {one["queue_id"] for one in attempts(connection)}


def test_old_counted_history_of_a_deleted_document_is_removed(connection: Connection) -> None:
    gone, here, young = (finished(connection) for _ in range(3))
    connection.execute(
        "INSERT INTO ocr_round (queue_id, sent_at, attempts_before) SELECT %s, now(), 3 FROM generate_series(1, 2)",
        [gone],
    )
    for key, days in ((gone, 401), (here, 401), (young, 399)):
        age(connection, key, days)
    count_days(connection)
    for key in (gone, young):
        delete(connection, key)
    assert prune(connection) == PruningResult(documents=1, attempts=2, requeues=2, complete=True)
    assert remaining(connection) == {here, young}
    assert connection.execute("SELECT count(*) FROM ocr_round").fetchone() == (0,)
    assert violated_invariants(connection) == {}
    assert prune(connection) == NOTHING


def test_day_that_was_never_counted_keeps_its_attempts(connection: Connection) -> None:
    key = finished(connection)
    age(connection, key, 401)
    delete(connection, key)
    assert prune(connection) == NOTHING
    count_days(connection)
    assert prune(connection).attempts == 2


def test_cutoff_splits_no_history(connection: Connection) -> None:
    key = finished(connection)
    age(connection, key, 401)
    [_, second] = attempts(connection)
    connection.execute(
        "UPDATE ocr_attempt SET finished_at = %s WHERE id = %s", [CUTOFF + timedelta(seconds=1), second["id"]]
    )
    count_days(connection)
    delete(connection, key)
    assert prune(connection) == NOTHING
    assert len(attempts(connection)) == 2


def test_open_attempt_of_a_deleted_document_is_never_removed(connection: Connection) -> None:
    key = add_document(connection)
    fail(connection, claim_one(connection), retry_base_seconds=0)
    age(connection, key, 401)
    claim_one(connection)
    count_days(connection)
    delete(connection, key)
    assert prune(connection) == NOTHING
    assert len(attempts(connection)) == 2


def test_released_attempts_need_no_count(connection: Connection) -> None:
    key = add_document(connection)
    [held] = claim(connection)
    releases.release(connection, [held.token], reason="stopped")
    age(connection, key, 401)
    delete(connection, key)
    assert prune(connection).attempts == 1


@pytest.mark.parametrize("window_rows", [1, 3, 100])
def test_small_windows_remove_the_same_as_a_large_one(connection: Connection, window_rows: int) -> None:
    keys = [finished(connection) for _ in range(6)]
    for key in keys:
        age(connection, key, 401)
    count_days(connection)
    for key in keys[::2]:
        delete(connection, key)
    assert prune(connection, window_rows=window_rows) == PruningResult(
        documents=3, attempts=6, requeues=0, complete=True
    )
    assert remaining(connection) == set(keys[1::2])


def test_call_that_ran_out_of_time_is_continued_by_the_next(connection: Connection) -> None:
    keys = [finished(connection) for _ in range(4)]
    for key in keys:
        age(connection, key, 401)
    count_days(connection)
    for key in keys[1:]:  # the oldest stays, and is not looked at again by every call
        delete(connection, key)
    calls = [prune(connection, window_rows=2, seconds=0) for _ in range(5)]
    assert [call.attempts for call in calls] == [0, 2, 2, 2, 0]
    assert [call.complete for call in calls] == [False, False, False, False, True]
    assert remaining(connection) == {keys[0]}


def test_position_is_stored_and_never_decreases(connection: Connection) -> None:
    older, newer = finished(connection), finished(connection)
    age(connection, older, 500)
    age(connection, newer, 401)
    [_, last] = attempts(connection, newer)
    count_days(connection)
    prune(connection)
    assert pruned_before(connection) is None, "nothing was removed"
    delete(connection, newer)
    prune(connection)
    assert pruned_before(connection) == last["finished_at"] + timedelta(microseconds=1)
    delete(connection, older)
    assert prune(connection).attempts == 2
    assert pruned_before(connection) == last["finished_at"] + timedelta(microseconds=1)
