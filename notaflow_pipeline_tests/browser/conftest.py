"""A page in a real browser, and `notaflow dev` behind it."""

import asyncio
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes.conftest import terminal  # noqa: F401 - a fixture
from notaflow_pipeline_tests.processes.test_together import free_port, running_dev

if TYPE_CHECKING:
    from playwright.sync_api import Page

START_SECONDS = 120
"""Dagster starts in some 15 s, on a busy machine in a minute."""

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture
def page() -> "Iterator[Page]":
    """An empty page."""
    reason = "Playwright is not installed (pip install playwright)"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("the program chromium is not installed (apt-get install chromium)")
    try:
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            yield browser.new_page(viewport={"width": 1400, "height": 900})
            browser.close()
    finally:
        # a driver that died leaves its loop marked as running in this thread, and no later test could have one
        asyncio._set_running_loop(None)


@pytest.fixture
def dagster_url(terminal: Terminal) -> Iterator[str]:  # noqa: F811 - the fixture
    """The address of a running Dagster UI on this test's database."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_dev(terminal, port):
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            assert time.monotonic() < deadline, "Dagster did not start"
            time.sleep(0.5)
        yield url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5) as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
