"""A person launches runs and reads checks and config, on the pages of one running Dagster."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline_tests.browser.dagster import LIMIT, Dagster, all_runs
from notaflow_pipeline_tests.processes.dagster_runs import FINISHED, outcomes, runs
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.processes import count_at, drop_unclaimed, ready_documents
from notaflow_pipeline_tests.testing.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

DOCUMENTS = 200
"""One worker needs half a minute for them; those that no run has claimed are deleted as soon as some rows are locked."""

LOCK_CLAIMED = "SELECT FROM extraction_queue WHERE status_id = 6 FOR UPDATE SKIP LOCKED"

CHECKS = {
    "extraction_queue": 5,
    "ocr_daily_failure_rate": 4,
    "ocr_daily_performance": 3,
}
"""Checks of each asset."""


def test_ocr_text_materialised_from_its_page_waits_for_the_run_under_way(page: "Page", idle: Dagster) -> None:
    ready_documents(idle.connection, idle.terminal, DOCUMENTS)
    wait_until(lambda: outcomes(idle.connection)["succeeded"] > 0)
    (first,) = [run for run, status in runs(idle.connection).items() if status not in FINISHED]

    with waiting_for_locked_rows(idle):
        page.goto(f"{idle.url}/assets/ocr_text")
        page.get_by_role("button", name="Materialize").first.click()
        page.get_by_text("Launched run").wait_for()
        page.get_by_text("View", exact=True).first.click()
        page.get_by_text("This run is queued for execution").wait_for()
        second = page.url.rpartition("/")[2]

        # the daemon passes it over: a run that was launched later begins
        later = idle.ui.launch("ocr_recovery_job")
        wait_until(lambda: idle.ui.status(later) == "SUCCESS")
        assert (idle.ui.status(first), idle.ui.status(second)) == ("STARTED", "QUEUED")
        page.goto(f"{idle.url}/runs")
        page.get_by_text("Queued (1)").click()
        page.get_by_text("View queue criteria").click()
        pools = page.get_by_role("row").filter(has_text="Pools")
        pools.get_by_text("ocr", exact=True).first.wait_for()

    wait_until(lambda: idle.ui.status(first) == "SUCCESS")
    wait_until(lambda: idle.ui.status(second) == "SUCCESS")
    assert outcomes(idle.connection).keys() == {"succeeded"}
    assert count_at(idle.connection, 6) == 0
    assert violated_invariants(idle.connection) == {}


@contextmanager
def waiting_for_locked_rows(dagster: Dagster) -> Iterator[None]:
    """Lock the rows of claimed documents, so that their run waits and reads nothing until the block ends."""
    with connect(dagster.terminal.environment["NOTAFLOW_DATABASE_URL"], limited=False) as other, other.transaction():
        wait_until(lambda: other.execute(LOCK_CLAIMED).rowcount > 0)
        drop_unclaimed(dagster.connection, but=0)
        yield


def test_checks_are_evaluated_and_the_queue_is_observed(page: "Page", idle: Dagster) -> None:
    ready_documents(idle.connection, idle.terminal, 1)
    wait_until(lambda: outcomes(idle.connection)["succeeded"] > 0)
    wait_until(lambda: set(runs(idle.connection).values()) <= FINISHED)
    today = str(datetime.now(UTC).astimezone(ZoneInfo("America/Toronto")).date())
    computed = idle.ui.launch("ocr_today_job", **{"dagster/partition": today})
    wait_until(lambda: idle.ui.status(computed) == "SUCCESS")

    for asset, checks in CHECKS.items():
        page.goto(f"{idle.url}/assets/{asset}?view=checks")
        page.get_by_text(f"Checks ({checks})").wait_for()
        succeeded(page).nth(checks - 1).wait_for()
        assert page.get_by_text("Not Evaluated").count() == 0

    page.goto(f"{idle.url}/assets/extraction_queue?view=overview")
    page.get_by_text("Latest observation").wait_for()
    assert page.get_by_text("Never", exact=False).count() == 0
    for column in ("status_id", "supabase_path", "file_content"):
        page.get_by_role("row").filter(has=page.get_by_text(column, exact=True)).first.wait_for()
    for figure in ("ready", "active", "backing_off", "exhausted", "oldest_waiting_seconds"):
        row = page.locator("tr").filter(has=page.get_by_text(figure, exact=True)).first
        row.wait_for()
        assert float(row.locator("td").last.inner_text()) >= 0


def test_observe_counts_the_queue_at_once(page: "Page", idle: Dagster) -> None:
    page.goto(f"{idle.url}/assets/extraction_queue?view=events")
    before = observations(idle)
    page.get_by_role("button", name="Observe").first.click()
    page.get_by_text("Launched run").wait_for()
    wait_until(lambda: set(all_runs(idle).values()) <= FINISHED and observations(idle) == before + 1)


def observations(dagster: Dagster) -> int:
    """How often the queue was observed."""
    row = dagster.connection.execute(
        "SELECT count(*) FROM dagster.event_logs WHERE dagster_event_type = 'ASSET_OBSERVATION'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_report_page_is_downloaded_from_its_asset_and_opens(page: "Page", idle: Dagster, tmp_path: Path) -> None:
    run = idle.ui.launch("dashboard_job")
    wait_until(lambda: idle.ui.status(run) == "SUCCESS")
    page.goto(f"{idle.url}/assets/ocr_dashboard?view=overview")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the newest page").first.click()
    download.value.save_as(tmp_path / "page.html")
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("html[data-drawn]")
    assert page.locator(".tile:visible").count() > 0


def succeeded(page: "Page") -> "Locator":
    """The marks of checks that passed, in the list of an asset's checks."""
    return page.get_by_text("Succeeded", exact=True)


def test_launchpad_of_ocr_job_shows_the_limit_with_its_description(page: "Page", dagster: Dagster) -> None:
    page.goto(f"{dagster.url}/locations/notaflow_pipeline/jobs/ocr_job/playground")
    page.locator(".CodeMirror-line").filter(has_text=f"limit: {LIMIT}").click()
    page.get_by_text("Documents in this run at most; OCR_DOCUMENTS_PER_RUN if not given.").wait_for()


def test_pages_of_resources_and_assets_show_settings_columns_and_source_files(page: "Page", dagster: Dagster) -> None:
    page.goto(f"{dagster.url}/locations/notaflow_pipeline/resources/engine")
    row = page.locator("tr").filter(has=page.get_by_text("OCR_WORKERS", exact=True))
    row.filter(has_text='"1"').wait_for()
    row.get_by_text("from: environment", exact=True).wait_for()
    page.goto(f"{dagster.url}/assets/ocr_attempt?view=overview")
    page.get_by_role("link", name="daily_tables.py").first.wait_for()
    page.get_by_role("row").filter(has=page.get_by_text("lease_expires_at", exact=True)).first.wait_for()
    page.get_by_text("personal-data: no").first.wait_for()
