"""Times of other programs that Python cannot represent, or infinity, break no list and no count."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue import metrics, queries
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.database.timestamps import EARLIEST, LATEST
from notaflow_pipeline.job_queue.maintenance.recovery_poll import count_needing_recovery
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, find_exhausted
from notaflow_pipeline_tests.testing.job_queue import (
    STUCK_AFTER,
    add_document,
    ago,
    attempts,
    change,
    claim_one,
    recover_all,
    repaired,
)

INDEX = ("index",)

UNUSUAL = {
    "infinity": LATEST,
    "-infinity": EARLIEST,
    "294276-12-31 23:59:59+00": LATEST,
    "10000-01-01 00:00+00": LATEST,
    "4713-01-01 00:00+00 BC": EARLIEST,
    "0001-01-01 00:00+00": datetime(1, 1, 1, tzinfo=UTC),
}


def test_every_timestamp_is_loaded_in_every_zone(connection: Connection) -> None:
    for zone in ("UTC", "America/Toronto", "Pacific/Kiritimati"):
        connection.execute("SELECT set_config('TimeZone', %s, FALSE)", [zone])
        for written, loaded in UNUSUAL.items():
            row = add_document(connection, created_at=written, ocr_last_error_at=written, ocr_next_attempt_at=written)
            [job] = queries.find_jobs(connection, str(row))
            assert job.created_at is not None
            assert abs(job.created_at - loaded) <= timedelta(days=2), (zone, written)
            assert f"{job.created_at.astimezone(UTC):%Y-%m-%d}"


@pytest.mark.direct
def test_connections_of_every_kind_load_every_timestamp(database_url: str) -> None:
    for limited in (True, False):
        with connect(database_url, limited=limited) as one:
            assert one.execute("SELECT 'infinity'::timestamptz").fetchone() == (LATEST,)


def test_oldest_waiting_is_found_beside_a_row_without_a_time(connection: Connection) -> None:
    for created, updated in itertools.product(UNUSUAL, [None, *UNUSUAL]):
        with connection.transaction(force_rollback=True):
            add_document(connection, created_at=created, updated_at=updated)
            metrics.oldest_waiting_seconds(connection, sources=INDEX)
            add_document(connection, created_at=ago("3 hours"), updated_at=ago("2 hours"))
            waiting = metrics.oldest_waiting_seconds(connection, sources=INDEX)
            assert waiting is not None
            times = {time for time in (created, updated) if time is not None and "infinity" not in time}
            if times and times <= {"4713-01-01 00:00+00 BC", "0001-01-01 00:00+00"}:
                assert waiting > 2000 * 365 * 86400
            else:
                assert waiting == pytest.approx(7200, abs=60), (created, updated)


def test_waiting_row_of_the_future_has_waited_for_no_time(connection: Connection) -> None:
    assert metrics.oldest_waiting_seconds(connection, sources=INDEX) is None
    add_document(connection, created_at="infinity", updated_at=None)
    assert metrics.oldest_waiting_seconds(connection, sources=INDEX) is None
    add_document(connection, created_at="9000-01-01", updated_at=None)
    assert metrics.oldest_waiting_seconds(connection, sources=INDEX) == 0


@pytest.mark.parametrize("started", UNUSUAL)
def test_row_under_ocr_whose_start_is_no_time_is_stuck_and_recovered(connection: Connection, started: str) -> None:
    row = add_document(connection, status_id=6, ocr_attempts=1, ocr_started_at=started, updated_at=ago("1 day"))
    other = add_document(connection, status_id=6, ocr_attempts=1, ocr_started_at=ago("1 minute"))
    counts = queries.count_queue(connection, sources=INDEX, stuck_after=STUCK_AFTER)
    assert (counts.active, counts.stuck) == (1, 1)
    seen = metrics.count_under_ocr(connection, sources=INDEX, stuck_after=STUCK_AFTER, longer_than=timedelta(0))
    assert (seen.active, seen.stuck) == (1, 1)
    assert count_needing_recovery(connection, sources=INDEX, stuck_after=STUCK_AFTER) == 1
    assert recover_all(connection) == repaired(stuck_elsewhere=1)
    [attempt] = attempts(connection, row)
    assert attempt["claimed_at"] == attempt["finished_at"], "nobody knows when it began"
    assert attempts(connection, other) == []


def test_last_change_that_is_no_time_is_no_reason_to_fail(connection: Connection) -> None:
    for updated in UNUSUAL:
        add_document(connection, status_id=6, updated_at=updated)
    seen = metrics.count_under_ocr(connection, sources=INDEX, stuck_after=STUCK_AFTER, longer_than=timedelta(0))
    assert seen.active + seen.stuck == len(UNUSUAL)


@pytest.mark.parametrize("started", ["infinity", "294276-12-31 23:59:59+00"])
def test_attempt_never_ends_later_than_now(connection: Connection, started: str) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3)
    change(connection, "extraction_queue", row, ocr_started_at=started)
    change(connection, "ocr_attempt", held.token, lease_expires_at=ago("1 second"))
    assert recover_all(connection) == repaired(orphaned_attempts=1)
    [(ended,)] = connection.execute("SELECT finished_at <= clock_timestamp() FROM ocr_attempt").fetchall()
    assert ended


def test_list_of_exhausted_documents_holds_rows_without_a_time(connection: Connection) -> None:
    for written in (*UNUSUAL, ago("1 hour")):
        add_document(connection, ocr_attempts=3, ocr_last_error_at=written)
    assert len(list(find_exhausted(connection, ExhaustedFilter(INDEX)))) == len(UNUSUAL) + 1
