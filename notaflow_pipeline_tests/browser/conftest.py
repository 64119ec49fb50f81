"""A page in a real browser, and one running Dagster behind it, which all tests of this package share."""

import asyncio
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline_tests.browser.dagster import LIMIT, Dagster, all_runs
from notaflow_pipeline_tests.cli import Terminal, open_terminal
from notaflow_pipeline_tests.processes.dagster_runs import FINISHED
from notaflow_pipeline_tests.processes.dagster_ui import DagsterUI
from notaflow_pipeline_tests.testing.databases import migrated_database
from notaflow_pipeline_tests.testing.ending import kill
from notaflow_pipeline_tests.testing.ports import free_port
from notaflow_pipeline_tests.testing.processes import drop_unclaimed, running_dev, started_from
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]

ENVIRONMENT = {
    "OCR_WORKERS": "1",
    "OCR_LEASE_SECONDS": "600",  # longer than a test keeps a run waiting for a locked row
    "OCR_MAX_RUNS": "1",
    "OCR_DOCUMENTS_PER_RUN": str(LIMIT),
    "NOTAFLOW_ALERT_INTERVAL_SECONDS": "5",  # how often the checks are evaluated
}

KEPT_BY_PAGES = "cookies,indexeddb,local_storage"


@pytest.fixture(scope="package")
def dagster(
    tmp_path_factory: pytest.TempPathFactory,
    server_url: str,
    template_database: str,
    request: pytest.FixtureRequest,
) -> Iterator[Dagster]:
    """One Dagster for all tests of this package: it costs some 15 s of a core to start."""
    with migrated_database(server_url, template_database, request.node) as url:
        bare = open_terminal(tmp_path_factory.mktemp("dagster"), url)
        terminal = Terminal(bare.folder, bare.environment | ENVIRONMENT)
        ui = DagsterUI(free_port())
        try:
            with running_dev(terminal, ui.port), connect(url, limited=False) as connection:
                wait_until(ui.answers)
                wait_until(ui.serves_code)
                yield Dagster(terminal, ui, connection)
        finally:
            kill(started_from(terminal))


@pytest.fixture
def idle(dagster: Dagster) -> Dagster:
    """The same, with no run queued or under way, and without documents, attempts and daily figures."""
    drop_unclaimed(dagster.connection, but=0)
    wait_until(lambda: set(all_runs(dagster).values()) <= FINISHED)
    for table in ("extraction_queue", "ocr_attempt", "ocr_round", "ocr_daily_performance", "ocr_daily_failure_rate"):
        dagster.connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608
    return dagster


@pytest.fixture(scope="package")
def chromium() -> "Iterator[Browser]":
    """The machine's own Chromium."""
    reason = "Playwright is not installed (pip install playwright)"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the program chromium is not installed (apt-get install chromium)")
    try:
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=program, args=ARGUMENTS)
            yield browser
            browser.close()
    finally:
        # a driver that ended by itself leaves its loop marked as running in this thread, and no later test could have one
        asyncio._set_running_loop(None)


@pytest.fixture(scope="package")
def window(chromium: "Browser") -> "Page":
    """A page that all tests use in turn: a new one loads and compiles Dagster's scripts again, in two seconds of a core."""
    page = chromium.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(1000 * HANG_SECONDS)
    return page


@pytest.fixture
def page(window: "Page", dagster: Dagster) -> "Iterator[Page]":
    """An empty page, without cookies and storage of the test before."""
    yield window
    window.goto("about:blank")  # it asks for nothing while tests run that need no page
    session = window.context.new_cdp_session(window)
    session.send("Storage.clearDataForOrigin", {"origin": dagster.url, "storageTypes": KEPT_BY_PAGES})
    session.detach()
