"""Measures claims and completions per second, and tests lost workers: this queue, PgQueuer, Procrastinate.

All on one embedded PostgreSQL with its default durability, a database each, in turn, several times; the same number of
worker processes, psycopg for all, and a text of 4 kB stored for every document. The peers are used through their public
classes, in an environment of their own:

    python -m venv /tmp/peers && /tmp/peers/bin/pip install -r benchmarks/requirements-peers.txt
    .venv/bin/python -m benchmarks.job_queue --peers-python /tmp/peers/bin/python --correctness

usage: python -m benchmarks.job_queue [--peers-python PYTHON] [--repetitions N] [--jobs N] [--workers N]
                                  [--finished N,N,N] [--exhausted N] [--waiting N] [--held-snapshot] [--correctness] [--quick]
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from benchmarks.paths import write_results
from benchmarks.peers.correctness import Correctness, measure_correctness
from benchmarks.peers.results import (
    Configuration,
    Measured,
    Scenario,
    print_comparison,
    print_correctness,
    print_scenario,
)
from benchmarks.peers.systems import NOTAFLOW, PGQUEUER, PROCRASTINATE, Installed, reports, send_start_signal
from benchmarks.peers.worker_side import AS_SHIPPED
from notaflow_pipeline.local.embedded_postgres import embedded_database

RESULT_BYTES = 4096
RUN_SECONDS = 1800.0


def main() -> None:
    """Measure, print the tables, write the JSON."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the server and the workers end too
    systems = [NOTAFLOW, PGQUEUER, PROCRASTINATE] if arguments.peers_python else [NOTAFLOW]
    if len(systems) == 1:
        print("this queue alone: name the peers' environment with --peers-python")
    runs: list[Measured] = []
    correctness: list[Correctness] = []
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder, embedded_database(Path(folder)) as server:
        facts = _facts(server, Path(folder), arguments)
        print(*(f"{name}: {fact}" for name, fact in facts.items()), sep="\n", flush=True)
        installed = {
            system.name: Installed(system, server, sys.executable if system is NOTAFLOW else arguments.peers_python)
            for system in systems
        }
        configurations = [
            Configuration(system, batch)
            for system in systems
            for batch in (1, 10)
            if (system, batch) != (PROCRASTINATE, 1)
        ]
        configurations += [Configuration(system, 10, AS_SHIPPED) for system in systems if system is PGQUEUER]
        if not arguments.correctness_only:
            for scenario in _scenarios(arguments):
                runs += _scenario(scenario, configurations, installed, arguments)
                print_scenario(scenario, configurations, runs)
                # what slows it down then does not depend on the rows: once is enough
                configurations = [configuration for configuration in configurations if not configuration.behaviour]
            print_comparison(runs)
        if arguments.correctness or arguments.correctness_only:
            correctness = [
                measure_correctness(installed[system.name], arguments.correctness_documents) for system in systems
            ]
            print_correctness(correctness)
        for one in installed.values():
            one.connection.close()
    name = "queue-correctness" if arguments.correctness_only else "queue"
    write_results(name, {"facts": facts, "runs": runs, "correctness": correctness})
    if any(run.invalid for run in runs):
        sys.exit("some runs are invalid")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", help="the Python of the peers' environment")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=5000, help="documents drained in each run")
    parser.add_argument("--claims", type=int, default=200, help="claims timed before each run; their documents warm up")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="worker processes")
    parser.add_argument("--finished", default="0,100000,1000000", help="finished documents kept, several by commas")
    parser.add_argument("--exhausted", type=int, default=0, help="documents given up before, 0 leaves it out")
    parser.add_argument("--waiting", type=int, default=0, help="documents in backoff, 0 leaves it out")
    parser.add_argument("--held-snapshot", action="store_true", help="also beside a transaction that stays open")
    parser.add_argument("--correctness", action="store_true", help="also kill and freeze workers")
    parser.add_argument("--correctness-only", action="store_true", help="no speed")
    parser.add_argument("--correctness-documents", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="a smoke run of a minute or two, everything small")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repetitions, arguments.jobs, arguments.claims = 1, 200, 20
        arguments.finished, arguments.exhausted = "0,5000", 0
        arguments.held_snapshot, arguments.correctness, arguments.correctness_documents = True, True, 40
    return arguments


def _scenarios(arguments: argparse.Namespace) -> list[Scenario]:
    scenarios = [Scenario(f"{int(rows):,} finished", finished=int(rows)) for rows in arguments.finished.split(",")]
    if arguments.exhausted:
        scenarios.append(Scenario(f"{arguments.exhausted:,} exhausted", failed=arguments.exhausted))
    if arguments.waiting:
        scenarios.append(Scenario(f"{arguments.waiting:,} in backoff (this queue alone)", waiting=arguments.waiting))
    if arguments.held_snapshot:
        scenarios.append(Scenario("snapshot held open", held_snapshot=True))
    return scenarios


