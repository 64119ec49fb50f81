"""Tests that each check fails and passes by the thresholds of the settings, on a real database."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection

from notaflow_pipeline import health_checks
from notaflow_pipeline.alerting import french
from notaflow_pipeline.alerting.thresholds import Evaluation
from notaflow_pipeline.health_checks import Check
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, requeue_exhausted
from notaflow_pipeline.job_queue.metrics import acknowledge_exhausted
from notaflow_pipeline.job_queue.pause import pause, resume
from notaflow_pipeline.reporting.daily_tables.daily_storage import write_day
from notaflow_pipeline.reporting.daily_tables.days import today_in
from notaflow_pipeline.reporting.daily_tables.due_days import days_missed
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.reporting.daily_tables.attempt_history import add_attempt
from notaflow_pipeline_tests.testing.clock import wait_past_full_hour
from notaflow_pipeline_tests.testing.job_queue import (
    READING,
    add_document,
    ago,
    ahead,
    change,
    claim,
    claim_one,
    expire,
    recover_all,
    succeed,
)

ZONE = "America/Toronto"


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def evaluation(connection: Connection, check: Check, **values: Any) -> Evaluation:
    return dict(health_checks.evaluate_all(connection, settings(**values)))[check]


def test_every_check_is_explained_in_french() -> None:
    checks = (
        *health_checks.QUEUE_CHECKS,
        *health_checks.COMPLETENESS_CHECKS,
        *health_checks.RATE_CHECKS,
        *health_checks.PERFORMANCE_CHECKS,
    )
    assert french.CHECKS.keys() == {*(one.name for one in checks), "queue_invariants", "daily_tables_reconciled"}


def test_all_is_well_on_an_empty_database(connection: Connection) -> None:
    evaluations = dict(health_checks.evaluate_all(connection, settings()))
    of_days = {*health_checks.COMPLETENESS_CHECKS, *health_checks.RATE_CHECKS, *health_checks.PERFORMANCE_CHECKS}
    assert set(evaluations) == {*health_checks.QUEUE_CHECKS, *of_days}
    assert [check for check, one in evaluations.items() if one.alarming] == []


@pytest.mark.owner
def test_alarm_about_ready_documents_names_what_refuses_them(connection: Connection) -> None:
    key = add_document(connection)
    connection.execute(f"ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (id <> '{key}') NOT VALID")
    evaluation(connection, health_checks.PROGRESS)
    connection.execute("UPDATE ocr_progress_watch SET idle_since = clock_timestamp() - interval '1 day'")
    alarm = evaluation(connection, health_checks.PROGRESS)
    assert alarm.alarming
    assert f"the database refuses to claim 1 ready document, such as {key}" in alarm.sentence
    assert "daemon" not in alarm.sentence


@pytest.mark.owner
def test_refused_document_alarms_although_others_are_claimed(connection: Connection) -> None:
    key, _ = add_document(connection, created_at=ago("9 days")), add_document(connection)
    connection.execute(f"ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (id <> '{key}') NOT VALID")
    assert not evaluation(connection, health_checks.PROGRESS).alarming, "no claim has met it"
    held = claim_one(connection)
    alarm = evaluation(connection, health_checks.PROGRESS)
    assert alarm.alarming
    assert (
        "the database refuses to claim 1 more document (CheckViolation, SQLSTATE 23514, constraint held)"
        in alarm.sentence
    )
    assert alarm.figures["refused"] == 1
    assert evaluation(connection, health_checks.WAITING).sentence == "No document waits."
    assert succeed(connection, held, READING)
    connection.execute("ALTER TABLE extraction_queue DROP CONSTRAINT held")
    assert claim_one(connection).document_id == key
    assert not evaluation(connection, health_checks.PROGRESS).alarming


def test_unclaimed_ready_documents_alarm_until_one_is_claimed(connection: Connection) -> None:
    def idle_for(minutes: int) -> Evaluation:
        connection.execute(
            "UPDATE ocr_progress_watch SET idle_since = clock_timestamp() - make_interval(mins => %s)", [minutes]
        )
        return evaluation(connection, health_checks.PROGRESS)

    add_document(connection, created_at=ago("9 days"))
    assert not evaluation(connection, health_checks.PROGRESS).alarming, "it may have become ready just now"
    assert not idle_for(14).alarming
    alarm = idle_for(16)
    assert alarm.alarming
    assert alarm.figures["ready"] == 1
    pause(connection, "the scanner is being repaired")
    assert not evaluation(connection, health_checks.PROGRESS).alarming
    # a pause of a night is nobody's idleness: it counts from when work may go on
    assert not idle_for(16).alarming
    resume(connection)
    assert not idle_for(16).alarming
    assert idle_for(16).alarming

    # a worker holds a document for any length of time
    held = claim_one(connection)
    add_document(connection)
    assert not idle_for(16).alarming
    # and it has been a while since, but less than the limit since the claim
    assert succeed(connection, held, READING)
    assert not evaluation(connection, health_checks.PROGRESS).alarming
    assert idle_for(16).alarming
    # a quick claim between two looks counts as well
    assert succeed(connection, claim_one(connection), READING)
    add_document(connection)
    assert not evaluation(connection, health_checks.PROGRESS).alarming
    # nor is anybody idle when nothing can be claimed
    connection.execute("UPDATE extraction_queue SET ocr_next_attempt_at = clock_timestamp() + interval '1 hour'")
    assert not idle_for(16).alarming


def test_time_of_an_empty_queue_does_not_count_as_idle(connection: Connection) -> None:
    def look_after(minutes: int) -> Evaluation:
        connection.execute(
            "UPDATE ocr_progress_watch SET idle_since = idle_since - make_interval(mins => %s)", [minutes]
        )
        return evaluation(connection, health_checks.PROGRESS)

    # the daemon is stopped when everything is read; a document arrives in the morning, just before it starts
    add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    assert not evaluation(connection, health_checks.PROGRESS).alarming
    add_document(connection)
    morning = look_after(480)
    assert not morning.alarming, morning.sentence
    assert not look_after(14).alarming
    assert look_after(2).alarming, "from then on it counts"


def test_stuck_document_alarms_until_it_is_recovered(
    connection: Connection,
) -> None:
    add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    assert not evaluation(connection, health_checks.STUCK).alarming
    change(connection, "ocr_attempt", held.token, lease_expires_at=ago("16 minutes"))
    alarm = evaluation(connection, health_checks.STUCK)
    assert alarm.alarming
    assert alarm.sentence.startswith("1 document has been under OCR")
    recover_all(connection)
    assert not evaluation(connection, health_checks.STUCK).alarming


def test_stuck_claim_of_another_program_alarms_after_both_waits(connection: Connection) -> None:
    foreign = add_document(connection, status_id=6, ocr_attempts=1, ocr_started_at=ago("24 minutes"))
    assert not evaluation(connection, health_checks.STUCK).alarming
    change(connection, "extraction_queue", foreign, ocr_started_at=ago("26 minutes"))
    assert evaluation(connection, health_checks.STUCK).alarming
    change(connection, "extraction_queue", foreign, document_source="acte")
    assert not evaluation(connection, health_checks.STUCK).alarming
    assert evaluation(connection, health_checks.STUCK, OCR_SOURCES="index,acte").alarming


def test_old_waiting_document_alarms_until_it_is_claimed(connection: Connection) -> None:
    add_document(connection, created_at=ago("23 hours"), updated_at=None)
    assert not evaluation(connection, health_checks.WAITING).alarming
    add_document(connection, created_at=ago("9 days"), updated_at=ago("25 hours"), ocr_next_attempt_at=ahead("1 hour"))
    alarm = evaluation(connection, health_checks.WAITING)
    assert alarm.alarming
    assert alarm.figures["oldest_hours"] == pytest.approx(25, abs=0.1)
    assert not evaluation(connection, health_checks.WAITING, NOTAFLOW_ALERT_WAITING_HOURS=26).alarming
    connection.execute("UPDATE extraction_queue SET ocr_next_attempt_at = NULL")
    assert len(claim(connection, 2)) == 2
    assert not evaluation(connection, health_checks.WAITING).alarming


def test_exhausted_document_alarms_until_acknowledged_or_requeued(connection: Connection) -> None:
    add_document(connection, ocr_attempts=3, ocr_last_error_at=ago("23 hours"))
    assert not evaluation(connection, health_checks.EXHAUSTED).alarming, "the nightly round has yet to come"
    document = add_document(connection, ocr_attempts=3, ocr_last_error_at=ago("25 hours"))
    assert evaluation(connection, health_checks.EXHAUSTED).alarming
    assert not evaluation(connection, health_checks.EXHAUSTED, NOTAFLOW_ALERT_EXHAUSTED_DOCUMENTS=1).alarming
    acknowledge_exhausted(connection)
    assert not evaluation(connection, health_checks.EXHAUSTED).alarming
    change(connection, "extraction_queue", document, ocr_last_error_at=ahead("1 second"))
    assert evaluation(connection, health_checks.EXHAUSTED, NOTAFLOW_ALERT_EXHAUSTED_HOURS=0).alarming is False
    connection.execute("DELETE FROM ocr_exhausted_seen")
    connection.execute("UPDATE extraction_queue SET ocr_last_error_at = clock_timestamp() - interval '25 hours'")
    assert evaluation(connection, health_checks.EXHAUSTED).figures["not_acknowledged"] == 2
    requeue_exhausted(connection, ExhaustedFilter(sources=("index",)))
    assert not evaluation(connection, health_checks.EXHAUSTED).alarming


def add_rates(connection: Connection, day: date, *, attempts: int, failed: int, stuck: int = 0, **more: int) -> None:
    connection.execute(
        """
        INSERT INTO ocr_daily_failure_rate (day, document_source, attempts, attempts_failed, attempts_stuck,
                                            documents_finished, documents_exhausted)
        VALUES (%(day)s, 'all', %(attempts)s, %(failed)s, %(stuck)s, %(finished)s, %(exhausted)s)
        ON CONFLICT (day, document_source) DO UPDATE
        SET attempts = EXCLUDED.attempts, attempts_failed = EXCLUDED.attempts_failed
        """,
        {"day": day, "attempts": attempts, "failed": failed, "stuck": stuck, "finished": 0, "exhausted": 0, **more},
    )


@pytest.fixture
def today(connection: Connection) -> date:
    wait_past_full_hour()  # a day must not end during a test
    row = connection.execute("SELECT (clock_timestamp() AT TIME ZONE 'America/Toronto')::date").fetchone()
    assert row is not None
    assert isinstance(row[0], date)
    return row[0]


def test_failure_rate_of_attempts_alarms_and_a_better_day_ends_it(connection: Connection, today: date) -> None:
    yesterday = today - timedelta(days=1)
    add_rates(connection, yesterday, attempts=100, failed=30, stuck=10)
    alarm = evaluation(connection, health_checks.ATTEMPTS)
    assert alarm.alarming
    assert (alarm.figures["failed"], alarm.figures["day"]) == (40, yesterday.isoformat())
    assert not evaluation(connection, health_checks.DOCUMENTS).alarming
    assert not evaluation(connection, health_checks.ATTEMPTS, NOTAFLOW_ALERT_ATTEMPT_FAILURE_RATE=0.35).alarming
    add_rates(connection, today, attempts=3, failed=0)
    assert evaluation(connection, health_checks.ATTEMPTS).alarming
    add_rates(connection, today, attempts=50, failed=1)
    assert not evaluation(connection, health_checks.ATTEMPTS).alarming


def test_failure_rate_of_documents_alarms_by_those_that_failed_for_good(connection: Connection, today: date) -> None:
    add_rates(connection, today, attempts=100, failed=0, finished=90, exhausted=30)
    assert evaluation(connection, health_checks.DOCUMENTS).alarming
    assert not evaluation(connection, health_checks.ATTEMPTS).alarming
    assert not evaluation(connection, health_checks.DOCUMENTS, NOTAFLOW_ALERT_MIN_DOCUMENTS=91).alarming


def test_slow_unsure_or_incomplete_day_alarms_against_those_before(connection: Connection, today: date) -> None:
    def add(day: date, p95: float, confidence: float, coverage: float | None = 0.95) -> None:
        connection.execute(
            """
            INSERT INTO ocr_daily_performance (day, document_source, documents, pages, characters,
                                               duration_seconds_p95, mean_confidence, low_confidence_documents,
                                               mean_coverage)
            VALUES (%s, 'all', 50, 500, 9000, %s, %s, 0, %s)
            ON CONFLICT (day, document_source) DO UPDATE
            SET duration_seconds_p95 = EXCLUDED.duration_seconds_p95, mean_confidence = EXCLUDED.mean_confidence,
                mean_coverage = EXCLUDED.mean_coverage
            """,
            [day, p95, confidence, coverage],
        )

    def alarming() -> list[Check]:
        checks = (health_checks.SLOWNESS, health_checks.CONFIDENCE, health_checks.COVERAGE)
        return [check for check in checks if evaluation(connection, check).alarming]

    for back in range(1, 15):
        add(today - timedelta(days=back), 20 + back % 3, 90 - back % 3)
    assert alarming() == []
    add(today, 60, 89)
    assert alarming() == [health_checks.SLOWNESS]
    add(today, 21, 70)
    assert alarming() == [health_checks.CONFIDENCE]
    assert not evaluation(connection, health_checks.CONFIDENCE, NOTAFLOW_ALERT_DEVIATIONS=100).alarming
    add(today, 21, 89, 0.8)
    assert alarming() == [health_checks.COVERAGE]
    judged = evaluation(connection, health_checks.COVERAGE)
    assert (judged.figures["coverage_percent"], judged.figures["threshold"]) == (80.0, 90.0)
    assert "accounted for 80.0 % of the ink" in judged.sentence
    add(today, 21, 89)
    assert alarming() == []


def test_coverage_is_not_evaluated_before_five_days_have_measured_it(connection: Connection, today: date) -> None:
    for back in range(6):
        connection.execute(
            """
            INSERT INTO ocr_daily_performance (day, document_source, documents, pages, characters, low_confidence_documents,
                                               mean_coverage)
            VALUES (%s, 'all', 50, 500, 9000, 0, %s)
            """,
            [today - timedelta(days=back), (0.1, 0.9, 0.9, 0.9, 0.9, None)[back]],
        )
    judged = evaluation(connection, health_checks.COVERAGE)
    assert not judged.alarming
    assert "Not enough data: 4 of the 14 days before" in judged.sentence
    connection.execute("UPDATE ocr_daily_performance SET mean_coverage = 0.9 WHERE mean_coverage IS NULL")
    assert evaluation(connection, health_checks.COVERAGE).alarming


def test_missed_night_alarms_until_it_is_computed(connection: Connection, today: date) -> None:
    def count(day: date) -> None:
        write_day(connection, day, timezone=ZONE, low_confidence=60, low_coverage=0.7)

    def computed(day: date, at: str) -> None:
        connection.execute(
            "UPDATE ocr_daily_failure_rate SET computed_at = (day + %s::time) AT TIME ZONE %s WHERE day = %s",
            [at, ZONE, day],
        )

    two_ago, five_ago = today - timedelta(days=2), today - timedelta(days=5)
    for day in (two_ago, five_ago, today):
        noon = datetime.combine(day, time(12), ZoneInfo(ZONE))
        add_attempt(connection, uuid4(), noon - timedelta(seconds=20), min(noon, datetime.now(ZoneInfo(ZONE))))
    count(today)
    missed = evaluation(connection, health_checks.COMPLETENESS)
    assert missed.alarming, "an attempt of that day is in no table"
    assert missed.figures == {"day": two_ago.isoformat(), "days_missed": 1, "threshold": 0}
    assert missed.sentence.startswith(f"{two_ago} is over")
    assert "ocr_daily_schedule" in missed.sentence
    assert not evaluation(connection, health_checks.COMPLETENESS, NOTAFLOW_PARTITIONS_START=today).alarming

    count(two_ago)
    assert not evaluation(connection, health_checks.COMPLETENESS).alarming
    computed(two_ago, "23:45")
    assert evaluation(connection, health_checks.COMPLETENESS).alarming, (
        "it was computed while it lasted, and not after its end"
    )
    connection.execute("DELETE FROM ocr_attempt WHERE finished_at < clock_timestamp() - interval '30 hours'")
    assert not evaluation(connection, health_checks.COMPLETENESS).alarming, "days without attempts raise no alarm"


@pytest.mark.parametrize(("hour", "missed"), [(0, False), (1, True)])
def test_day_is_missed_an_hour_after_its_end_and_not_before(connection: Connection, hour: int, missed: bool) -> None:
    wait_past_full_hour()
    now = datetime.now(UTC)
    ahead_of_utc = (hour - now.hour + 11) % 24 - 11
    zone = f"Etc/GMT{-ahead_of_utc:+d}"  # in which that hour has struck; these names count westwards
    midnight = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    ended = midnight - timedelta(minutes=30)
    add_attempt(connection, uuid4(), ended, ended)
    days = days_missed(connection, first=date(2026, 1, 1), timezone=zone)
    assert days == ([ended.date()] if missed else [])


def test_day_is_that_of_the_configured_zone(connection: Connection) -> None:
    wait_past_full_hour()
    far_east, far_west = (today_in(connection, zone) for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"))
    assert far_east > far_west
    assert isinstance(far_east, date)
    assert not isinstance(far_east, datetime)
