"""Tests that the cost of a day's report depends on the day, not on the history: seconds, peak memory and rows read.

The aims are those of an operator with one machine: a day of a million attempts in under 10 s and under 1 GB, and no more than
1.2 times as long with ten times the history; the last lines say whether they are met. The memory is the most that the whole
process had in real memory at any moment until the day was written, as the system counts it (Python, pandas and the driver
with their imports); the server's own memory is not in it.

The same day of a million attempts is computed and written among 100 days of history and among 10, and then recounted, in
turn, several times, each in a process of its own. Every other day has 50,000 attempts (`--other-day` changes that:
a million each needs some 30 GB). The two histories lie in two databases of one embedded PostgreSQL with its default
settings; both are in the system's cache. With `--unrecorded`, the attempts are those of before migration 018: what they
waited for is asked of the rows of the queue and of earlier attempts, for every one of them.

usage: python -m benchmarks.reporting [--day N] [--other-day N] [--repetitions N] [--unrecorded]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import psutil
import psycopg
from psycopg import Connection, sql

from benchmarks.paths import write_results
from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline.reporting.daily_tables.daily_storage import write_day
from notaflow_pipeline.reporting.daily_tables.reconciliation import find_daily_differences

DAY = date(2026, 6, 15)
TIMEZONE = "America/Toronto"
HISTORIES = (10, 100)

AIM_SECONDS = 10
AIM_BYTES = 1_000_000_000
AIM_RATIO = 1.2

INDEXES = ("ocr_attempt_one_open", "ocr_attempt_queue_id", "ocr_attempt_finished_at", "ocr_attempt_run_id")

# Attempts spread over the day in the order in which they finish, as a table that grows has them; 100 attempts for 80
# documents, 8 % failed, 2 % stuck, 1 % released. Figures come from the number of the attempt, so both databases have the
# same day.
_FILL = """
INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, run_id, claimed_at, lease_expires_at,
                         finished_at, outcome, failure_kind, pages, characters, mean_confidence, coverage, fetch_seconds,
                         ocr_seconds, source_bytes, engine, text_sha256, ready_at, exhausted)
SELECT document, attempt, CASE WHEN chance < 900 THEN 'index' ELSE 'acte' END, 'ocr-monitor-1',
       md5((number / 200)::text)::uuid::text, finished - length, finished, finished, outcome,
       CASE WHEN outcome IN ('failed', 'stuck') THEN 'kind ' || chance %% 7 END,
       CASE WHEN outcome = 'succeeded' THEN 1 + chance %% 14 END,
       CASE WHEN outcome = 'succeeded' THEN 1500 * (1 + chance %% 14) END,
       CASE WHEN outcome = 'succeeded' THEN 50 + chance %% 490 / 10.0 END,
       CASE WHEN outcome = 'succeeded' THEN 0.5 + chance %% 500 / 1000.0 END,
       0.2, 20, 4000000, 'tesseract (fra+eng)',
       CASE WHEN outcome = 'succeeded' THEN sha256(document::text::bytea) END,
       CASE WHEN %(recorded)s THEN finished - length - chance * interval '1 second' END,
       CASE WHEN %(recorded)s AND outcome IN ('failed', 'stuck') THEN chance %% 10 = 0 END
