"""Fixtures of report tests: a function that reads report data, and a browser without network."""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from typing import TYPE_CHECKING

import pytest
from psycopg import Connection

from notaflow_pipeline.reporting.report.report_data import QueueSnapshot, ReportData, read_report_data

if TYPE_CHECKING:
    from playwright.sync_api import Browser

UNTIL = date(2026, 11, 22)

EMPTY_QUEUE = QueueSnapshot(0, 0, 0, 0, 0, 0, None)

Gather = Callable[..., ReportData]


@pytest.fixture
def gather(connection: Connection) -> Gather:
    """ReportData of this test's database, of a month unless told."""

    def figures(since: date = date(2026, 10, 24), queue: QueueSnapshot = EMPTY_QUEUE) -> ReportData:
        return read_report_data(connection, queue=queue, since=since, until=UNTIL, timezone="America/Toronto")

    return figures


# not for the whole session: while Playwright is started, no other event loop can run in this thread, and Dagster wants one
@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """The machine's own Chromium; tests that want it skip where it is not."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here to look at pages with (install chromium, or name one in CHROMIUM)")
    with sync_api.sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield one
        one.close()
