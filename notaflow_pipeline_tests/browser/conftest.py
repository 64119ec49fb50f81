"""A page in a real browser, and `notaflow dev` behind it."""

import asyncio
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes.conftest import terminal  # noqa: F401 - a fixture
from notaflow_pipeline_tests.processes.test_together import running_dev
from notaflow_pipeline_tests.testing.ports import answers, free_port
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
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


@pytest.fixture
def page(chromium: "Browser") -> "Iterator[Page]":
    """An empty page, with cookies and storage of its own."""
    page = chromium.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(1000 * HANG_SECONDS)
    yield page
    page.close()


@pytest.fixture
def dagster_url(terminal: Terminal) -> Iterator[str]:  # noqa: F811 - the fixture
    """The address of a running Dagster UI on this test's database."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_dev(terminal, port):
        wait_until(lambda: answers(f"{url}/server_info"))
        yield url
