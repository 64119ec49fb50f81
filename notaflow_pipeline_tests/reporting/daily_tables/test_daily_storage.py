"""Tests of writing daily tables: equal to a second count, repeatable, and never over deleted attempts."""

import threading
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import dict_row

from notaflow_pipeline.reporting.daily_tables.daily_storage import write_day
from notaflow_pipeline.reporting.daily_tables.days import AttemptsPruned, day_of, window_of
from notaflow_pipeline.reporting.daily_tables.due_days import days_due, has_new_attempts
from notaflow_pipeline.reporting.daily_tables.reconciliation import find_daily_differences
from notaflow_pipeline_tests.reporting.daily_tables.attempt_history import add_attempt, add_document, add_history
from notaflow_pipeline_tests.testing.clock import wait_past_full_hour

TORONTO = "America/Toronto"
TABLES = ("ocr_daily_performance", "ocr_daily_failure_rate", "ocr_daily_failures_by_kind")
SHORT, LONG = date(2026, 3, 8), date(2026, 11, 1)
DAY = date(2026, 6, 15)


def write(connection: Connection, day: date, timezone: str = TORONTO) -> None:
    write_day(connection, day, timezone=timezone, low_confidence=60, low_coverage=0.7)


def differences(connection: Connection, day: date, timezone: str = TORONTO) -> list[str]:
    found = find_daily_differences(connection, day, timezone=timezone, low_confidence=60, low_coverage=0.7)
    return [f"{one.table} {one.row}: {one.column} is {one.stored}, counted {one.counted}" for one in found]


def stored(connection: Connection, table: str, day: date, source: str = "all") -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        statement = sql.SQL("SELECT * FROM {} WHERE day = %s AND document_source = %s").format(sql.Identifier(table))
        [row] = cursor.execute(statement, [day, source]).fetchall()
    return row


def everything(connection: Connection) -> list[Any]:
    statement = sql.SQL("SELECT to_jsonb(t) - 'computed_at' FROM {} AS t ORDER BY 1")
    return [connection.execute(statement.format(sql.Identifier(table))).fetchall() for table in TABLES]


@pytest.mark.parametrize(
    ("timezone", "day", "hours"),
    [
        (TORONTO, SHORT, 23),
        (TORONTO, LONG, 25),
        ("America/Havana", SHORT, 23),  # the clocks skip midnight
        ("America/Havana", LONG, 25),  # and have it twice
        ("Asia/Kolkata", DAY, 24),
    ],
)
def test_histories_left_to_chance_equal_their_recount_on_every_day(
    connection: Connection, timezone: str, day: date, hours: int
) -> None:
    chance = Random(f"{timezone} {day}")
    window = window_of(day, timezone)
    assert window.end - window.start == timedelta(hours=hours)
    add_history(connection, chance, documents=300, start=window.start - timedelta(hours=20), hours=64)
    connection.execute("SET TimeZone = 'Pacific/Auckland'")
    days = [day + timedelta(days=offset) for offset in (-1, 0, 1)]
    assert [one for one in days if differences(connection, one, timezone) == []] == [], "nothing is written yet"
    for one in days:
        write(connection, one, timezone)
        assert differences(connection, one, timezone) == []
    counted = connection.execute(
        "SELECT sum(attempts), min(attempts) FROM ocr_daily_failure_rate WHERE document_source = 'all'"
    ).fetchone()
    inside = connection.execute(
        "SELECT count(*) FROM ocr_attempt WHERE outcome IN ('succeeded', 'failed', 'stuck') "
        "AND finished_at >= %s AND finished_at < %s",
        [window_of(days[0], timezone).start, window_of(days[-1], timezone).end],
    ).fetchone()
    assert counted is not None
    assert inside is not None
    assert counted[0] == inside[0]
    assert counted[1] > 50


def test_attempts_belong_to_the_day_in_the_zone_on_which_they_finished(connection: Connection) -> None:
    document = uuid4()
    for claimed, finished in [
        ("2026-10-31 23:00-04", "2026-10-31 23:59:59.999999-04"),
        ("2026-10-31 23:00-04", "2026-11-01 00:00-04"),  # over midnight
        ("2026-11-01 01:30-04", "2026-11-01 01:10-05"),  # 40 minutes, in the hour that comes twice
        ("2026-11-01 23:00-05", "2026-11-01 23:59:59.999999-05"),
        ("2026-11-01 23:00-05", "2026-11-02 00:00-05"),
    ]:
        add_attempt(connection, document, claimed, finished)
    for day in (date(2026, 10, 31), LONG, date(2026, 11, 2)):
        write(connection, day)
    attempts = [
        stored(connection, "ocr_daily_failure_rate", day)["attempts"]
        for day in (date(2026, 10, 31), LONG, date(2026, 11, 2))
    ]
    assert attempts == [1, 3, 1]
    performance = stored(connection, "ocr_daily_performance", LONG)
    assert performance["duration_seconds_p50"] == 3599.999999
    assert performance["duration_seconds_min"] == 40 * 60


