"""Recovery of rows whose worker is lost."""

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import lease_renewal, releases
from notaflow_pipeline.job_queue.maintenance.repairs import LEASE_EXPIRED, STUCK_ELSEWHERE
from notaflow_pipeline.job_queue.model import ERROR_PREFIX
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
    READING,
    add_document,
    ago,
    ahead,
    attempts,
    change,
    claim,
    claim_one,
    document,
    everything,
    expire,
    fail,
    recover_all,
    repaired,
    rows_to_recover,
    succeed,
)

if TYPE_CHECKING:
    from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryResult

NOTHING = repaired()


def test_expired_lease_returns_the_document_to_ready_with_the_reason(connection: Connection) -> None:
    row = add_document(connection, error_message="extraction's own")
    expire(connection, claim_one(connection))
    assert recover_all(connection) == repaired(expired_leases=1)

    written = document(connection, row)
    assert written["status_id"] == 3
    assert written["ocr_error"] == written["error_message"] == ERROR_PREFIX + LEASE_EXPIRED
    assert written["ocr_last_error_at"] > written["ocr_started_at"]
    assert (written["ocr_claim_id"], written["ocr_attempts"], written["ocr_max_attempts"]) == (None, 1, 3)
    [attempt] = attempts(connection, row)
    assert (attempt["outcome"], attempt["failure_kind"], attempt["error"]) == ("stuck", "lease_expired", LEASE_EXPIRED)
    assert attempt["finished_at"] == written["ocr_last_error_at"]
    assert claim_one(connection).attempt_number == 2
    assert violated_invariants(connection) == {}


def test_recovery_does_not_mirror_the_error_when_that_is_switched_off(connection: Connection) -> None:
    mine = add_document(connection, error_message="extraction's own")
    expire(connection, claim_one(connection))
    foreign = add_document(connection, error_message="extraction's own", status_id=6, ocr_attempts=1)
    assert recover_all(connection, mirror_errors=False).total == 2
    assert document(connection, mine)["error_message"] == "extraction's own"
    assert document(connection, foreign)["error_message"] == "extraction's own"


@pytest.mark.parametrize("exhausted_status", [3, 4])
def test_expired_lease_of_the_last_attempt_exhausts_the_document(connection: Connection, exhausted_status: int) -> None:
    row = add_document(connection, ocr_attempts=2)
    expire(connection, claim_one(connection))
    recover_all(connection, exhausted_status=exhausted_status)
    written = document(connection, row)
    assert (written["status_id"], written["ocr_attempts"]) == (exhausted_status, 3)
    assert written["ocr_error"] == ERROR_PREFIX + LEASE_EXPIRED
    assert written["ocr_last_error_at"] is not None
    assert claim(connection) == []
    shown = connection.execute("SELECT id FROM ocr_exhausted_documents").fetchall()
    assert shown == ([(row,)] if exhausted_status == 3 else [])


def test_document_that_kills_every_worker_runs_out_of_attempts(connection: Connection) -> None:
    row = add_document(connection)
    for _ in range(3):
        expire(connection, claim_one(connection))
        assert recover_all(connection).total == 1
    assert claim(connection) == []
    assert [attempt["outcome"] for attempt in attempts(connection, row)] == ["stuck", "stuck", "stuck"]
    assert [attempt["attempt_number"] for attempt in attempts(connection, row)] == [1, 2, 3]
    assert document(connection, row)["ocr_attempts"] == 3


