"""Takes the README's screenshots through headless Chromium: of a running Dagster UI, a report, and a document.

    pip install playwright            # its own browser is not needed
    python -m scripts.screenshots dagster docs
    python -m scripts.screenshots report docs
    python -m scripts.screenshots view docs

All need nothing running. The first starts `notaflow dev` in a folder of its own, has a few samples read beside an invented
history, and computes its daily tables; it takes some three minutes. The second shows an invented quarter,
the third a handwritten sample beside its text.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from notaflow_pipeline.atomic_files import write_atomically
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.dev_server import SAMPLES
from notaflow_pipeline.local.embedded_postgres import embedded_database, running_database_url
from notaflow_pipeline.reporting.report.html_page import render_page
from notaflow_pipeline.reporting.report.report_data import QueueSnapshot, read_report_data
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.processes.dagster_ui import DagsterUI
from notaflow_pipeline_tests.reporting import daily_table_rows
from notaflow_pipeline_tests.reporting.daily_tables import attempt_history
from notaflow_pipeline_tests.testing.ports import free_port

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]

ZONE = ZoneInfo("America/Toronto")
DAYS = 45

READ = ("3_770_292", "1_925_634", "5_230_418", "87-3", "6_018_553", "733-12", "3_881_470", "2_611_905", "1_450_226")
"""Samples of a page or three, and three that nobody can read, by how their names begin."""

LEFT = """
SELECT count(*)
FROM extraction_queue
WHERE document_source = 'index'
  AND status_id <> 5
  AND ocr_attempts < ocr_max_attempts
"""

# as if what cannot be read had failed the day before yesterday, and nobody had looked at it since
AGE_FAILURES = """
UPDATE extraction_queue
SET ocr_last_error_at = ocr_last_error_at - interval '30 hours'
WHERE ocr_attempts >= ocr_max_attempts
  AND status_id <> 5
"""

LATEST_RUN = """
SELECT run_id
FROM dagster.runs
WHERE pipeline_name = 'ocr_job'
  AND status = 'SUCCESS'
ORDER BY id
LIMIT 1
"""


def main() -> None:
    """Take each picture."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        if what == "report":
            take_report(browser, folder)
        elif what == "view":
            take_view(browser, folder)
        else:
            with dagster_after_some_weeks() as (base, run):
                take_dagster(browser, base, run, folder)
        browser.close()


def take_dagster(browser: Browser, base: str, run: str, folder: Path) -> None:
    """Save what a person sees: the assets, a batch, what the days came to, and what is alarming."""
    page = browser.new_page(viewport={"width": 1280, "height": 1100})
    take(page, f"{base}/assets/ocr_text?view=overview", folder / "asset.png", shows="pages_text_layer")
    page.set_viewport_size({"width": 1280, "height": 760})
    take(page, f"{base}/runs/{run}", folder / "run.png", shows="RUN_SUCCESS")
    check = "exhausted_acknowledged"
    url = f"{base}/assets/extraction_queue?view=checks&checkDetail={check}"
    take(page, url, folder / "check.png", shows="Latest execution")
    page.set_viewport_size({"width": 1280, "height": 1100})
    url = f"{base}/assets/ocr_daily_failure_rate?view=overview"
    take(page, url, folder / "plots.png", shows="attempts_stuck", then=show_plots)
    page.set_viewport_size({"width": 1280, "height": 760})
    url = f"{base}/asset-groups?expanded=global@global:daily,global@global:ocr"
    take(page, url, folder / "lineage.png", shows="requeued_documents")


def take(page: Page, url: str, target: Path, *, shows: str, then: Callable[[Page], None] | None = None) -> None:
    """Open a page of the UI, wait until it shows a text, do `then` what a person would, and save what is seen."""
    page.goto(url)
    page.get_by_text(shows).first.wait_for(timeout=120_000)
    page.wait_for_timeout(9000)  # the UI polls for ever, so there is no idle moment to wait for
    if then is not None:
        then(page)
        page.wait_for_timeout(4000)
    page.screenshot(path=target)
    compress(target)
    print(f"{target}: {page.title()}")


def show_plots(page: Page) -> None:
    """Show the figures of the days as plots."""
    plots = page.get_by_role("button", name="Plots")
    plots.click()
    page.wait_for_timeout(2000)
    plots.evaluate("button => button.scrollIntoView()")


def compress(picture: Path) -> None:
    """Keep few colours: a third of the bytes."""
    taken = Image.open(picture).convert("RGB")
    taken.quantize(256, method=Image.Quantize.FASTOCTREE).save(picture, optimize=True)


@contextmanager
def dagster_after_some_weeks() -> Iterator[tuple[str, str]]:
    """Run `notaflow dev` on an invented history and some samples; yield the UI's address and a run that read documents."""
    with tempfile.TemporaryDirectory(prefix="notaflow-dev-") as folder:
        ui = DagsterUI(free_port())
        environment = own_environment(folder) | {"NOTAFLOW_ALERT_INTERVAL_SECONDS": "10"}
        notaflow = Path(sys.executable).with_name("notaflow")
        last = datetime.now(ZONE).date()
        with embedded_database(Path(folder)) as url:
            migrate(url, sources=["index"])
            with psycopg.connect(url) as connection:
                invent_attempts(connection, last)
            files = [file for name in READ for file in SAMPLES.glob(f"{name}-*")]
            subprocess.run([notaflow, "enqueue", *files], env=environment, check=True)
        dev = subprocess.Popen([notaflow, "dev", "--no-samples", "--port", str(ui.port)], env=environment)
        try:
            wait(ui.answers)
            url = running_database_url(Settings(NOTAFLOW_HOME=Path(folder), NOTAFLOW_DATABASE_URL=None))
            with psycopg.connect(url, autocommit=True) as connection:
                wait(lambda: number(connection, LEFT) == 0)
                connection.execute(AGE_FAILURES)
                first = last - timedelta(days=DAYS)
                finish(ui, "ocr_daily_job", first, last)
                finish(ui, "dashboard_job")
                time.sleep(25)  # for the checks, which are asked every ten seconds
                (run,) = connection.execute(LATEST_RUN).fetchone() or ("",)
                yield f"http://127.0.0.1:{ui.port}", run
        finally:
            dev.send_signal(signal.SIGINT)
            dev.wait()


