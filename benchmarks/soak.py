"""Disk, connections and memory of an idle and of a busy day: the real product over an hour, sampled every 15 seconds.

A copy of this checkout runs in a folder of its own as `notaflow dev` does: embedded PostgreSQL, webserver, daemon, code
server, every sensor and schedule. First it is idle; then documents are enqueued in small batches, some of them damaged,
and the list of runs is requested. At the end everything that it has written is made a year old by SQL, and housekeeping
runs: what it removes does not grow without limit. Samples are written as they are taken, so a run that is cut short can
still be drawn.

`--phase ticks` evaluates every sensor again and again, as fast as they answer, which shows in minutes what days of ticks
leave in memory.

usage: python -m benchmarks.soak [--minutes 60] [--phase both|idle|busy|ticks] [--pages FOLDER]
       python -m benchmarks.soak --draw benchmarks/results/soak.jsonl
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any, TextIO

import httpx
import psycopg

from benchmarks.paths import PAGES, PROJECT, RESULTS, page_images
from benchmarks.soak_report import report
from benchmarks.soak_sampling import count_connections, sample
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.processes.dagster_ui import CODE, DagsterUI
from notaflow_pipeline_tests.testing.ports import free_port

PRODUCT = ("notaflow_pipeline", "deploy", "migrations", "dagster.yaml", "workspace.yaml", "pyproject.toml")

SAMPLE_SECONDS = 15.0
IDLE_SHARE = 1 / 3
START_SECONDS = 240.0
EMPTY_SECONDS = 180.0
HOUSEKEEPING_SECONDS = 240.0

BATCHES = ((1, 8), (2, 4), (1, 14), (1, 4))
"""Photographed pages and small pages of each batch, in turn. One batch is one Dagster run, as when documents are few."""

LIST_OF_RUNS = """
query {
  runsOrError(limit: 25) {
    ... on Runs { results { id status startTime endTime jobName tags { key value } stats { __typename } } }
  }
}
"""

SENSORS = """
query {
  repositoryOrError(
    repositorySelector: {repositoryLocationName: "notaflow_pipeline", repositoryName: "__repository__"}
  ) { ... on Repository { sensors { name } } }
}
"""

EVALUATE = """
mutation ($sensor: SensorSelector!) { sensorDryRun(selectorData: $sensor, cursor: null) { __typename } }
"""

OLDER = {
    "runs": """
        UPDATE dagster.runs
        SET create_timestamp = create_timestamp - interval '400 days',
            update_timestamp = update_timestamp - interval '400 days',
            start_time = start_time - 400 * 86400,
            end_time = end_time - 400 * 86400
    """,
    "events": "UPDATE dagster.event_logs SET timestamp = timestamp - interval '400 days'",
    "check results": """
        UPDATE dagster.asset_check_executions
        SET evaluation_event_timestamp = evaluation_event_timestamp - interval '400 days'
    """,
    # a schedule whose last tick is old would catch up on a year
    "ticks": "UPDATE dagster.job_ticks SET timestamp = timestamp - interval '400 days' WHERE type = 'SENSOR'",
}


@dataclass(frozen=True)
class Installation:
    """A running installation in a separate folder."""

    folder: Path
    dev: "subprocess.Popen[bytes]"
    ui: DagsterUI
    connection: psycopg.Connection

    def wait_until_read(self) -> None:
        """Waits until no document is ready or claimed, at most three minutes."""
        give_up_at = time.monotonic() + EMPTY_SECONDS
        unfinished = (
            "SELECT EXISTS (SELECT FROM extraction_queue WHERE status_id = 6 OR status_id = 3 AND ocr_attempts = 0)"
        )
        while self.connection.execute(unfinished).fetchone() == (True,) and time.monotonic() < give_up_at:
            time.sleep(1)


def main() -> None:
    """Soaks, or draws the samples of a soak."""
    arguments = _arguments()
    if arguments.draw is None:
        RESULTS.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="notaflow-soak-") as name, arguments.samples.open("w") as written:
            _soak(Path(name), written, arguments)
    report(arguments.draw or arguments.samples, arguments.picture)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="a third of it idle")
    parser.add_argument("--phase", choices=["both", "idle", "busy", "ticks"], default="both")
    parser.add_argument("--batch-seconds", type=float, default=40, help="between two batches of documents")
    parser.add_argument("--pages", type=Path, default=PAGES)
    parser.add_argument("--samples", type=Path, default=RESULTS / "soak.jsonl")
    parser.add_argument("--picture", type=Path, default=PROJECT / "docs" / "soak.png")
    parser.add_argument("--draw", type=Path, help="report on these samples instead of taking any")
    return parser.parse_args()


def _soak(folder: Path, written: TextIO, arguments: argparse.Namespace) -> None:
    def write(kind: str, **figures: Any) -> None:
        written.write(json.dumps({"kind": kind, "at": time.time(), **figures}) + "\n")
        written.flush()

    minutes = {"idle": arguments.minutes * IDLE_SHARE, "busy": arguments.minutes * (1 - IDLE_SHARE)}
    if arguments.phase != "both":
        minutes = {arguments.phase: arguments.minutes}
    began = datetime.now(UTC).isoformat(timespec="minutes")
    write("soak", began=began, minutes=minutes, batch_seconds=arguments.batch_seconds, cores=os.cpu_count())
    with _installation(folder) as installation:
        for phase, length in minutes.items():
            print(f"{datetime.now(UTC):%H:%M} {phase}, {length:.0f} minutes", flush=True)
            if phase == "ticks":
                _evaluate(installation, 60 * length, write)
                return
            batches = _batches(installation, arguments) if phase == "busy" else None
            _phase(installation, phase, 60 * length, arguments.batch_seconds, batches, write)
        installation.wait_until_read()
        print(f"{datetime.now(UTC):%H:%M} making it old, then housekeeping", flush=True)
        _run_housekeeping(installation, write)


@contextmanager
def _installation(folder: Path) -> Iterator[Installation]:
    """Starts the product; all of it is ended and removed afterwards."""
    for name in PRODUCT:
        of = PROJECT / name
        copy = folder / "project" / name
        shutil.copytree(of, copy, symlinks=True) if of.is_dir() else shutil.copy(of, _parent_of(copy))
    for name in ("temporary", "documents/index"):
        (folder / name).mkdir(parents=True)
    ours = ("NOTAFLOW_", "OCR_", "DAGSTER_", "SUPABASE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "NOTAFLOW_HOME": str(folder / "home"),
        "NOTAFLOW_DOCUMENTS_URL": str(folder / "documents"),
        "NOTAFLOW_ALERT_EXHAUSTED_HOURS": "0",
        "OCR_WORKERS": "1",
        "TMPDIR": str(folder / "temporary"),
        "PYTHONPATH": str(folder / "project"),
    }
    ui = DagsterUI(free_port())
    command = [str(Path(sys.executable).with_name("notaflow")), "dev", "--no-samples", "--port", str(ui.port)]
    with (folder / "dev.log").open("wb") as log:
        dev = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        give_up_at = time.monotonic() + START_SECONDS
        while not (ui.answers() and ui.serves_code()):
            if dev.poll() is not None or time.monotonic() > give_up_at:
                sys.exit(f"it does not start:\n{(folder / 'dev.log').read_text(errors='replace')[-3000:]}")
            time.sleep(1)
        url = running_database_url(Settings.model_validate({"NOTAFLOW_HOME": folder / "home"}))
        with psycopg.connect(url, autocommit=True, application_name="soak") as connection:
            yield Installation(folder, dev, ui, connection)
    finally:
        dev.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            dev.wait(timeout=60)
        dev.kill()


def _parent_of(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _batches(installation: Installation, arguments: argparse.Namespace) -> Iterator[int]:
    """Enqueue the next batch at every step, and yield how many documents it was."""
    folder = installation.folder / "documents" / "index"
    photographed = page_images(arguments.pages)
    if not photographed:
        print(f"no page images in {arguments.pages}: the documents are small drawn pages alone")
    for file in photographed:
        shutil.copy(file, folder)
    samples.png(folder / "small.png", "Vente du lot 3 770 292\nHypothèque 75 000,00 $\nQuittance 2019-05-31")
    (folder / "damaged.pdf").write_bytes(b"%PDF-1.7\nthis is where it ends")
    pages = cycle(file.name for file in photographed)
    for number, (large, small) in enumerate(cycle(BATCHES)):
        names = [next(pages) for _ in range(large if photographed else 0)] + ["small.png"] * small
        names += ["damaged.pdf"] if number % 4 == 3 else []
        with installation.connection.transaction():
            for place, name in enumerate(names):
                document = NewDocument("index", f"{number} {place:03d}", f"index/{name}")
                enqueue_document(installation.connection, document)
        yield len(names)


def _phase(
    installation: Installation,
    name: str,
    seconds: float,
    batch_seconds: float,
    batches: Iterator[int] | None,
    write: Any,
) -> None:
    """Takes samples until the time is over; with batches, enqueues them and requests pages of the UI."""
    began = time.monotonic()
    next_sample = next_batch = began
    connections = [0]
    enqueued = 0
    while time.monotonic() < began + seconds:
        if installation.dev.poll() is not None:
            sys.exit("it ended by itself: dev.log says why")
        if batches is not None and time.monotonic() >= next_batch:
            enqueued += next(batches)
            next_batch += batch_seconds
        if time.monotonic() >= next_sample:
            if batches is not None:
                _request_runs(installation.ui)
            figures = sample(installation.connection, installation.dev.pid, installation.folder)
            figures |= {"connections: most": max(connections), "connections: fewest": min(connections)}
            write("sample", phase=name, seconds=time.monotonic() - began, enqueued=enqueued, figures=figures)
            connections = []
            next_sample += SAMPLE_SECONDS
        connections.append(count_connections(installation.connection))
        time.sleep(1)


def _evaluate(installation: Installation, seconds: float, write: Any) -> None:
    """Evaluates the sensors in turn until the time is over, as Dagster's daemon does at each tick, and takes samples."""
    url = f"http://127.0.0.1:{installation.ui.port}/graphql"
    with httpx.Client(timeout=60) as client:
        found = client.post(url, json={"query": SENSORS}).json()["data"]["repositoryOrError"]["sensors"]
        sensors = [CODE | {"sensorName": sensor["name"]} for sensor in found]
        began = time.monotonic()
        next_sample, evaluated = began, 0
        while time.monotonic() < began + seconds:
            if time.monotonic() >= next_sample:
                figures = sample(installation.connection, installation.dev.pid, installation.folder)
                write(
                    "sample",
                    phase="ticks",
                    seconds=time.monotonic() - began,
                    enqueued=0,
                    figures=figures | {"evaluations": evaluated},
                )
                next_sample += SAMPLE_SECONDS
            for sensor in sensors:
                answer = client.post(url, json={"query": EVALUATE, "variables": {"sensor": sensor}}).json()
                if answer["data"]["sensorDryRun"]["__typename"] != "DryRunInstigationTick":
                    sys.exit(f"{sensor['sensorName']} was not evaluated: {answer}")
                evaluated += 1


def _request_runs(ui: DagsterUI) -> None:
    with suppress(httpx.HTTPError):  # a busy machine answers late; the next request follows soon
        httpx.post(f"http://127.0.0.1:{ui.port}/graphql", json={"query": LIST_OF_RUNS}, timeout=30)


def _run_housekeeping(installation: Installation, write: Any) -> None:
    """Makes all rows and files a year old, runs housekeeping, and records the state before and after."""
    connection = installation.connection
    before = sample(connection, installation.dev.pid, installation.folder)
    for statement in OLDER.values():
        connection.execute(statement.encode())
    run = installation.ui.launch("housekeeping_job")
    give_up_at = time.monotonic() + HOUSEKEEPING_SECONDS
    while (status := installation.ui.status(run)) not in {"SUCCESS", "FAILURE"} and time.monotonic() < give_up_at:
        time.sleep(1)
    time.sleep(75)  # ticks are purged by the next tick of each sensor, and the rarest has one a minute
    connection.execute("VACUUM FULL")
    after = sample(connection, installation.dev.pid, installation.folder)
    write("housekeeping", status=status, before=before, after=after)


if __name__ == "__main__":
    main()