def test_valid_lease_is_not_recovered_however_long_the_document_takes(connection: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    change(connection, "extraction_queue", row, ocr_started_at=ago("5 hours"))
    before = everything(connection)
    assert recover_all(connection) == NOTHING
    assert everything(connection) == before
    assert succeed(connection, held, READING)


def test_claim_of_another_program_is_recovered_after_ten_minutes(
    connection: Connection,
) -> None:
    row = add_document(
        connection, status_id=6, ocr_worker_id="old-monitor", ocr_attempts=1, ocr_started_at=ago("11 minutes")
    )
    assert recover_all(connection) == repaired(stuck_elsewhere=1)
    written = document(connection, row)
    assert written["status_id"] == 3
    assert written["ocr_error"] == written["error_message"] == ERROR_PREFIX + STUCK_ELSEWHERE
    [attempt] = attempts(connection, row)
    wanted = {
        "attempt_number": 1,
        "document_source": "index",
        "worker_id": "old-monitor",
        "run_id": None,
        "claimed_at": written["ocr_started_at"],
        "finished_at": written["ocr_last_error_at"],
        "outcome": "stuck",
        "failure_kind": "no_lease",
        "error": STUCK_ELSEWHERE,
    }
    assert {name: attempt[name] for name in wanted} == wanted
    assert claim_one(connection).attempt_number == 2
    assert violated_invariants(connection) == {}


def test_claim_of_another_program_is_not_recovered_after_nine_minutes(connection: Connection) -> None:
    add_document(connection, status_id=6, ocr_worker_id="old-monitor", ocr_attempts=1, ocr_started_at=ago("9 minutes"))
    before = everything(connection)
    assert recover_all(connection) == NOTHING
    assert everything(connection) == before


def test_claim_by_status_alone_has_ten_minutes_from_the_last_attempt(
    connection: Connection,
) -> None:
    row = add_document(connection, created_at=ago("1 day"))
    assert fail(connection, claim_one(connection), retry_base_seconds=0)
    [earlier] = attempts(connection, row)
    change(connection, "ocr_attempt", earlier["id"], claimed_at=ago("2 hours"))
    change(connection, "extraction_queue", row, status_id=6, ocr_started_at=ago("2 hours"))
    assert rows_to_recover(connection) == 0
    assert recover_all(connection) == NOTHING

    change(connection, "ocr_attempt", earlier["id"], finished_at=ago("11 minutes"))
    assert rows_to_recover(connection) == 1
    assert recover_all(connection) == repaired(stuck_elsewhere=1)
    first, second = attempts(connection, row)
    assert second["claimed_at"] == first["finished_at"]
    assert (second["attempt_number"], second["outcome"]) == (2, "stuck")
    assert violated_invariants(connection) == {}


def test_claim_by_status_alone_is_not_stuck_while_an_attempt_is_open(
    connection: Connection,
) -> None:
    row = add_document(connection, created_at=ago("1 day"))
    held = claim_one(connection)
    change(connection, "extraction_queue", row, ocr_started_at=ago("2 hours"))
    change(connection, "ocr_attempt", held.token, claimed_at=ago("2 hours"))
    change(connection, "extraction_queue", row, status_id=3)
    change(connection, "extraction_queue", row, status_id=6)
    assert rows_to_recover(connection) == 0
    assert recover_all(connection) == NOTHING
    expire(connection, held)
    assert recover_all(connection) == repaired(orphaned_attempts=1)
    [first] = attempts(connection, row)
    change(connection, "ocr_attempt", first["id"], finished_at=ago("11 minutes"))
    assert recover_all(connection) == repaired(stuck_elsewhere=1)
    assert violated_invariants(connection) == {}


def test_row_without_a_start_time_is_recovered(connection: Connection) -> None:
    row = add_document(connection, status_id=6, ocr_attempts=1)
    assert recover_all(connection).stuck_elsewhere == 1
    assert document(connection, row)["status_id"] == 3
    [attempt] = attempts(connection, row)
    assert (attempt["worker_id"], attempt["outcome"]) == ("unknown", "stuck")
    assert attempt["claimed_at"] == attempt["finished_at"]


def test_row_whose_token_is_of_a_finished_attempt_is_not_covered_by_it(connection: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    releases.release(connection, [held.token], reason="stop")
    change(connection, "ocr_attempt", held.token, claimed_at=ago("13 minutes"), finished_at=ago("12 minutes"))
    change(
        connection,
        "extraction_queue",
        row,
        status_id=6,
        ocr_claim_id=held.token,
        ocr_attempts=1,
        ocr_started_at=ago("11 minutes"),
    )
    assert recover_all(connection).stuck_elsewhere == 1
    assert document(connection, row)["ocr_claim_id"] is None


@pytest.mark.parametrize(
    ("columns", "status", "counts"),
    [
        ({"ocr_attempts": 3}, 4, (3, 3)),
        ({"ocr_attempts": 3, "ocr_max_attempts": None}, 4, (3, 3)),
        ({"ocr_attempts": 1, "ocr_max_attempts": None}, 3, (1, 3)),
    ],
)
def test_row_of_another_program_is_exhausted_after_its_attempts(
    connection: Connection, columns: dict[str, Any], status: int, counts: tuple[int, int]
) -> None:
    row = add_document(connection, status_id=6, **columns)
    recover_all(connection, exhausted_status=4)
    written = document(connection, row)
    assert written["status_id"] == status
    assert (written["ocr_attempts"], written["ocr_max_attempts"]) == counts


def test_row_that_was_inserted_again_has_all_of_its_attempts(connection: Connection) -> None:
    row = add_document(connection, created_at=ago("3 days"))
    for _ in range(3):
        assert fail(connection, claim_one(connection), retry_base_seconds=0)
    connection.execute(
        "UPDATE ocr_attempt SET claimed_at = now() - '2 days'::interval, finished_at = now() - '2 days'::interval"
    )
    connection.execute("DELETE FROM extraction_queue")
    add_document(connection, id=row, status_id=6, ocr_attempts=1, ocr_started_at=ago("1 hour"), created_at=ago("1 day"))
    assert recover_all(connection) == repaired(stuck_elsewhere=1)
    assert (document(connection, row)["ocr_attempts"], document(connection, row)["ocr_max_attempts"]) == (1, 3)


@pytest.mark.parametrize("counted", [None, 0])
def test_row_of_another_program_that_counts_no_attempts_is_exhausted(
    connection: Connection, counted: int | None
) -> None:
    row = add_document(connection, status_id=6, ocr_attempts=counted)
    recover_all(connection)
    assert [attempt["attempt_number"] for attempt in attempts(connection, row)] == [1]
    assert violated_invariants(connection) == {}


def test_open_attempt_without_its_row_is_superseded_after_its_lease(
    connection: Connection,
) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    change(connection, "extraction_queue", row, status_id=5, file_content="another program's text")
    assert recover_all(connection) == NOTHING
    expire(connection, held)
    assert recover_all(connection) == repaired(orphaned_attempts=1)
    [attempt] = attempts(connection, row)
    assert (attempt["outcome"], attempt["error"]) == ("superseded", "another program changed the row")
    assert document(connection, row)["file_content"] == "another program's text"


def test_open_attempt_of_a_deleted_row_is_closed_as_superseded(connection: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [row])
    expire(connection, held)
    assert recover_all(connection).orphaned_attempts == 1


def test_renewal_in_flight_keeps_its_claim(connection: Connection, other: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    with other.transaction():
        assert lease_renewal.renew(other, [held.token], timedelta(minutes=5)) == {held.token}
        connection.execute("SET lock_timeout = '5s'")
        assert recover_all(connection) == NOTHING
    assert recover_all(connection) == NOTHING
    assert document(connection, row)["status_id"] == 6
    assert succeed(connection, held, READING)


def test_success_in_flight_is_not_recovered(connection: Connection, other: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    with other.transaction():
        assert succeed(other, held, READING)
        connection.execute("SET lock_timeout = '5s'")
        assert recover_all(connection) == NOTHING
    assert recover_all(connection) == NOTHING
    assert document(connection, row)["status_id"] == 5
    assert violated_invariants(connection) == {}


def test_renewal_beside_a_recovery_does_not_wait_and_reports_the_loss(
    connection: Connection, other: Connection
) -> None:
    add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    with connection.transaction():
        assert recover_all(connection).expired_leases == 1
        assert lease_renewal.renew(other, [held.token], timedelta(minutes=5)) == {held.token}, (
            "not lost before it is decided"
        )
    assert lease_renewal.renew(other, [held.token], timedelta(minutes=5)) == set()
    assert attempts(connection)[0]["outcome"] == "stuck"


def test_one_locked_row_does_not_keep_the_others_from_being_recovered(
    connection: Connection, other: Connection
) -> None:
    rows = [add_document(connection) for _ in range(3)]
    for held in claim(connection, 3):
        expire(connection, held)
    with other.transaction():
        other.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [rows[0]])
        connection.execute("SET lock_timeout = '5s'")
        assert recover_all(connection).expired_leases == 2
    assert recover_all(connection).expired_leases == 1


def test_recovering_twice_changes_nothing_the_second_time(connection: Connection) -> None:
    for _ in range(2):
        add_document(connection)
    expired, gone = claim(connection, 2)
    expire(connection, expired)
    expire(connection, gone)
    change(connection, "extraction_queue", gone.document_id, status_id=3)
    add_document(connection, status_id=6, ocr_attempts=1)
    assert recover_all(connection) == repaired(expired_leases=1, stuck_elsewhere=1, orphaned_attempts=1)
    before = everything(connection)
    assert recover_all(connection) == NOTHING
    assert everything(connection) == before


def test_rows_that_are_not_under_ocr_are_not_recovered(connection: Connection) -> None:
    for status in (1, 2, 3, 4, 5):
        add_document(connection, status_id=status, ocr_started_at=ago("1 day"), ocr_attempts=1)
    add_document(connection, ocr_attempts=1, ocr_next_attempt_at=ahead("1 hour"))
    before = everything(connection)
    assert recover_all(connection) == NOTHING
    assert everything(connection) == before


def test_two_recoveries_at_once_recover_each_row_once(connection: Connection, database_url: str) -> None:
    for _ in range(60):
        add_document(connection)
    for held in claim(connection, 40):
        expire(connection, held)
    connection.execute("""
        UPDATE extraction_queue SET status_id = 6, ocr_attempts = 1
        WHERE status_id = 3
    """)
    together = threading.Barrier(4)
    recovered: list[RecoveryResult] = []

    def run() -> None:
        with psycopg.connect(database_url, autocommit=True) as one:
            together.wait()
            recovered.append(recover_all(one))

    sweepers = [threading.Thread(target=run) for _ in range(4)]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()
    recovered.append(recover_all(connection))  # those that a sweeper skipped because another one held them
    assert sum(one.expired_leases for one in recovered) == 40
    assert sum(one.stuck_elsewhere for one in recovered) == 20
    assert len(attempts(connection)) == 60
    assert violated_invariants(connection) == {}


def test_row_at_three_with_a_text_of_ours_is_finished_again(connection: Connection) -> None:
    row = add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    before = document(connection, row)
    change(connection, "extraction_queue", row, status_id=3, ocr_error="OCR processing failed: by another program")
    assert recover_all(connection) == repaired(texts_without_status=1)
    ignored = {"updated_at": None, "ocr_changed_elsewhere_at": None}
    assert {**document(connection, row), **ignored} == {**before, **ignored}
    assert violated_invariants(connection) == {}


def test_row_at_three_with_a_text_of_another_program_is_not_changed(connection: Connection) -> None:
    row = add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    change(connection, "extraction_queue", row, status_id=3, file_content="corrected by hand")
    add_document(connection, file_content="never read here")
    before = everything(connection)
    assert recover_all(connection) == NOTHING
    assert everything(connection) == before


def test_row_without_maximum_gets_its_own_before_anybody_claims(connection: Connection) -> None:
    lost = add_document(connection, ocr_attempts=3, ocr_max_attempts=None)
    ready = add_document(connection, ocr_attempts=None, ocr_max_attempts=None)
    add_document(connection, document_source="acte", ocr_max_attempts=None)
    assert recover_all(connection) == repaired(missing_maxima=2)
    assert [document(connection, row)["ocr_max_attempts"] for row in (lost, ready)] == [3, 3]
    assert document(connection, ready)["ocr_attempts"] == 0
    assert connection.execute("SELECT id FROM ocr_exhausted_documents").fetchall() == [(lost,)]
