"""Measures documents per second by number of hosts.

The hosts are network namespaces with separate addresses; they share one PostgreSQL and one object store.

Two engines. `wait` costs no CPU and takes a second a page, so that hosts beyond this machine's cores can be added, and what
they share (queue, leases, store) is all that could slow them down. `tesseract` reads real pages, with as many hosts of one
worker as there are cores. The rate is counted from the moment when every host has finished a document until the first host
has finished its last, on the database's clock: neither starting nor the end counts. The invariants of the tests are checked
afterwards. Needs root and iproute2.

usage: python -m benchmarks.hosts [--hosts 1,2,4,8] [--pages FOLDER]
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import boto3
import psycopg
from psycopg import Connection

from benchmarks.paths import PAGES, page_images, write_results
from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline.worker.assembly import assemble, checked_pipeline, configured_storage
from notaflow_pipeline_tests.faults.hosts import Host, hosts, unavailable
from notaflow_pipeline_tests.faults.object_store import object_store
from notaflow_pipeline_tests.faults.proxy import proxy_before
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.testing.invariants import violated_invariants

WAIT_SECONDS = 1.0
WORKERS = {"wait": 2, "tesseract": 1}
DOCUMENTS_PER_HOST = {"wait": 60, "tesseract": 24}
TIMEOUT_SECONDS = 600.0

RATE = """
    WITH hosts AS (
        SELECT worker_id, min(finished_at) AS first, max(finished_at) AS last
        FROM ocr_attempt WHERE outcome = 'succeeded' GROUP BY worker_id
    ), together AS (
        SELECT max(first) AS began, min(last) AS ended, count(*) AS hosts FROM hosts
    )
    SELECT together.hosts,
           count(*) FILTER (WHERE finished_at > began AND finished_at <= ended) AS documents,
           extract(epoch FROM min(ended) - min(began))::float AS seconds
    FROM together, ocr_attempt
    WHERE outcome = 'succeeded'
    GROUP BY together.hosts
"""


def main() -> None:
    """Runs a worker on a host, or measures all numbers of hosts and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", default="1,2,4,8", help="with the engine that waits")
    parser.add_argument("--pages", type=Path, default=PAGES)
    parser.add_argument("--worker", choices=list(WORKERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        _work(arguments.worker)
        return
    missing = unavailable()
    if missing:
        sys.exit(missing)
    pages = page_images(arguments.pages)
    if not pages:
        sys.exit(f"no page images in {arguments.pages}: name a folder of them with --pages")
    cores = os.cpu_count() or 1
    plan = [("wait", int(count)) for count in arguments.hosts.split(",")]
    plan += [("tesseract", count) for count in range(1, cores + 1)]
    print(
        f"{cores} cores\n\n| engine | hosts | workers | documents | documents/s | for each host | executions, invariants |"
    )
    print("|---|---|---|---|---|---|---|")
    found = [_measured(engine, count, pages) for engine, count in plan]
    write_results("hosts", found)


def _work(engine: str) -> None:
    """Runs one host's worker, until it is killed."""
    settings = load_settings()
    if settings.database_url is None:
        sys.exit("NOTAFLOW_DATABASE_URL is not set")
    with open_pool(settings.database_url.get_secret_value()) as pool:
        if engine == "tesseract":
            with checked_pipeline(settings, pool) as pipeline:
                while True:
                    pipeline.work(limit=1000)
                    time.sleep(0.1)
        with DocumentPool(NullEngine(sleep_seconds=WAIT_SECONDS), workers=settings.workers) as reader:
            pipeline = assemble(
                settings, pool=pool, storage=configured_storage(settings), document_pool=reader, run_id=None
            )
            while True:
                pipeline.work(limit=1000)
                time.sleep(0.1)


def _measured(engine: str, count: int, pages: Sequence[Path]) -> dict[str, object]:
    """Reads documents with this number of hosts; prints the row."""
    with (
        tempfile.TemporaryDirectory(prefix="notaflow-hosts-") as name,
        embedded_database(Path(name)) as database_url,
        hosts(count) as (address, made),
        proxy_before(database_url, address) as proxy,
        object_store(address) as store,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        folder = Path(name)
        migrate(database_url, sources=["index"])
        total = DOCUMENTS_PER_HOST[engine] * count
        _enqueue(connection, store, folder, pages if engine == "tesseract" else [], total)
        for host in made:
            _start(host, engine, proxy.url, store, folder)
        give_up_at = time.monotonic() + TIMEOUT_SECONDS
        while connection.execute("SELECT EXISTS (SELECT FROM extraction_queue WHERE status_id <> 5)").fetchone() == (
            True,
        ):
            if time.monotonic() > give_up_at:
                sys.exit(
                    "it does not end; the hosts' logs:\n" + "\n".join(one.read_text() for one in folder.glob("*.log"))
                )
            time.sleep(0.2)
        hosts_seen, documents, seconds = connection.execute(RATE).fetchone() or (0, 0, 0.0)
        executions = (connection.execute("SELECT count(*) FROM ocr_attempt").fetchone() or (0,))[0]
        violated = violated_invariants(connection)
    rate = documents / seconds if seconds else 0.0
    checked = f"{executions} of {total}, {violated or 'none violated'}"
    print(
        f"| {engine} | {hosts_seen} | {count * WORKERS[engine]} | {total} | {rate:.2f} | {rate / count:.2f} | {checked} |",
        flush=True,
    )
    return {"engine": engine, "hosts": count, "documents": documents, "seconds": seconds, "executions": executions}


def _enqueue(connection: Connection, store: str, folder: Path, pages: Sequence[Path], count: int) -> None:
    """Puts the pages into the store and enqueues documents that lie there; without pages, small drawn ones are used."""
    if not pages:
        pages = [folder / "small.png"]
        samples.png(pages[0], "Vente du lot 3 770 292")
    client = boto3.client("s3", endpoint_url=store)
    used = list(islice(pages, count))
    for page in used:
        client.upload_file(str(page), "index", page.name)
    with connection.transaction():
        for number, page in enumerate(islice(cycle(used), count)):
            enqueue_document(connection, NewDocument("index", f"1 {number:03d}", f"index/{page.name}"))


def _start(host: Host, engine: str, database_url: str, store: str, folder: Path) -> None:
    ours = ("NOTAFLOW_", "OCR_", "DAGSTER_", "SUPABASE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "NOTAFLOW_DATABASE_URL": database_url,
        "NOTAFLOW_DOCUMENTS_URL": f"s3://?endpoint_url={store}",
        "NOTAFLOW_HOME": str(folder / "home"),
        "OCR_WORKER_ID": host.name,
        "OCR_WORKERS": str(WORKERS[engine]),
    }
    host.start([sys.executable, "-m", "benchmarks.hosts", "--worker", engine], environment, folder / f"{host.name}.log")


if __name__ == "__main__":
    main()
