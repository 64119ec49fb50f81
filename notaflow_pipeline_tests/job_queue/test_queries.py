"""Counts and lists of the queue are exact."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue import metrics, queries
from notaflow_pipeline.job_queue.listing import list_documents
from notaflow_pipeline.job_queue.model import Attempt
from notaflow_pipeline_tests.testing.job_queue import (
    BLANK,
    ENCRYPTED,
    READING,
    STUCK_AFTER,
    add_document,
    ago,
    ahead,
    change,
    claim,
    claim_one,
    document,
    expire,
    fail,
    succeed,
)

INDEX = ("index",)

# name -> state, row; the rows that are claimed here come in `population`
ROWS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "ready": ("ready", {"created_at": ago("2 hours")}),
    "ready, never counted": ("ready", {"ocr_attempts": None}),
    "ready, no maximum": ("ready", {"ocr_attempts": None, "ocr_max_attempts": None}),
    "ready, wait is over": ("ready", {"ocr_attempts": 2, "ocr_next_attempt_at": ago("1 second")}),
    "active elsewhere": ("active", {"status_id": 6, "ocr_attempts": 1, "ocr_started_at": ago("9 minutes")}),
    "stuck elsewhere": ("stuck", {"status_id": 6, "ocr_attempts": 1, "ocr_started_at": ago("11 minutes")}),
    "stuck without a start": ("stuck", {"status_id": 6, "ocr_attempts": 3}),
    "backing off": ("backing_off", {"ocr_attempts": 1, "ocr_next_attempt_at": ahead("1 hour")}),
    "exhausted": ("exhausted", {"ocr_attempts": 3}),
    "exhausted, no maximum": ("exhausted", {"ocr_attempts": 3, "ocr_max_attempts": None}),
    "exhausted, waits for nothing": ("exhausted", {"ocr_attempts": 3, "ocr_next_attempt_at": ahead("1 hour")}),
    "extraction failed after OCR": (
        None,
        {"ocr_attempts": 3, "status_id": 4, "ocr_error": "OCR processing failed: old"},
    ),
    "done": ("done", {"status_id": 5, "file_content": "text", "ocr_attempts": 1}),
    "done, blank elsewhere": ("done", {"status_id": 5, "ocr_attempts": 3}),
    "waits for extraction": (None, {"status_id": 1}),
    "under extraction": (None, {"status_id": 2, "ocr_attempts": 3}),
    "extraction failed": (None, {"status_id": 4}),
    "has text already": (None, {"file_content": "text"}),
    "not to be tried": (None, {"ocr_attempts": 0, "ocr_max_attempts": 0}),
    "act": (None, {"document_source": "acte"}),
    "act, under OCR": (None, {"document_source": "acte", "status_id": 6}),
    "drawing": (None, {"document_source": "plan_cadastraux"}),
    "of no source": (None, {"document_source": None}),
}


def states(connection: Connection, sources: tuple[str, ...] = INDEX) -> dict[str, int]:
    counts = asdict(queries.count_queue(connection, sources=sources, stuck_after=STUCK_AFTER))
    counts.pop("to_reread")  # a part of what is done; test_rereading counts it
    return counts


def ready(connection: Connection, at_most: int = 100) -> int:
    return queries.count_ready(connection, sources=INDEX, at_most=at_most)


def test_lease_that_was_taken_while_the_clock_was_ahead_is_stuck(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    change(connection, "ocr_attempt", held.token, lease_expires_at=ahead("3 days"))
    assert states(connection)["stuck"] == 1
    listed = list_documents(connection, sources=INDEX, stuck_after=STUCK_AFTER, exhausted_status=3, limit=10)
    assert [found.state for found in listed] == ["stuck"]


def test_each_row_is_in_exactly_its_state(connection: Connection) -> None:
    for name, (state, columns) in ROWS.items():
        with connection.transaction(force_rollback=True):
            add_document(connection, **columns)
            found = {counted: number for counted, number in states(connection).items() if number}
            assert found == ({state: 1} if state else {}), name


def test_every_state_is_counted(connection: Connection) -> None:
    for _ in range(6):
        add_document(connection)
    *alive, expired, waits, encrypted, done = claim(connection, 6)
    for held in alive:  # for hours already, but their leases say that they live
        change(connection, "extraction_queue", held.document_id, ocr_started_at=ago("3 hours"))
    expire(connection, expired)
    fail(connection, waits)
    fail(connection, encrypted, ENCRYPTED)
    succeed(connection, done, BLANK)
    wanted = {"ready": 0, "refused": 0, "active": 2, "stuck": 1, "backing_off": 1, "exhausted": 1, "done": 1}
    for state, columns in ROWS.values():
        add_document(connection, **columns)
        if state:
            wanted[state] += 1
    assert states(connection) == wanted

    both = states(connection, ("index", "acte"))
    assert both == {**wanted, "ready": wanted["ready"] + 1, "stuck": wanted["stuck"] + 1}


def test_oldest_waiting_document_is_one_that_an_attempt_is_left_for(connection: Connection) -> None:
    def oldest() -> float | None:
        return metrics.oldest_waiting_seconds(connection, sources=INDEX)

    add_document(connection, created_at=ago("9 days"), updated_at=ago("9 days"), ocr_attempts=3)
    add_document(connection, created_at=ago("9 days"), updated_at=ago("9 days"), status_id=5)
    assert oldest() is None
    add_document(connection, created_at=ago("1 hour"), updated_at=ago("1 hour"))
    add_document(
        connection,
        created_at=ago("2 hours"),
        updated_at=ago("2 hours"),
        ocr_attempts=1,
        ocr_next_attempt_at=ahead("1 hour"),
    )
    seconds = oldest()
    assert seconds is not None
    assert 7200 <= seconds < 7500


def test_ready_documents_are_what_a_new_run_would_claim(connection: Connection) -> None:
    for name, (state, columns) in ROWS.items():
        before = ready(connection)
        add_document(connection, **columns)
        assert ready(connection) - before == (state == "ready"), name
    assert ready(connection, at_most=2) == 2
    assert ready(connection) == len(claim(connection, 99)) == 4
    assert ready(connection) == 0


def test_unfinished_is_what_is_neither_done_nor_exhausted(connection: Connection) -> None:
    for name, (state, columns) in ROWS.items():
        with connection.transaction(force_rollback=True):
            add_document(connection, **columns)
            if name == "exhausted, no maximum":
                claim(connection)  # writes its maximum, and then it is exhausted
            unfinished = state in ("ready", "active", "stuck", "backing_off")
            assert queries.has_unfinished(connection, sources=INDEX) == unfinished, name


# --- looking up


def test_row_is_found_by_its_id(connection: Connection) -> None:
    wanted = add_document(connection, supabase_path="index/a.pdf", ocr_priority=2)
    add_document(connection)
    [job] = queries.find_jobs(connection, str(wanted))
    row = document(connection, wanted)
    assert asdict(job) == {name: row[name] for name in asdict(job)}
    assert queries.find_jobs(connection, str(wanted).upper())[0].id == wanted
    assert queries.find_jobs(connection, str(uuid4())) == []


@pytest.mark.parametrize("number", ["2 784 195", "2784195", " 2784 195 ", "27 84 195"])
def test_rows_are_found_by_their_number_with_or_without_its_spaces(connection: Connection, number: str) -> None:
    newer = add_document(connection, document_number_normalized="2784195", created_at=ago("1 hour"))
    older = add_document(connection, document_number_normalized="2784195", created_at=ago("2 hours"))
    add_document(connection, document_number="2 784 196", document_number_normalized="2784196")
    assert [job.id for job in queries.find_jobs(connection, number)] == [older, newer]


def test_number_with_a_dash_or_without_a_normal_form_is_found(connection: Connection) -> None:
    dashed = add_document(connection, document_number="1358-176", document_number_normalized="1358-176")
    plain = add_document(connection, document_number="2 784 195", document_number_normalized=None)
    assert [job.id for job in queries.find_jobs(connection, "1358-176")] == [dashed]
    assert [job.id for job in queries.find_jobs(connection, "2 784 195")] == [plain]
    assert queries.find_jobs(connection, "1358176") == []
    assert queries.find_jobs(connection, "' OR TRUE --") == []


def test_row_that_is_shown_holds_no_text(connection: Connection) -> None:
    row = add_document(connection)
    succeed(connection, claim_one(connection), READING)
    [job] = queries.find_jobs(connection, str(row))
    assert READING.text not in repr(job)
    assert queries.text_of(connection, row) == READING.text
    assert queries.text_of(connection, uuid4()) is None


def test_attempts_are_listed_by_document_and_by_run(connection: Connection) -> None:
    row, another = add_document(connection, created_at=ago("1 hour")), add_document(connection)
    [first] = claim(connection, run_id="run-1")
    fail(connection, first, retry_base_seconds=0)
    [second] = claim(connection, run_id="run-2")
    succeed(connection, second, READING)
    [third] = claim(connection, run_id="run-2")

    def told(found: list[Attempt]) -> list[tuple[int, UUID, str | None]]:
        return [(attempt.id, attempt.queue_id, attempt.outcome) for attempt in found]

    assert told(queries.attempts_of_document(connection, row)) == [
        (first.token, row, "failed"),
        (second.token, row, "succeeded"),
    ]
    assert told(queries.attempts_of_run(connection, "run-2")) == [
        (second.token, row, "succeeded"),
        (third.token, another, None),
    ]
    assert queries.attempts_of_run(connection, "run-3") == []


# --- export


def test_export_yields_the_contract_s_keys_oldest_first(connection: Connection) -> None:
    done = add_document(connection, document_number="1", supabase_path="index/1.pdf", created_at=ago("3 hours"))
    failed = add_document(connection, document_number="2", created_at=ago("2 hours"))
    waiting = add_document(connection, document_number="3", created_at=ago("1 hour"))
    add_document(connection, document_source="acte")
    first, second = claim(connection, 2)
    succeed(connection, first, READING)
    fail(connection, second)
    empty = {"supabase_path": None, "file_content": None, "mean_confidence": None, "pages": None}
    assert list(queries.export(connection, sources=INDEX, since=None)) == [
        {
            "id": done,
            "document_number": "1",
            "status_id": 5,
            "supabase_path": "index/1.pdf",
            "file_content": READING.text,
            "ocr_attempts": 1,
            "ocr_error": None,
            "mean_confidence": 91.5,
            "pages": 1,
        },
        {
            **empty,
            "id": failed,
            "document_number": "2",
            "status_id": 3,
            "ocr_attempts": 1,
            "ocr_error": "OCR processing failed: Page 2 of 7 took longer than 120 s.",
        },
        {**empty, "id": waiting, "document_number": "3", "status_id": 3, "ocr_attempts": 0, "ocr_error": None},
    ]


def test_export_since_a_time_yields_what_ended_then_or_later(connection: Connection) -> None:
    def numbers(since: datetime | None) -> list[str]:
        return [row["document_number"] for row in queries.export(connection, sources=INDEX, since=since)]

    add_document(connection, document_number="old", status_id=5, ocr_completed_at=ago("2 days"))
    new = add_document(connection, document_number="new", status_id=5, ocr_completed_at=ago("1 hour"))
    add_document(connection, document_number="failed", ocr_last_error_at=ago("1 minute"), created_at=ahead("1 second"))
    add_document(connection, document_number="waiting")
    [(yesterday,)] = connection.execute("SELECT clock_timestamp() - interval '1 day'").fetchall()
    assert numbers(yesterday) == ["new", "failed"]
    assert numbers(document(connection, new)["ocr_completed_at"]) == ["new", "failed"]
    assert len(numbers(None)) == 4


def test_export_of_a_reread_document_has_the_latest_confidence(connection: Connection) -> None:
    row = add_document(connection)
    succeed(connection, claim_one(connection), READING)
    change(connection, "extraction_queue", row, status_id=3, file_content=None)
    succeed(connection, claim_one(connection), BLANK)
    [exported] = queries.export(connection, sources=INDEX, since=None)
    assert (exported["file_content"], exported["mean_confidence"], exported["ocr_attempts"]) == ("", None, 2)


def test_export_of_more_than_one_fetch_yields_every_row_once(connection: Connection) -> None:
    connection.execute("""
        INSERT INTO extraction_queue (document_source, document_number, status_id, created_at)
        SELECT 'index', i::text, 3, now() + i * interval '1 second'
        FROM generate_series(1, 250) AS i
    """)
    exported = [row["document_number"] for row in queries.export(connection, sources=INDEX, since=None)]
    assert exported == [str(i) for i in range(1, 251)]


# --- today


ZONES = [("UTC", "UTC"), ("America/Toronto", "UTC"), ("America/Toronto", "Asia/Kolkata"), ("Pacific/Kiritimati", "UTC")]


def test_today_begins_at_midnight_of_the_given_zone_whatever_the_session_s(connection: Connection) -> None:
    for zone, session in ZONES:
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('TimeZone', %s, TRUE)", [session])
            connection.execute(
                """
                WITH midnight AS (
                    SELECT date_trunc('day', clock_timestamp() AT TIME ZONE %(timezone)s) AT TIME ZONE %(timezone)s AS moment
                )
                INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                                         finished_at, outcome, pages)
                SELECT gen_random_uuid(), 1, source, 'w', moment, moment, moment + shift, outcome, pages
                FROM midnight,
                     (VALUES ('index', 'succeeded', interval '0', 7),
                             ('index', 'succeeded', interval '1 microsecond', 5),
                             ('index', 'succeeded', interval '-1 microsecond', 1000),
                             ('index', 'failed', interval '0', NULL),
                             ('index', 'stuck', interval '0', NULL),
                             ('index', 'failed', interval '-1 microsecond', NULL),
                             ('index', 'released', interval '0', NULL),
                             ('index', 'superseded', interval '0', NULL),
                             ('acte', 'succeeded', interval '0', 300)) AS attempt (source, outcome, shift, pages)
                """,
                {"timezone": zone},
            )
            today = queries.count_today(connection, sources=INDEX, timezone=zone)
            assert today == {"succeeded_today": 2, "failed_today": 2, "pages_today": 12}, (zone, session)


def test_day_without_an_attempt_counts_nothing(connection: Connection) -> None:
    add_document(connection)
    claim_one(connection)
    today = queries.count_today(connection, sources=INDEX, timezone="America/Toronto")
    assert today == {"succeeded_today": 0, "failed_today": 0, "pages_today": 0}
