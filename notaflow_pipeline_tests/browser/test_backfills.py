"""Tests of backfills over a range of days, launched in the UI: of the daily tables, and of requeuing exhausted documents."""

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.browser.dagster import Dagster
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.reporting.daily_tables.attempt_history import add_attempt
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page


NEWEST_BACKFILL = "SELECT key FROM dagster.bulk_actions ORDER BY id DESC LIMIT 1"

RUNS_OF_BACKFILL = """
SELECT r.status, count(*)
FROM dagster.runs AS r
JOIN dagster.run_tags AS t ON t.run_id = r.run_id AND t.key = 'dagster/backfill'
WHERE t.value = %s
GROUP BY r.status
"""

EXHAUSTED_AT = {
    "before": "2026-10-30 23:59:59-04",
    "first": "2026-10-31 00:00-04",
    "middle": "2026-11-01 12:00-05",  # a day of 25 hours
    "last": "2026-11-02 23:59:59-05",
    "after": "2026-11-03 00:00-05",
}

REQUEUED = """
SELECT q.document_number
FROM ocr_round AS r
JOIN extraction_queue AS q ON q.id = r.queue_id
ORDER BY q.document_number
"""


def test_backfill_over_a_range_is_one_run_and_each_day_shows_its_figures(page: "Page", idle: Dagster) -> None:
    connection = idle.connection
    add_attempt(connection, uuid4(), "2026-10-31 12:00-04", "2026-10-31 12:01-04", pages=7)
    add_attempt(connection, uuid4(), "2026-11-01 00:00-04", "2026-11-01 00:01-04", outcome="failed")
    add_attempt(connection, uuid4(), "2026-11-01 23:59-05", "2026-11-01 23:59:30-05")

    asset = f"{idle.url}/assets/ocr_daily_failure_rate"
    backfill = launch_backfill(page, connection, asset, "[2026-10-31...2026-11-02]")
    wait_until(lambda: statuses(connection, backfill) & {"SUCCESS", "FAILURE"})

    assert connection.execute(RUNS_OF_BACKFILL, [backfill]).fetchall() == [("SUCCESS", 1)]
    assert shown(page, asset, "2026-10-31", "attempt_failure_rate") == "0"
    assert shown(page, asset, "2026-11-01", "attempt_failure_rate") == "0.5"
    assert shown(page, asset, "2026-11-02", "attempts") == "0"
    performance = f"{idle.url}/assets/ocr_daily_performance"
    assert shown(page, performance, "2026-10-31", "duration_seconds_p95") == "60"
    assert shown(page, performance, "2026-11-01", "duration_seconds_p95") == "30"


@pytest.fixture
def exhausted(idle: Dagster) -> dict[str, UUID]:
    """Documents whose files were missing when their only attempt was made, each on a day of its own."""
    samples.png(idle.terminal.documents / "index" / "there.png")
    connection = idle.connection
    documents = {}
    idle.ui.stop_sensor("ocr_ready_sensor")  # this terminal alone reads them
    for name in EXHAUSTED_AT:
        documents[name] = enqueue_document(connection, NewDocument("index", name, f"index/{name}.png"))
        # between those that are missing: several in a row are taken for a failure of the storage
        enqueue_document(connection, NewDocument("index", f"there-{name}", "index/there.png"))
    connection.execute("UPDATE extraction_queue SET ocr_max_attempts = 1")
    assert idle.terminal.run("work", "--until-empty").returncode == 0
    connection.execute("DELETE FROM extraction_queue WHERE document_number LIKE 'there%%'", [])
    for name, at in EXHAUSTED_AT.items():
        connection.execute(
            "UPDATE ocr_attempt SET claimed_at = %s, finished_at = %s WHERE queue_id = %s", [at, at, documents[name]]
        )
        connection.execute("UPDATE extraction_queue SET ocr_last_error_at = %s WHERE id = %s", [at, documents[name]])
    idle.ui.start_sensor("ocr_ready_sensor")
    return documents


def test_backfill_over_a_range_is_one_run_and_requeues_its_days_alone(
    exhausted: dict[str, UUID], page: "Page", idle: Dagster
) -> None:
    connection, documents = idle.connection, idle.terminal.documents / "index"
    assert ends(connection) == dict.fromkeys(exhausted, (3, 1, 1, ["not_found"]))
    # the files have come since then, and one is none
    for name in exhausted:
        samples.png(documents / f"{name}.png")
    (documents / "middle.png").write_bytes(b"<html>Session expired</html>")

    asset = f"{idle.url}/assets/requeued_documents"
    backfill = launch_backfill(page, connection, asset, "[2026-10-31...2026-11-02]", together=False)
    wait_until(lambda: connection.execute(RUNS_OF_BACKFILL, [backfill]).fetchall() == [("SUCCESS", 1)])

    assert connection.execute(REQUEUED).fetchall() == [("first",), ("last",), ("middle",)]
    wait_until(lambda: ends(connection)["last"][0] == 5)
    assert ends(connection) == {
        "before": (3, 1, 1, ["not_found"]),
        "first": (5, 2, 4, ["not_found", None]),
        "middle": (3, 2, 2, ["not_found", "not_a_document"]),
        "last": (5, 2, 4, ["not_found", None]),
        "after": (3, 1, 1, ["not_found"]),
    }
    assert violated_invariants(connection) == {}


def launch_backfill(page: "Page", connection: Connection, asset: str, days: str, *, together: bool = True) -> str:
    """Materialise these days from the asset's page; `together` if other assets are computed with it. Return its id."""
    before = connection.execute(NEWEST_BACKFILL).fetchone()
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
    wait_until(lambda: connection.execute(NEWEST_BACKFILL).fetchone() != before)
    ((backfill,),) = connection.execute(NEWEST_BACKFILL).fetchall()
    return str(backfill)


def statuses(connection: Connection, backfill: str) -> set[str]:
    """How far the runs of a backfill have come."""
    return {status for status, _ in connection.execute(RUNS_OF_BACKFILL, [backfill])}


def shown(page: "Page", asset: str, day: str, figure: str) -> str:
    """The value beside a figure's name on the page of a day's partition."""
    page.goto(f"{asset}?view=partitions&partition={day}")
    row = page.locator("tr").filter(has=page.get_by_text(figure, exact=True))
    return row.first.locator("td").nth(1).inner_text().strip()


def ends(connection: Connection) -> dict[str, tuple[int, int, int, list[str | None]]]:
    """Each document's status, attempts, their maximum, and how each attempt failed."""
    rows = connection.execute(
        "SELECT q.document_number, q.status_id, q.ocr_attempts, q.ocr_max_attempts, "
        "(SELECT array_agg(a.failure_kind ORDER BY a.id) FROM ocr_attempt AS a WHERE a.queue_id = q.id) "
        "FROM extraction_queue AS q"
    ).fetchall()
    return {number: (status, attempts, most, kinds) for number, status, attempts, most, kinds in rows}
