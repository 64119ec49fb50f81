"""Measures the recovery sensor's poll with millions of rows in the queue.

Starts a PostgreSQL server of its own from given binaries, with the server's default settings (`jit` among them), fills the
queue and its history, and times `count_needing_recovery` in new sessions, as the sensor opens one for each tick. The
states are ready, read (with one attempt each) and exhausted (with three attempts each). A second table has further rows
at 3 that hold another program's text: these are the rows for which the poll compares digests.

usage: python -m benchmarks.recovery_poll --bin /usr/lib/postgresql/15/bin [--user postgres] [--rows N] [--texts N]
                                          [--polls N]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from benchmarks.paths import write_results
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.maintenance.recovery_poll import count_needing_recovery
from notaflow_pipeline.job_queue.schema.migrate import migrate

SOURCES = ["index"]
STUCK_AFTER = timedelta(minutes=10)

FILL = (
    """
    INSERT INTO extraction_queue (document_source, document_number, status_id, created_at)
    SELECT 'index', 'ready-' || n, 3, now() - n * interval '1 second'
    FROM generate_series(1, %(rows)s) AS n
    """,
    """
    INSERT INTO extraction_queue (document_source, document_number, status_id, file_content, ocr_attempts, ocr_started_at,
                                  ocr_completed_at, created_at)
    SELECT 'index', 'read-' || n, 5, repeat('x', 200), 1, now() - n * interval '1 second',
           now() - n * interval '1 second', now() - interval '300 days' - n * interval '1 second'
    FROM generate_series(1, %(rows)s) AS n
    """,
    """
    INSERT INTO extraction_queue (document_source, document_number, status_id, ocr_attempts, ocr_error, ocr_last_error_at,
                                  created_at)
    SELECT 'index', 'exhausted-' || n, 3, 3, 'OCR processing failed: old', now() - n * interval '1 second',
           now() - interval '300 days' - n * interval '1 second'
    FROM generate_series(1, %(rows)s) AS n
    """,
    """
    INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                             finished_at, outcome, text_sha256)
    SELECT id, 1, 'index', 'old', ocr_started_at, ocr_started_at, ocr_completed_at, 'succeeded',
           sha256(convert_to(file_content, 'UTF8'))
    FROM extraction_queue
    WHERE status_id = 5
    """,
    """
    INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                             finished_at, outcome, failure_kind)
    SELECT id, number, 'index', 'old', ocr_last_error_at, ocr_last_error_at, ocr_last_error_at, 'failed', 'timeout'
    FROM extraction_queue
    CROSS JOIN generate_series(1, 3) AS number
    WHERE status_id = 3
      AND ocr_attempts = 3
    """,
)

TEXTS = (
    """
    INSERT INTO extraction_queue (document_source, document_number, status_id, file_content, ocr_attempts)
    SELECT 'index', 'corrected-' || n, 3, repeat('y', 4000), 1
    FROM generate_series(1, %(rows)s) AS n
    """,
    """
    INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,
                             finished_at, outcome, text_sha256)
    SELECT id, 1, 'index', 'old', now(), now(), now(), 'succeeded', sha256('another text')
    FROM extraction_queue
    WHERE status_id = 3
      AND file_content IS NOT NULL
    """,
)


@dataclass(frozen=True)
class Measured:
    """The polls of one queue under one setting."""

    queue: str
    jit: str
    needing_recovery: int
    median_milliseconds: float
    longest_milliseconds: float


def main() -> None:
    """Fills, measures, prints the table, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="folder of the server's programs (initdb, pg_ctl)")
    parser.add_argument("--user", default="postgres", help="whom the server runs as when this is run by root")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows in each of three states")
    parser.add_argument("--texts", type=int, default=100_000, help="further rows at 3 with another program's text")
    parser.add_argument("--polls", type=int, default=15, help="polls of each setting")
    arguments = parser.parse_args()
    with server(arguments.bin, arguments.user) as url:
        version = psycopg.connect(url).execute("SHOW server_version").fetchone()
        print(f"PostgreSQL {version[0] if version else '?'}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        migrate(url, sources=SOURCES)
        fill(url, FILL, arguments.rows)
        runs = _measure(url, f"{3 * arguments.rows:,} rows", arguments.polls)
        fill(url, TEXTS, arguments.texts)
        runs += _measure(url, f"and {arguments.texts:,} at 3 with a text", arguments.polls)
    facts = {"PostgreSQL": version[0] if version else None, "rows": arguments.rows, "texts": arguments.texts}
    write_results("recovery_poll", {"facts": facts, "runs": runs})


@contextmanager
def server(programs: Path, user: str) -> Iterator[str]:
    """Yields the URL of a new server's database; the server and its data are removed afterwards."""
    runs_as = user if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    with tempfile.TemporaryDirectory(prefix="notaflow-poll-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if runs_as:
            shutil.chown(folder, runs_as)
        data = str(folder / "data")

        def run(*command: str) -> None:
            subprocess.run(command, check=True, user=runs_as, cwd=folder, stdout=subprocess.DEVNULL)

        run(str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-h '' -k {folder} -c max_wal_size=4GB"
        run(str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")


def fill(url: str, statements: tuple[str, ...], rows: int) -> None:
    """Inserts rows, and leaves the tables as autovacuum leaves them."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement, {"rows": rows})
        for table in ("extraction_queue", "ocr_attempt"):
            connection.execute(psycopg.sql.SQL("VACUUM ANALYZE {}").format(psycopg.sql.Identifier(table)))


def _measure(url: str, queue: str, polls: int) -> list[Measured]:
    print(f"\n{queue:36} {'jit':>4} {'found':>8} {'median ms':>10} {'longest ms':>11}")
    runs = []
    for jit in ("on", "off"):
        needing, times = 0, []
        for _ in range(polls):
            with connect(url) as connection:
                connection.execute(psycopg.sql.SQL("SET jit = {}").format(psycopg.sql.Literal(jit)))
                began = time.monotonic()
                needing = count_needing_recovery(connection, sources=SOURCES, stuck_after=STUCK_AFTER)
                times.append(1000 * (time.monotonic() - began))
        run = Measured(queue, jit, needing, statistics.median(times), max(times))
        print(
            f"{'':36} {jit:>4} {needing:8} {run.median_milliseconds:10.1f} {run.longest_milliseconds:11.1f}", flush=True
        )
        runs.append(run)
    return runs


if __name__ == "__main__":
    main()