def test_released_and_superseded_attempts_count_nowhere(connection: Connection) -> None:
    document = add_document(connection, "2026-06-15 12:00Z")
    for outcome in ("released", "superseded"):
        add_attempt(connection, document, "2026-06-15 12:01Z", "2026-06-15 12:02Z", outcome=outcome)
    write(connection, DAY)
    assert stored(connection, "ocr_daily_failure_rate", DAY)["attempts"] == 0
    assert stored(connection, "ocr_daily_failure_rate", DAY)["attempt_failure_rate"] is None


WAITS: dict[str, tuple[dict[str, Any], float | None]] = {
    "since it was recorded": ({"ready_at": "2026-06-15 12:04:30Z"}, 30),
    "since its creation": ({"created_at": "2026-06-15 12:00Z"}, 300),
    "since its previous end": ({"created_at": "2026-06-15 12:00Z", "earlier": "2026-06-15 12:03Z"}, 120),
    "since its previous end, without a row": ({"earlier": "2026-06-15 12:03Z"}, 120),
    "not at all, by another clock": ({"created_at": "2026-06-15 13:00Z"}, 0),
    "who knows how long": ({}, None),
    "since a creation that is no time": ({"created_at": "-infinity"}, None),
    "since a recorded time that is none": ({"ready_at": "-infinity"}, None),
    "not at all, by a clock that shows no time": ({"created_at": "infinity"}, 0),
}


@pytest.mark.parametrize(("known", "seconds"), WAITS.values(), ids=WAITS)
def test_document_waited(connection: Connection, known: dict[str, Any], seconds: float | None) -> None:
    document = add_document(connection, known["created_at"]) if "created_at" in known else uuid4()
    if "earlier" in known:
        add_attempt(connection, document, "2026-06-15 12:02Z", known["earlier"], outcome="released")
    add_attempt(connection, document, "2026-06-15 12:05Z", "2026-06-15 12:06Z", ready_at=known.get("ready_at"))
    add_attempt(connection, document, "2026-06-15 12:10Z", "2026-06-15 12:11Z", outcome="failed")
    write(connection, DAY)
    assert stored(connection, "ocr_daily_performance", DAY)["wait_seconds_p95"] == seconds
    assert differences(connection, DAY) == []


EXHAUSTED: dict[str, tuple[dict[str, Any], bool]] = {
    "recorded": ({"exhausted": True, "attempt_number": 1}, True),
    "recorded that not": ({"exhausted": False, "attempt_number": 3}, False),
    "of before, its maximum reached": ({"attempt_number": 3}, True),
    "of before, another attempt left": ({"attempt_number": 2}, False),
    "of before, raised maximum": ({"attempt_number": 3, "maximum": 6}, False),
    "of before, requeued since": ({"attempt_number": 3, "maximum": 6, "round": True}, True),
    "of before, has its text": ({"attempt_number": 3, "status_id": 5}, False),
}


@pytest.mark.parametrize(("facts", "exhausted"), EXHAUSTED.values(), ids=EXHAUSTED)
def test_failure_exhausted_its_document(connection: Connection, facts: dict[str, Any], exhausted: bool) -> None:
    document = add_document(
        connection, "2026-06-15 12:00Z", status_id=facts.get("status_id", 3), ocr_max_attempts=facts.get("maximum", 3)
    )
    recorded = {name: facts[name] for name in ("exhausted", "attempt_number") if name in facts}
    add_attempt(connection, document, "2026-06-15 12:05Z", "2026-06-15 12:06Z", outcome="stuck", **recorded)
    if "round" in facts:
        connection.execute(
            "INSERT INTO ocr_round (queue_id, sent_at, attempts_before) VALUES (%s, now(), 3)", [document]
        )
    write(connection, DAY)
    assert stored(connection, "ocr_daily_failure_rate", DAY)["documents_exhausted"] == int(exhausted)
    assert differences(connection, DAY) == []


def test_writing_a_day_again_changes_nothing(connection: Connection) -> None:
    add_history(connection, Random(5), documents=60, start=window_of(DAY, TORONTO).start, hours=20)
    write(connection, DAY)
    before = everything(connection)
    assert all(before)
    write(connection, DAY)
    assert everything(connection) == before


def test_outdated_rows_are_removed_from_the_tables(connection: Connection) -> None:
    add_attempt(connection, uuid4(), "2026-06-15 12:00Z", "2026-06-15 12:01Z", outcome="failed", document_source="acte")
    write(connection, DAY)
    connection.execute("UPDATE ocr_attempt SET document_source = 'index', failure_kind = 'crashed'")
    assert differences(connection, DAY)
    write(connection, DAY)
    assert differences(connection, DAY) == []
    assert [len(rows) for rows in everything(connection)] == [2, 2, 2]