def _scenario(
    scenario: Scenario,
    configurations: list[Configuration],
    installed: dict[str, Installed],
    arguments: argparse.Namespace,
) -> list[Measured]:
    """Fill every queue's tables, then let the configurations run in turn; what a run finishes stays for the next."""
    runs = []
    with ExitStack() as beside:
        for one in installed.values():
            one.fill(finished=scenario.finished, failed=scenario.failed, waiting=scenario.waiting)
            if scenario.held_snapshot:
                holder = beside.enter_context(psycopg.connect(one.database))
                holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                holder.execute("SELECT count(*) FROM pg_class")
        for repetition in range(arguments.repetitions):
            for configuration in configurations:
                run = _run(configuration, scenario, installed[configuration.system.name], arguments)
                rate = run.documents / run.seconds if run.seconds else 0
                print(
                    f"{scenario.name}, repetition {repetition + 1}: {configuration.name}: "
                    + (f"INVALID, {run.invalid}" if run.invalid else f"{rate:,.0f} documents/s"),
                    flush=True,
                )
                runs.append(run)
    return runs


def _run(
    configuration: Configuration, scenario: Scenario, installed: Installed, arguments: argparse.Namespace
) -> Measured:
    warming = arguments.claims * configuration.claimed_at_once
    installed.run("enqueue", count=arguments.jobs + warming)
    installed.vacuum()
    probe = installed.order(
        "probe", batch=configuration.claimed_at_once, count=arguments.claims, behaviour=configuration.behaviour
    )
    with installed.workers(probe) as processes:
        send_start_signal(processes)
        latencies = reports(processes, RUN_SECONDS)[0]["latencies"]
    drain = installed.order(
        "drain", batch=configuration.batch, result_bytes=RESULT_BYTES, behaviour=configuration.behaviour
    )
    with installed.workers(*[drain] * arguments.workers) as processes:
        mark, commits, lsn = installed.mark(), _commits(installed), installed.value("SELECT pg_current_wal_lsn()")
        send_start_signal(processes)
        cpu_seconds = sum(float(report["cpu_seconds"]) for report in reports(processes, RUN_SECONDS))
    commits = _commits(installed, alone=not scenario.held_snapshot) - commits
    wal_bytes = int(installed.value(f"SELECT pg_current_wal_lsn() - '{lsn}'::pg_lsn"))
    row = installed.connection.execute(installed.system.summary, {"mark": mark, "bytes": RESULT_BYTES}).fetchone()
    assert row is not None  # noqa: S101 - an aggregate
    left, done, twice, stored, seconds = row
    invalid = ""
    if (left, done, twice, stored) != (0, arguments.jobs, 0, arguments.jobs):
        invalid = f"{left} left, {done} done, {twice} twice, {stored} texts stored of {arguments.jobs} documents"
    return Measured(
        configuration.name, scenario.name, done, seconds or 0, wal_bytes, commits, cpu_seconds, list(latencies), invalid
    )


def _commits(installed: Installed, *, alone: bool = False) -> int:
    """Return the commits in the system's database; alone, once the workers' sessions have ended and were counted."""
    deadline = time.monotonic() + 5
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    while alone and installed.value(sessions) != 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    return int(installed.value("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"))


def _facts(server: str, folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    settings = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "autovacuum")
    with psycopg.connect(server) as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in settings}
        version = connection.execute("SELECT version()").fetchone()[0]
    names = ("pgqueuer", "procrastinate", "psycopg", "uvloop")
    versions = f"import importlib.metadata as m; print(*(n + ' ' + m.version(n) for n in {names}))"
    peers = "none"
    if arguments.peers_python:
        command = [arguments.peers_python, "-c", versions]
        peers = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return {
        "PostgreSQL": version,
        **shown,
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
        "fdatasync a second": round(_syncs_a_second(folder / "probe")),
        "Python": platform.python_version(),
        "psycopg": f"{psycopg.__version__} ({psycopg.pq.__impl__})",
        "peers": peers,
        "workers": arguments.workers,
        "repetitions": arguments.repetitions,
        "documents a run": arguments.jobs,
    }


def _syncs_a_second(path: Path) -> float:
    with path.open("wb", buffering=0) as file:
        began = time.monotonic()
        for _ in range(300):
            file.seek(0)
            file.write(b"x" * 8192)
            os.fdatasync(file.fileno())
        return 300 / (time.monotonic() - began)


if __name__ == "__main__":
    main()
