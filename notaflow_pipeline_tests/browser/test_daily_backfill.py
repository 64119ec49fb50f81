"""Tests of a backfill of the daily tables over a range of days from the UI: each day has its own figures."""

from typing import TYPE_CHECKING
from uuid import uuid4

from psycopg import Connection

from notaflow_pipeline_tests.reporting.daily_tables.attempt_history import add_attempt
from notaflow_pipeline_tests.testing.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page


BACKFILL_RUNS = """
SELECT r.status, count(*)
FROM dagster.runs AS r
JOIN dagster.run_tags AS t ON t.run_id = r.run_id AND t.key = 'dagster/backfill'
GROUP BY r.status
"""


def test_backfill_over_a_range_is_one_run_and_each_day_shows_its_figures(
    page: "Page", dagster_url: str, connection: Connection
) -> None:
    add_attempt(connection, uuid4(), "2026-10-31 12:00-04", "2026-10-31 12:01-04", pages=7)
    add_attempt(connection, uuid4(), "2026-11-01 00:00-04", "2026-11-01 00:01-04", outcome="failed")
    add_attempt(connection, uuid4(), "2026-11-01 23:59-05", "2026-11-01 23:59:30-05")

    launch_backfill(page, f"{dagster_url}/assets/ocr_daily_failure_rate", "[2026-10-31...2026-11-02]")
    wait_for_runs(connection)

    assert connection.execute(BACKFILL_RUNS).fetchall() == [("SUCCESS", 1)]
    asset = f"{dagster_url}/assets/ocr_daily_failure_rate"
    assert shown(page, asset, "2026-10-31", "attempt_failure_rate") == "0"
    assert shown(page, asset, "2026-11-01", "attempt_failure_rate") == "0.5"
    assert shown(page, asset, "2026-11-02", "attempts") == "0"
    performance = f"{dagster_url}/assets/ocr_daily_performance"
    assert shown(page, performance, "2026-10-31", "duration_seconds_p95") == "60"
    assert shown(page, performance, "2026-11-01", "duration_seconds_p95") == "30"


def launch_backfill(page: "Page", asset: str, days: str, *, together: bool = True) -> None:
    """Materialise these days from the asset's page; `together` if other assets are computed with it."""
    page.goto(f"{asset}?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    if together:
        page.get_by_role("button", name="Confirm").click()
    launch = page.get_by_role("button", name="Launch backfill")
    launch.wait_for()
    wanted = page.get_by_placeholder("ex: 2025-10-10").last  # the first is that of the page behind the dialog
    wanted.fill(days)
    wanted.press("Enter")
    launch.click()
    launch.wait_for(state="hidden")


def wait_for_runs(connection: Connection) -> None:
    """Wait until the backfill's runs are over."""
    wait_until(lambda: {status for status, _ in connection.execute(BACKFILL_RUNS)} & {"SUCCESS", "FAILURE"})


def shown(page: "Page", asset: str, day: str, figure: str) -> str:
    """The value beside a figure's name on the page of a day's partition."""
    page.goto(f"{asset}?view=partitions&partition={day}")
    row = page.locator("tr").filter(has=page.get_by_text(figure, exact=True))
    return row.first.locator("td").nth(1).inner_text().strip()
