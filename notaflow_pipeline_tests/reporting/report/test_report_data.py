"""Tests of what a report reads: its range, sums, and the documents that a person should look at."""

from datetime import date, timedelta

import pytest
from psycopg import Connection

from notaflow_pipeline.reporting.report.report_data import DOCUMENTS_SHOWN
from notaflow_pipeline_tests.reporting import daily_table_rows
from notaflow_pipeline_tests.reporting.gathering import UNTIL, Gather

DAY = timedelta(days=1)


def test_days_outside_the_range_are_left_out_and_the_others_summed_once(connection: Connection, gather: Gather) -> None:
    since = UNTIL - 2 * DAY
    for day in (since - DAY, since, UNTIL, UNTIL + DAY):
        daily_table_rows.add_day(connection, day, read=30, failed=10, stuck=5)
        daily_table_rows.add_day(connection, day, read=30, failed=10, stuck=5, source="index")
    figures = gather(since)
    assert figures.sources == ["all", "index"]
    totals = figures.totals()
    assert (totals["documents"], totals["attempts"], totals["attempts_failed"]) == (60, 90, 30)
    assert totals["attempt_failure_rate"] == pytest.approx(1 / 3)
    assert figures.kinds()[0] == ("timeout", 10, 10)
    assert sum(attempts for _, attempts, _ in figures.kinds()) == 20


def test_confidence_and_coverage_weigh_days_by_their_documents(connection: Connection, gather: Gather) -> None:
    unmeasured = UNTIL - 3 * DAY  # as days of before migration 023
    for day, read, confidence, coverage in (
        *((UNTIL, 3, 90.0, 0.9), (UNTIL - DAY, 1, 50.0, 0.5)),
        *((UNTIL - 2 * DAY, 0, None, None), (unmeasured, 4, 80.0, None)),
    ):
        daily_table_rows.add_day(connection, day, read=read, failed=0)
        connection.execute(
            "UPDATE ocr_daily_performance SET mean_confidence = %s, mean_coverage = %s, low_coverage_documents = %s"
            " WHERE day = %s",
            [confidence, coverage, read // 2, day],
        )
    totals = gather().totals()
    assert totals["mean_confidence"] == pytest.approx(80)
    assert totals["mean_coverage"] == pytest.approx(0.8)
    assert totals["low_coverage_documents"] == 3


def test_documents_that_fail_most_come_first_with_what_became_of_them(connection: Connection, gather: Gather) -> None:
    states = {"exhausted": (3, 3), "waiting": (3, 1), "read": (5, 3), "active": (6, 2)}
    for failures, (state, (status, attempts)) in enumerate(states.items(), start=1):
        document = daily_table_rows.add_document(connection, state, status_id=status, attempts=attempts)
        for back in range(failures):
            daily_table_rows.add_attempt(
                connection, document, UNTIL - back * DAY, "failed", kind="timeout" if back else "corrupt"
            )
    deleted = daily_table_rows.add_document(connection, "deleted")
    for _ in range(5):
        daily_table_rows.add_attempt(connection, deleted, UNTIL, "stuck")
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [deleted])
    late = daily_table_rows.add_document(connection, "tomorrow", status_id=3)
    daily_table_rows.add_attempt(connection, late, UNTIL + DAY, "failed", kind="timeout")

    found = gather().failing_documents
    assert [(one.document_number, one.failures, one.state) for one in found] == [
        (str(deleted), 5, "deleted"),
        ("active", 4, "active"),
        ("read", 3, "read"),
        ("waiting", 2, "waiting"),
        ("exhausted", 1, "exhausted"),
    ]
    assert found[0].failure_kind == "stuck"
    assert found[1].failure_kind == "timeout", "the kind of the last attempt"


def test_lowest_confidence_documents_are_ranked_by_their_last_text(connection: Connection, gather: Gather) -> None:
    twice = daily_table_rows.add_document(connection, "read again")
    daily_table_rows.add_attempt(connection, twice, UNTIL - DAY, "succeeded", confidence=20.0)
    daily_table_rows.add_attempt(connection, twice, UNTIL, "succeeded", confidence=80.0)
    for number in range(DOCUMENTS_SHOWN + 3):
        document = daily_table_rows.add_document(connection, f"document {number}")
        daily_table_rows.add_attempt(connection, document, UNTIL, "succeeded", confidence=30.0 + number, coverage=0.25)
    found = gather().lowest_confidence_documents
    assert [one.document_number for one in found] == [f"document {number}" for number in range(DOCUMENTS_SHOWN)]
    assert {one.coverage for one in found} == {0.25}


def test_single_documents_are_looked_for_in_the_last_month_of_a_long_range(
    connection: Connection, gather: Gather
) -> None:
    old = daily_table_rows.add_document(connection, "old", status_id=3)
    daily_table_rows.add_attempt(connection, old, UNTIL - 30 * DAY, "failed", kind="timeout")
    young = daily_table_rows.add_document(connection, "young", status_id=3)
    daily_table_rows.add_attempt(connection, young, UNTIL - 29 * DAY, "failed", kind="timeout")
    figures = gather(date(2026, 1, 1))
    assert [one.document_number for one in figures.failing_documents] == ["young"]
    assert figures.documents_since == UNTIL - 29 * DAY
