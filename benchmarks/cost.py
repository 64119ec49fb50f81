"""Measures the cost of a document: CPU, database time, WAL, commits, event rows, storage, memory.

The figures are those of docs/benchmarks.md.

Three measurements on one embedded PostgreSQL with its default durability. The queue alone: documents of one page through the
pipeline with an engine that costs nothing and returns a typical text. The same inside Dagster runs of two sizes, whose
difference separates what a run costs from what a document costs. And real recognition of page images, for CPU and memory.

usage: python -m benchmarks.cost [--documents N] [--characters N] [--pages FOLDER] [--page-count N]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psutil
import psycopg
from PIL import Image
from psycopg import sql

from benchmarks.compared_programs import server_cpu_seconds
from benchmarks.cost_engine import TextEngine
from benchmarks.paths import PAGES, PROJECT, page_images, write_results
from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline.worker.assembly import checked_pipeline

TABLES = ("extraction_queue", "ocr_attempt", "dagster.event_logs", "dagster.runs", "dagster.run_tags")


@dataclass(frozen=True)
class Cost:
    """The cost of one part of the work; sums, not per document."""

    documents: int
    seconds: float
    server_cpu_seconds: float
    client_cpu_seconds: float
    wal_bytes: int
    commits: int
    connections_made: int
    connections_at_once: int
    rows: dict[str, int]
    bytes: dict[str, int]


def main() -> None:
    """Measures, prints the tables, writes the JSON."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="notaflow-cost-") as folder, embedded_database(Path(folder)) as url:
        _make_installation(Path(folder), url)
        engine = TextEngine(arguments.characters)
        with patch("notaflow_pipeline.worker.assembly.configured_engine", lambda _: engine):
            queue = _measured(url, arguments.documents, lambda: _work(url))
            small = _measured(url, 10, _dagster_run)  # the first run, which makes Dagster's tables, does not count
            small = _measured(url, 10, _dagster_run)
            large = _measured(url, arguments.documents, _dagster_run)
        _report(queue, small, large, arguments.characters)
        pages = _pages(Path(folder), url, arguments)
    write_results("cost", {"queue": queue, "run_of_10": small, "run_of_many": large, "pages": pages})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--characters", type=int, default=20_000, help="of a document's text: ten pages of a register")
    parser.add_argument("--pages", type=Path, default=PAGES, help="page images for the real recognition")
    parser.add_argument("--page-count", type=int, default=16)
    return parser.parse_args()


def _make_installation(folder: Path, url: str) -> None:
    """Makes an installation in `folder`, and sets this process's environment variables to it."""
    documents = folder / "documents" / "index"
    documents.mkdir(parents=True)
    Image.new("L", (60, 40), "white").save(documents / "page.png")
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("OCR_", "NOTAFLOW_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ |= {
        "NOTAFLOW_DATABASE_URL": url,
        "NOTAFLOW_DOCUMENTS_URL": str(folder / "documents"),
        "OCR_WORKERS": "2",
    }
    os.environ["OCR_DOCUMENTS_PER_RUN"] = "10000"
    migrate(url, sources=["index"])


def _work(url: str) -> None:
    with open_pool(url) as pool, checked_pipeline(load_settings(), pool) as pipeline:
        pipeline.work(limit=10_000)


def _dagster_run() -> None:
    warnings.simplefilter("ignore")
    import dagster as dg

    from notaflow_pipeline.definitions import defs

    with dg.DagsterInstance.from_config(str(PROJECT)) as instance:
        result = defs().resolve_job_def("ocr_job").execute_in_process(instance=instance, raise_on_error=False)
        if not result.success:
            sys.exit("the run failed: its log says why")


def _measured(url: str, documents: int, work: Callable[[], None]) -> Cost:
    """Enqueues documents, lets `work` read them, and returns the cost."""
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():
            for number in range(documents):
                enqueue_document(connection, NewDocument("index", str(number), "index/page.png"))
        connection.execute("VACUUM ANALYZE extraction_queue")
        before = _state(connection)
        server, client, began = server_cpu_seconds(url), _client_cpu(), time.monotonic()
        with _connections(url) as most:
            work()
        seconds, after = time.monotonic() - began, _state(connection)
        server, client = server_cpu_seconds(url) - server, _client_cpu() - client
    return Cost(
        documents,
        round(seconds, 2),
        round(server, 2),
        round(client, 2),
        *(after[name] - before[name] for name in ("wal", "commits", "sessions")),
        most[0],
        {table: after[f"rows of {table}"] - before[f"rows of {table}"] for table in TABLES},
        {table: after[f"bytes of {table}"] - before[f"bytes of {table}"] for table in TABLES},
    )


