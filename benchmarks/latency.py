"""Measures how long a ready document waits for its claim under `notaflow dev`: from idle, and while a run is active.

Starts `notaflow dev --no-samples` with a home of its own, adds one-page documents at random moments, and reads the times of
the database's clock: creation of the row and of the run, start of the run, claim. From idle, no run exists when the
document is added, and the moment is random within Dagster's 5 s; while a run is active, documents follow each other by 1 to
4 s.

usage: python -m benchmarks.latency [--documents N] [--port PORT] [--json FILE]
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from PIL import Image, ImageDraw
from psycopg import Connection
from psycopg.rows import class_row

from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import load_settings

START_SECONDS = 180.0
CLAIM_SECONDS = 120.0

RUNS_ALIVE = """
SELECT count(*)
FROM dagster.runs
WHERE status IN ('QUEUED', 'NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING')
"""

# Dagster keeps times without a zone, in UTC, and as seconds.
WAIT = """
SELECT EXTRACT(EPOCH FROM a.claimed_at - q.created_at)::float AS seconds,
       EXTRACT(EPOCH FROM r.create_timestamp AT TIME ZONE 'UTC' - q.created_at)::float AS until_run,
       (r.start_time - EXTRACT(EPOCH FROM r.create_timestamp AT TIME ZONE 'UTC'))::float AS until_start,
       (EXTRACT(EPOCH FROM a.claimed_at) - r.start_time)::float AS until_claim
FROM extraction_queue AS q
JOIN ocr_attempt AS a ON a.queue_id = q.id
JOIN dagster.runs AS r ON r.run_id = a.run_id
WHERE q.id = %(id)s
  AND r.start_time IS NOT NULL
ORDER BY a.id
LIMIT 1
"""


@dataclass(frozen=True)
class Wait:
    """The wait of one document, by part: a tick of the sensor, the run's queue and process, the claim."""

    seconds: float
    until_run: float
    until_start: float
    until_claim: float


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    rng = random.Random(18)
    with (
        tempfile.TemporaryDirectory(prefix="notaflow-latency-") as home,
        _dev(Path(home), arguments.port) as connection,
    ):
        _wait_for(connection, _add(connection, Path(home), "first"))
        idle = list(_from_idle(connection, Path(home), rng, arguments.documents))
        active = list(_while_active(connection, Path(home), rng, arguments.documents))
    _print("from idle", idle)
    _print("while a run is active", active)
    if arguments.json:
        found = {"idle": [asdict(one) for one in idle], "active": [asdict(one) for one in active]}
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=12, help="in each of the two measurements")
    parser.add_argument("--port", type=int, default=3987)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextmanager
def _dev(home: Path, port: int) -> Iterator[Connection]:
    """Runs `notaflow dev`, and yields a connection to its database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NOTAFLOW_", "OCR_", "DAGSTER_"))}
    os.environ.clear()
    os.environ.update({**kept, "NOTAFLOW_HOME": str(home)})
    program = str(Path(sys.executable).with_name("notaflow"))
    command = [program, "dev", "--no-samples", "--port", str(port)]
    with (home / "dev.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as dev:
        try:
            with psycopg.connect(_database_of(dev), autocommit=True) as connection:
                yield connection
        finally:
            dev.send_signal(signal.SIGINT)
            dev.wait(timeout=60)


def _database_of(dev: subprocess.Popen[bytes]) -> str:
    give_up_at = time.monotonic() + START_SECONDS
    while True:
        try:
            url = running_database_url(load_settings())
            with psycopg.connect(url) as connection:
                connection.execute("SELECT FROM ocr_attempt, dagster.runs")
        except (DatabaseUnavailable, psycopg.Error):
            if dev.poll() is not None or time.monotonic() > give_up_at:
                raise
            time.sleep(1)
        else:
            return url


def _add(connection: Connection, home: Path, name: str) -> UUID:
    page = Image.new("L", (600, 120), "white")
    ImageDraw.Draw(page).text((20, 40), f"Lot 3 770 292, {name}", fill="black", font_size=32)
    folder = home / "documents" / "index"
    folder.mkdir(parents=True, exist_ok=True)
    page.save(folder / f"{name}.png")
    return enqueue_document(connection, NewDocument("index", name, f"index/{name}.png"))


def _wait_for(connection: Connection, document: UUID) -> Wait:
    """Waits until a document is claimed, and returns the seconds."""
    give_up_at = time.monotonic() + CLAIM_SECONDS
    while time.monotonic() < give_up_at:
        with connection.cursor(row_factory=class_row(Wait)) as cursor:
            wait = cursor.execute(WAIT, {"id": document}).fetchone()
        if wait is not None:
            return wait
        time.sleep(0.2)
    raise TimeoutError(f"no run claimed the document within {CLAIM_SECONDS:.0f} s")


def _from_idle(connection: Connection, home: Path, rng: random.Random, count: int) -> Iterator[Wait]:
    for number in range(count):
        while connection.execute(RUNS_ALIVE).fetchone() != (0,):
            time.sleep(0.5)
        time.sleep(rng.uniform(2, 7))
        yield _wait_for(connection, _add(connection, home, f"idle {number}"))


def _while_active(connection: Connection, home: Path, rng: random.Random, count: int) -> Iterator[Wait]:
    _wait_for(connection, _add(connection, home, "before"))
    for number in range(count):
        time.sleep(rng.uniform(1, 4))
        yield _wait_for(connection, _add(connection, home, f"active {number}"))


def _print(title: str, waits: list[Wait]) -> None:
    parts: dict[str, Callable[[Wait], float]] = {
        "ready to claim": lambda one: one.seconds,
        "until the run exists": lambda one: one.until_run,
        "until it starts": lambda one: one.until_start,
        "until it claims": lambda one: one.until_claim,
    }
    sys.stdout.write(f"\n{title}: {len(waits)} documents, seconds\n{'':24}{'median':>8}{'least':>8}{'most':>8}\n")
    for name, part in list(parts.items())[: 4 if title == "from idle" else 1]:
        values = [part(one) for one in waits]
        sys.stdout.write(f"{name:24}{statistics.median(values):8.2f}{min(values):8.2f}{max(values):8.2f}\n")


if __name__ == "__main__":
    main()