FROM (
    SELECT number, chance,
           md5(%(day)s::text || number * 4 / 5)::uuid AS document,
           1 + (number %% 5 = 4)::integer AS attempt,
           %(day)s::date::timestamp AT TIME ZONE 'America/Toronto'
               + number * interval '1 day' / %(attempts)s::integer AS finished,
           (2000 + chance * 37) * interval '1 millisecond' AS length,
           CASE
               WHEN number * 61 %% 100 < 8 THEN 'failed'
               WHEN number * 61 %% 100 < 10 THEN 'stuck'
               WHEN number * 61 %% 100 < 11 THEN 'released'
               ELSE 'succeeded'
           END AS outcome
    FROM (SELECT number, (number::bigint * 2654435761 %% 1000)::integer AS chance
          FROM generate_series(0, %(attempts)s::integer - 1) AS number) AS numbered
) AS attempt
"""

_FILL_QUEUE = """
INSERT INTO extraction_queue (id, document_number, document_source, status_id, created_at, ocr_attempts)
SELECT queue_id, '1', 'index', 5, min(claimed_at) - interval '10 minutes', 2
FROM ocr_attempt
GROUP BY queue_id
"""

_READ = """
SELECT sum(COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0))
FROM pg_stat_user_tables
WHERE relname = ANY(ARRAY['ocr_attempt', 'extraction_queue'])
"""


@dataclass(frozen=True)
class Measured:
    """One computation of the day, in a process of its own."""

    history_days: int
    write_seconds: float
    python_cpu_seconds: float
    server_cpu_seconds: float
    peak_bytes: int
    rows_read: int
    recount_seconds: float
    differences: int


def main() -> None:
    """Fills both databases, measures in turn, prints the table, writes the JSON."""
    arguments = _arguments()
    if arguments.measure:
        print(json.dumps(asdict(_measure(arguments.measure, arguments.history_days))))
        return
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder, embedded_database(Path(folder)) as url:
        urls = {length: _database(url, length) for length in HISTORIES}
        for length, of_history in urls.items():
            _fill(of_history, length, arguments)
        for number in range(arguments.repetitions):
            for length, of_history in urls.items():
                found.append(_measured_elsewhere(of_history, length))
                print(
                    f"repetition {number + 1}, {length} days: {found[-1].write_seconds:.1f} s, "
                    f"{found[-1].peak_bytes / 1e6:.0f} MB",
                    flush=True,
                )
    _report(found, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--day", type=int, default=1_000_000, help="attempts of the day")
    parser.add_argument("--other-day", type=int, default=50_000, help="attempts of each other day")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--unrecorded", action="store_true", help="attempts of before migration 018")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--history-days", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _database(url: str, history_days: int) -> str:
    name = f"history_{history_days}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # only while it is filled; it does not affect reading
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    of_history = url.replace("/notaflow?", f"/{name}?")
    migrate(of_history, sources=["index"])
    return of_history


def _fill(url: str, history_days: int, arguments: argparse.Namespace) -> None:
    """Fill a history whose last day but one is the day, so that days lie on both sides; indexes are built afterwards."""
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        definitions = [
            connection.execute("SELECT pg_get_indexdef(%s::regclass)", [index]).fetchone() for index in INDEXES
        ]
        for index in INDEXES:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(index)))
        for offset in range(2 - history_days, 2):
            attempts = arguments.day if offset == 0 else arguments.other_day
            day = DAY + timedelta(days=offset)
            values = {"day": day, "attempts": attempts, "recorded": not arguments.unrecorded}
            connection.execute(_FILL, values)
        for definition in definitions:
            assert definition is not None  # noqa: S101 - it was there before it was dropped
            connection.execute(definition[0])
        if arguments.unrecorded:
            connection.execute(_FILL_QUEUE)
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT count(*), pg_total_relation_size('ocr_attempt') FROM ocr_attempt").fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    print(f"{history_days} days: {row[0]:,} attempts, {row[1] / 1e9:.1f} GB, in {time.monotonic() - began:.0f} s")


def _measured_elsewhere(url: str, history_days: int) -> Measured:
    command = [sys.executable, "-m", "benchmarks.reporting", "--measure", url, "--history-days", str(history_days)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Measured(**json.loads(done.stdout))


def _measure(url: str, history_days: int) -> Measured:
    with open_pool(url) as pool, pool.connection() as connection:
        server = psutil.Process(connection.info.backend_pid)
        before, of_server = _rows_read(connection), sum(server.cpu_times()[:2])
        began, cpu = time.monotonic(), time.process_time()
        write_day(connection, DAY, timezone=TIMEZONE, low_confidence=60, low_coverage=0.7)
        write_seconds, python_cpu_seconds = time.monotonic() - began, time.process_time() - cpu
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        server_cpu_seconds = sum(server.cpu_times()[:2]) - of_server
        rows_read = _rows_read(connection) - before
        began = time.monotonic()
        differences = list(
            find_daily_differences(connection, DAY, timezone=TIMEZONE, low_confidence=60, low_coverage=0.7)
        )
        recount_seconds = time.monotonic() - began
    return Measured(
        history_days,
        write_seconds,
        python_cpu_seconds,
        server_cpu_seconds,
        peak_bytes,
        rows_read,
        recount_seconds,
        len(differences),
    )


def _rows_read(connection: Connection) -> int:
    """Returns the rows of the large tables that any session has read so far, by the server's count."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(_READ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return int(row[0])


def _report(found: list[Measured], arguments: argparse.Namespace) -> None:
    kind = "of before 018" if arguments.unrecorded else "as recorded now"
    print(f"\na day of {arguments.day:,} attempts {kind}, the others {arguments.other_day:,} each; medians (min-max)\n")
    print(
        f"{'':16} {'compute and write, s':>24} {'CPU s: Python + server':>23} {'peak MB':>8} {'rows read':>11} "
        f"{'recount, s':>20}"
    )
    medians, cpu = {}, {}
    for length in HISTORIES:
        runs = [one for one in found if one.history_days == length]
        medians[length] = statistics.median(one.write_seconds for one in runs)
        cpu[length] = statistics.median(one.python_cpu_seconds + one.server_cpu_seconds for one in runs)
        print(
            f"{f'of {length} days':16} {_spread([one.write_seconds for one in runs]):>24} "
            f"{statistics.median(one.python_cpu_seconds for one in runs):14.2f} + "
            f"{statistics.median(one.server_cpu_seconds for one in runs):6.2f} "
            f"{max(one.peak_bytes for one in runs) / 1e6:8.0f} {max(one.rows_read for one in runs):11,} "
            f"{_spread([one.recount_seconds for one in runs]):>20}"
        )
    ratio, of_cpu = (values[HISTORIES[1]] / values[HISTORIES[0]] for values in (medians, cpu))
    print(f"\nratio {HISTORIES[1]} days to {HISTORIES[0]}: {ratio:.2f} by the clock, {of_cpu:.2f} in CPU seconds")
    _print_aims(found, ratio)
    if wrong := sum(one.differences for one in found):
        sys.exit(f"the run is invalid: {wrong} figures differ from the recount")
    write_results("reporting-unrecorded" if arguments.unrecorded else "reporting", found)


def _print_aims(found: list[Measured], ratio: float) -> None:
    """Prints each aim beside the worst run; a day with fewer than a million attempts meets them more easily."""
    for what, seen, aim in (
        ("seconds of the slowest run", max(one.write_seconds for one in found), AIM_SECONDS),
        ("GB of the largest process", max(one.peak_bytes for one in found) / 1e9, AIM_BYTES / 1e9),
        ("ratio of the histories, by the clock", ratio, AIM_RATIO),
    ):
        print(f"{'met' if seen <= aim else 'NOT MET'}: {what}: {seen:.2f}, aim {aim:g}")


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"


if __name__ == "__main__":
    main()