def invent_attempts(connection: psycopg.Connection, last: date) -> None:
    """Add some weeks before `last`: quiet weekends, a few failures, and one day on which the storage was unavailable."""
    rng = random.Random(1)
    for back in range(DAYS, 0, -1):
        day = last - timedelta(days=back)
        start = datetime(day.year, day.month, day.day, 8, tzinfo=ZONE)
        for _ in range(rng.randint(8, 16) if day.weekday() > 4 else rng.randint(50, 90)):
            claimed = start + timedelta(hours=rng.uniform(0, 10))
            ended = claimed + timedelta(seconds=rng.lognormvariate(2.6, 0.6))
            failed = rng.random() < (0.3 if back == 12 else 0.03)
            attempt_history.add_attempt(
                connection,
                uuid4(),
                claimed,
                ended,
                outcome="failed" if failed else "succeeded",
                failure_kind=rng.choice(["timeout", "not_found", "encrypted"]) if failed else None,
                pages=None if failed else rng.randint(1, 14),
                mean_confidence=None if failed else rng.gauss(86, 4),
                coverage=None if failed else 1 - rng.betavariate(1.5, 20),
                ready_at=claimed - timedelta(seconds=rng.expovariate(1 / 60)),
                exhausted=rng.random() < 0.3 if failed else None,
            )


def finish(ui: DagsterUI, job: str, first: date | None = None, last: date | None = None) -> None:
    """Launch a run of a job, for a range of days where one is given, and wait until it has succeeded."""
    days = {"start": first, "end": last} if first else {}
    run = ui.launch(job, **{f"dagster/asset_partition_range_{end}": str(day) for end, day in days.items()})
    wait(lambda: ui.status(run) in {"SUCCESS", "FAILURE"})
    if ui.status(run) == "FAILURE":
        raise SystemExit(f"{job} failed")


def wait(happened: Callable[[], bool]) -> None:
    """Wait for something, for ten minutes at most."""
    deadline = time.monotonic() + 600
    while not happened():
        if time.monotonic() > deadline:
            raise SystemExit("it did not happen within ten minutes")
        time.sleep(0.5)


def number(connection: psycopg.Connection, question: str) -> int:
    """Return the one number that a query answers."""
    (count,) = connection.execute(question).fetchone() or (0,)  # type: ignore[call-overload]
    return int(count)


def take_report(browser: Browser, folder: Path) -> None:
    """Write a report of an invented history, and save it as a desktop and as a phone show it."""
    with tempfile.TemporaryDirectory(prefix="notaflow-report-") as home:
        target = Path(home, "report.html")
        write_atomically(invented_report(Path(home)), target)
        for name, width, height, scale in (("report", 1280, None, 1.0), ("report-phone", 390, 2400, 1.5)):
            view = {"width": width, "height": height or 900}
            page = browser.new_page(viewport=view, device_scale_factor=scale, locale="fr-CA", offline=True)  # type: ignore[arg-type]
            page.goto(target.as_uri())
            page.wait_for_selector("html[data-drawn]")
            page.screenshot(path=folder / f"{name}.png", full_page=height is None)
            page.close()
            compress(folder / f"{name}.png")
            print(folder / f"{name}.png")


def take_view(browser: Browser, folder: Path) -> None:
    """Read a handwritten sample, and save the page that shows it beside its text."""
    with tempfile.TemporaryDirectory(prefix="notaflow-view-") as home:
        environment = own_environment(home)
        notaflow = Path(sys.executable).with_name("notaflow")
        sample = Path(home, "212.pdf")  # `enqueue` takes the document's number from the name
        shutil.copy(next(SAMPLES.glob("212-*")), sample)
        for command in (["enqueue", sample], ["work", "--json"], ["view", sample.stem, "--no-open"]):
            subprocess.run([notaflow, *command], env=environment, check=True)
        page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-CA", offline=True)
        page.goto(next(Path(home, "views").glob("*.html")).as_uri())
        page.screenshot(path=folder / "view.png")
        compress(folder / "view.png")
        print(folder / "view.png")


def own_environment(home: str) -> dict[str, str]:
    """Return the environment without any setting but where the home is."""
    ours = ("NOTAFLOW_", "OCR_", "DAGSTER_", "SUPABASE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return environment | {"NOTAFLOW_HOME": home}


def invented_report(home: Path) -> str:
    """Return the page of a quarter that never was."""
    until = date(2026, 11, 22)
    with embedded_database(home) as url:
        migrate(url, sources=["index"])
        with psycopg.connect(url, autocommit=True) as connection:
            daily_table_rows.add_history(connection, until=until, days=90)
            daily_table_rows.add_documents(connection, until=until)
            queue = QueueSnapshot(
                ready=1284, active=4, stuck=1, backing_off=37, exhausted=52, done=214_331, oldest_waiting_seconds=5400
            )
            since = until - timedelta(days=89)
            figures = read_report_data(connection, queue=queue, since=since, until=until, timezone="America/Toronto")
    return render_page(figures)


if __name__ == "__main__":
    main()
