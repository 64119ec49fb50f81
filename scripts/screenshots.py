"""Takes the README's screenshots through headless Chromium: of a running Dagster UI, and of a report.

    pip install playwright            # its own browser is not needed

Start `make dev`, wait until the samples are read, then:

    python scripts/screenshots.py http://127.0.0.1:3000 docs

The report needs nothing running; it shows an invented quarter:

    python scripts/screenshots.py report docs
"""

import json
import sys
import tempfile
import urllib.request
from datetime import date, timedelta
from pathlib import Path

import psycopg
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from notaflow_pipeline.embedded import embedded_database
from notaflow_pipeline.queue.migrating import migrate
from notaflow_pipeline.reporting.figures import QueueNow, gather_figures
from notaflow_pipeline.reporting.page import render_page, write_page
from notaflow_pipeline_tests.reporting import history

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
LATEST_RUN = (
    '{runsOrError(limit: 1, filter: {statuses: [SUCCESS], pipelineName: "ocr_job"}) {... on Runs {results {runId}}}}'
)


def main() -> None:
    """Take each picture."""
    base, folder = sys.argv[1].rstrip("/"), Path(sys.argv[2])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        if base == "report":
            take_report(browser, folder)
            browser.close()
            return
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        take(page, f"{base}/asset-groups", folder / "lineage.png")
        take(page, f"{base}/assets/ocr_text?view=overview", folder / "asset.png")
        take(page, f"{base}/runs/{latest_run(base)}", folder / "run.png")
        browser.close()


def take(page: Page, url: str, target: Path) -> None:
    """Open a page of the UI, wait until it has settled, and save what is seen."""
    page.goto(url)
    page.wait_for_timeout(9000)  # the UI polls for ever, so there is no idle moment to wait for
    page.screenshot(path=target)
    print(f"{target}: {page.title()}")


def take_report(browser: Browser, folder: Path) -> None:
    """Write a report of an invented history, and save it as a desktop and as a phone show it."""
    with tempfile.TemporaryDirectory(prefix="notaflow-report-") as home:
        target = Path(home, "report.html")
        write_page(invented_report(Path(home)), target)
        for name, width, height, scale in (("report", 1280, None, 1.0), ("report-phone", 390, 2400, 1.5)):
            view = {"width": width, "height": height or 900}
            page = browser.new_page(viewport=view, device_scale_factor=scale, locale="fr-CA", offline=True)  # type: ignore[arg-type]
            page.goto(target.as_uri())
            page.wait_for_selector("html[data-drawn]")
            page.screenshot(path=folder / f"{name}.png", full_page=height is None)
            page.close()
            # few colours: a third of the bytes
            taken = Image.open(folder / f"{name}.png").convert("RGB")
            taken.quantize(256, method=Image.Quantize.FASTOCTREE).save(folder / f"{name}.png", optimize=True)
            print(folder / f"{name}.png")


def invented_report(home: Path) -> str:
    """Return the page of a quarter that never was."""
    until = date(2026, 11, 22)
    with embedded_database(home) as url:
        migrate(url, sources=["index"])
        with psycopg.connect(url, autocommit=True) as connection:
            history.add_history(connection, until=until, days=90)
            history.add_documents(connection, until=until)
            queue = QueueNow(
                ready=1284, active=4, stuck=1, backing_off=37, exhausted=52, done=214_331, oldest_waiting_seconds=5400
            )
            since = until - timedelta(days=89)
            figures = gather_figures(connection, queue=queue, since=since, until=until, timezone="America/Toronto")
    return render_page(figures)


def latest_run(base: str) -> str:
    """Return the newest successful OCR run."""
    question = json.dumps({"query": LATEST_RUN}).encode()
    request = urllib.request.Request(  # noqa: S310 - the address is the operator's own
        f"{base}/graphql", question, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return str(json.load(answer)["data"]["runsOrError"]["results"][0]["runId"])


if __name__ == "__main__":
    main()