def test_day_may_take_longer_than_the_limit_of_short_statements(connection: Connection, database_url: str) -> None:
    add_attempt(connection, uuid4(), "2026-06-15 12:00Z", "2026-06-15 12:01Z")
    connection.execute("SET statement_timeout = '100ms'")
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE ocr_daily_performance IN ROW EXCLUSIVE MODE")
        threading.Timer(0.5, other.rollback).start()
        write(connection, DAY)
    assert differences(connection, DAY) == []


def test_writers_of_one_day_take_turns(connection: Connection, database_url: str) -> None:
    add_history(connection, Random(6), documents=60, start=window_of(DAY, TORONTO).start, hours=20)
    together, errors = threading.Barrier(4), list[Exception]()

    def run() -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            together.wait()
            try:
                write(own, DAY)
            except Exception as error:  # noqa: BLE001 - shown below
                errors.append(error)

    writers = [threading.Thread(target=run) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    assert differences(connection, DAY) == []


def test_day_whose_attempts_were_pruned_is_refused_and_keeps_its_tables(connection: Connection) -> None:
    add_attempt(connection, uuid4(), "2026-06-15 12:00Z", "2026-06-15 12:01Z")
    write(connection, DAY)
    before = everything(connection)
    with connection.transaction():
        connection.execute("DELETE FROM ocr_attempt")
        connection.execute("INSERT INTO ocr_attempts_pruned (finished_before) VALUES ('2026-06-15 12:30Z')")
    with pytest.raises(
        AttemptsPruned, match=r"before 2026-06-15 12:30 UTC were deleted.* of 2026-06-15.*stay as they are"
    ):
        write(connection, DAY)
    assert everything(connection) == before
    write(connection, DAY + timedelta(days=1))


@pytest.mark.parametrize("table", TABLES)
def test_second_count_finds_every_wrong_figure_and_every_missing_row(connection: Connection, table: str) -> None:
    add_history(connection, Random(7), documents=200, start=window_of(DAY, TORONTO).start, hours=20)
    write(connection, DAY)
    name = sql.Identifier(table)
    change = sql.SQL(
        "UPDATE {} SET {column} = {column} + %(by)s "
        "WHERE document_source = 'all' AND COALESCE(to_jsonb({})->>'failure_kind', 'timeout') = 'timeout'"
    )
    columns = {one.name for one in connection.execute(sql.SQL("SELECT * FROM {}").format(name)).description or []}
    for column in sorted(columns - {"day", "document_source", "failure_kind", "computed_at"}):
        statement = change.format(name, name, column=sql.Identifier(column))
        assert connection.execute(statement, {"by": 1}).rowcount == 1
        [difference] = differences(connection, DAY)
        assert difference.startswith(f"{table} all")
        assert f": {column} is" in difference
        connection.execute(statement, {"by": -1})
        assert differences(connection, DAY) == []
    connection.execute(sql.SQL("DELETE FROM {}").format(name))
    assert [one for one in differences(connection, DAY) if f"{table} all" in one]


def test_days_are_due_until_they_are_computed_after_their_end(connection: Connection) -> None:
    wait_past_full_hour()
    today = day_of(datetime.now(UTC), TORONTO)
    yesterday, before = today - timedelta(days=1), today - timedelta(days=2)

    def due(look_back_days: int = 3, first: date = date(2025, 10, 10)) -> list[date]:
        return days_due(connection, today=today, look_back_days=look_back_days, first=first, timezone=TORONTO)

    assert due() == [today - timedelta(days=3), before, yesterday]
    assert due(first=before) == [before, yesterday]
    write(connection, yesterday)
    write(connection, today)
    assert due(2) == [before]
    connection.execute("UPDATE ocr_daily_failure_rate SET computed_at = computed_at - interval '1 day'")
    assert due(2) == [before, yesterday], "it was computed while it was under way"
    connection.execute(
        "INSERT INTO ocr_attempts_pruned (finished_before) VALUES (%s)", [window_of(yesterday, TORONTO).start]
    )
    assert due(2) == [yesterday], "what was pruned cannot be computed any more"


def test_day_has_new_attempts_when_missing_or_when_one_finished_since(connection: Connection) -> None:
    wait_past_full_hour()
    today = day_of(datetime.now(UTC), TORONTO)
    assert has_new_attempts(connection, today, timezone=TORONTO)
    write(connection, today)
    assert not has_new_attempts(connection, today, timezone=TORONTO)
    add_attempt(connection, uuid4(), datetime.now(UTC), datetime.now(UTC), outcome="released")
    assert not has_new_attempts(connection, today, timezone=TORONTO)
    add_attempt(connection, uuid4(), datetime.now(UTC), datetime.now(UTC))
    assert has_new_attempts(connection, today, timezone=TORONTO)
    write(connection, today)
    assert has_new_attempts(connection, today, timezone=TORONTO), "it may have finished unseen; the next run makes sure"
    connection.execute("UPDATE ocr_daily_failure_rate SET computed_at = computed_at + interval '2 minutes'")
    assert not has_new_attempts(connection, today, timezone=TORONTO)