def _state(connection: psycopg.Connection) -> dict[str, int]:
    connection.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
    time.sleep(1.2)  # the server counts the work of other sessions within a second
    [row] = connection.execute(
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, xact_commit, sessions "
        "FROM pg_stat_database WHERE datname = current_database()"
    ).fetchall()
    state = dict(zip(("wal", "commits", "sessions"), row, strict=True))
    for table in TABLES:
        state[f"rows of {table}"], state[f"bytes of {table}"] = _size(connection, table)
    return state


def _size(connection: psycopg.Connection, table: str) -> tuple[int, int]:
    """Returns rows, and bytes with indexes and stored texts; a table that does not exist yet counts as empty."""
    if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
        return 0, 0
    statement = sql.SQL("SELECT count(*), pg_total_relation_size(%s) FROM {}").format(sql.Identifier(*table.split(".")))
    [(rows, size)] = connection.execute(statement, [table]).fetchall()
    return int(rows), int(size)


@contextmanager
def _connections(url: str) -> Iterator[list[int]]:
    """Measures the peak number of client connections, without the benchmark's own two."""
    most, over = [0], threading.Event()

    def watch() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not over.wait(0.02):
                found = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                ).fetchone()
                most[0] = max(most[0], (found[0] if found else 0) - 2)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def _client_cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _pages(folder: Path, url: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Reads real pages with `notaflow work`; returns CPU seconds per page, and the peak memory of all processes."""
    files = page_images(arguments.pages)[: arguments.page_count]
    if not files:
        print(f"\nno page images in {arguments.pages}: real recognition was not measured")
        return {}
    with psycopg.connect(url, autocommit=True) as connection:
        for file in files:
            shutil.copy(file, folder / "documents" / "index")
            enqueue_document(connection, NewDocument("index", file.stem, f"index/{file.name}"))
    client = _client_cpu()
    command = [str(Path(sys.executable).with_name("notaflow")), "work", "--until-empty"]
    work = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    most, most_of_one = 0.0, 0.0
    while work.poll() is None:
        with suppress(psutil.Error):
            family = [psutil.Process(work.pid), *psutil.Process(work.pid).children(recursive=True)]
            sizes = [_proportional_bytes(process) for process in family]
            most, most_of_one = max(most, sum(sizes)), max(most_of_one, *sizes)
        time.sleep(0.3)
    if work.returncode:
        sys.exit("`notaflow work` failed")
    cpu = (_client_cpu() - client) / len(files)
    found = {
        "pages": float(len(files)),
        "cpu_seconds_per_page": round(cpu, 2),
        "memory_mib_at_most": round(most / 2**20),
        "memory_mib_of_the_largest_process": round(most_of_one / 2**20),
        "workers": 2.0,
    }
    print(
        f"\n{len(files)} real pages, two workers: {cpu:.2f} CPU s a page, {most / 2**20:.0f} MiB at most for everything,"
    )
    print(f"{most_of_one / 2**20:.0f} MiB in the largest process")
    return found


def _proportional_bytes(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.memory_full_info().pss)
    return 0.0


def _report(queue: Cost, small: Cost, large: Cost, characters: int) -> None:
    print(
        f"{queue.documents} documents with a text of {characters} characters; {small.documents} and {large.documents} in runs"
    )
    print(f"\n{'':34}{'queue alone':>14}{'Dagster adds':>14}{'a run adds':>14}")
    print(f"{'':34}{'a document':>14}{'a document':>14}{'':>14}")
    more = large.documents - small.documents

    def line(name: str, of: Callable[[Cost], float], digits: int = 2) -> None:
        alone = of(queue) / queue.documents
        each = (of(large) - of(small)) / more
        run = of(small) - each * small.documents
        print(f"{name:34}{alone:14.{digits}f}{each - alone:14.{digits}f}{run:14.{digits}f}")

    line("seconds on the clock", lambda cost: cost.seconds, 4)
    line("server CPU, ms", lambda cost: 1000 * cost.server_cpu_seconds, 1)
    line("worker CPU, ms", lambda cost: 1000 * cost.client_cpu_seconds, 1)
    line("WAL, kB", lambda cost: cost.wal_bytes / 1000, 1)
    line("commits", lambda cost: cost.commits)
    line("connections made", lambda cost: cost.connections_made)
    for table in TABLES:
        line(f"rows of {table}", lambda cost, table=table: cost.rows[table])
    for table in TABLES:
        line(f"kB of {table}", lambda cost, table=table: cost.bytes[table] / 1000)
    print(f"connections at once: {queue.connections_at_once} without Dagster, {large.connections_at_once} with it")


if __name__ == "__main__":
    main()
