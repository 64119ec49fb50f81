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
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import psycopg

from benchmarks.peers.correctness import MAX_EXECUTIONS, Correctness, examine
from benchmarks.peers.systems import NOTAFLOW, PGQUEUER, PROCRASTINATE, Installed, System, go, reports
from benchmarks.peers.worker_side import AS_SHIPPED
from notaflow_pipeline.local.embedded_postgres import embedded_database

PROJECT = Path(__file__).resolve().parents[1]
RESULT_BYTES = 4096
RUN_SECONDS = 1800.0


@dataclass(frozen=True)
class Contestant:
    """A queue and how many documents its claim takes, or, where it takes one alone, how many it has in hand at once."""

    system: System
    batch: int
    behaviour: str = ""

    @property
    def claimed_at_once(self) -> int:
        """Documents of one claim."""
        return 1 if self.system is PROCRASTINATE else self.batch

    @property
    def name(self) -> str:
        """The row of the table."""
        how = f"1, {self.batch} in hand" if self.system is PROCRASTINATE else f"{self.batch}"
        return f"{self.system.name}, claims {how}" + (f", {self.behaviour}" if self.behaviour else "")


@dataclass(frozen=True)
class Scenario:
    """What lies in the tables before the work, and what goes on beside it."""

    name: str
    finished: int = 0
    failed: int = 0
    waiting: int = 0
    held_snapshot: bool = False


@dataclass(frozen=True)
class Measured:
    """One run of one contestant."""

    contestant: str
    scenario: str
    documents: int
    seconds: float  # by the database's clock, first claim to last completion
    wal_bytes: int
    commits: int
    cpu_seconds: float  # of all workers
    claim_milliseconds: list[float]  # one process alone, before the drain
    void: str  # why the run does not count; empty when it does


def main() -> None:
    """Measure, print the tables, write the JSON."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # so that the server and the workers end too
    systems = [NOTAFLOW, PGQUEUER, PROCRASTINATE] if arguments.peers_python else [NOTAFLOW]
    if len(systems) == 1:
        print("this queue alone: name the peers' environment with --peers-python")
    runs: list[Measured] = []
    sheet: list[Correctness] = []
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder, embedded_database(Path(folder)) as server:
        facts = _facts(server, Path(folder), arguments)
        print(*(f"{name}: {fact}" for name, fact in facts.items()), sep="\n", flush=True)
        installed = {
            system.name: Installed(system, server, sys.executable if system is NOTAFLOW else arguments.peers_python)
            for system in systems
        }
        contestants = [
            Contestant(system, batch)
            for system in systems
            for batch in (1, 10)
            if (system, batch) != (PROCRASTINATE, 1)
        ]
        contestants += [Contestant(system, 10, AS_SHIPPED) for system in systems if system is PGQUEUER]
        if not arguments.correctness_only:
            for scenario in _scenarios(arguments):
                runs += _scenario(scenario, contestants, installed, arguments)
                _report(scenario, contestants, runs)
                # what slows it down then does not depend on the rows: once is enough
                contestants = [contestant for contestant in contestants if not contestant.behaviour]
            _aims(runs)
        if arguments.correctness or arguments.correctness_only:
            sheet = [examine(installed[system.name], arguments.correctness_documents) for system in systems]
            _report_correctness(sheet)
        for one in installed.values():
            one.connection.close()
    results = PROJECT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    target = results / ("queue-correctness.json" if arguments.correctness_only else "queue.json")
    found = {"facts": facts, "runs": [asdict(run) for run in runs], "correctness": [asdict(one) for one in sheet]}
    target.write_text(json.dumps(found, indent=2), encoding="utf-8")
    print(f"\nwritten to {target.relative_to(PROJECT)}")
    if any(run.void for run in runs):
        sys.exit("some runs are void")


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
    scenario: Scenario, contestants: list[Contestant], installed: dict[str, Installed], arguments: argparse.Namespace
) -> list[Measured]:
    """Fill every queue's tables, then let the contestants run in turn; what a run finishes stays for the next."""
    runs = []
    with ExitStack() as beside:
        for one in installed.values():
            one.fill(finished=scenario.finished, failed=scenario.failed, waiting=scenario.waiting)
            if scenario.held_snapshot:
                holder = beside.enter_context(psycopg.connect(one.database))
                holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                holder.execute("SELECT count(*) FROM pg_class")
        for repetition in range(arguments.repetitions):
            for contestant in contestants:
                run = _run(contestant, scenario, installed[contestant.system.name], arguments)
                rate = run.documents / run.seconds if run.seconds else 0
                print(
                    f"{scenario.name}, repetition {repetition + 1}: {contestant.name}: "
                    + (f"VOID, {run.void}" if run.void else f"{rate:,.0f} documents/s"),
                    flush=True,
                )
                runs.append(run)
    return runs


def _run(contestant: Contestant, scenario: Scenario, installed: Installed, arguments: argparse.Namespace) -> Measured:
    warming = arguments.claims * contestant.claimed_at_once
    installed.run("enqueue", count=arguments.jobs + warming)
    installed.tidy()
    probe = installed.order(
        "probe", batch=contestant.claimed_at_once, count=arguments.claims, behaviour=contestant.behaviour
    )
    with installed.workers(probe) as processes:
        go(processes)
        latencies = reports(processes, RUN_SECONDS)[0]["latencies"]
    drain = installed.order("drain", batch=contestant.batch, result_bytes=RESULT_BYTES, behaviour=contestant.behaviour)
    with installed.workers(*[drain] * arguments.workers) as processes:
        mark, commits, lsn = installed.mark(), _commits(installed), installed.value("SELECT pg_current_wal_lsn()")
        go(processes)
        cpu_seconds = sum(float(report["cpu_seconds"]) for report in reports(processes, RUN_SECONDS))
    commits = _commits(installed, alone=not scenario.held_snapshot) - commits
    wal_bytes = int(installed.value(f"SELECT pg_current_wal_lsn() - '{lsn}'::pg_lsn"))
    row = installed.connection.execute(installed.system.summary, {"mark": mark, "bytes": RESULT_BYTES}).fetchone()
    assert row is not None  # noqa: S101 - an aggregate
    left, done, twice, stored, seconds = row
    void = ""
    if (left, done, twice, stored) != (0, arguments.jobs, 0, arguments.jobs):
        void = f"{left} left, {done} done, {twice} twice, {stored} texts stored of {arguments.jobs} documents"
    return Measured(
        contestant.name, scenario.name, done, seconds or 0, wal_bytes, commits, cpu_seconds, list(latencies), void
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


def _report(scenario: Scenario, contestants: list[Contestant], runs: list[Measured]) -> None:
    print(f"\n{scenario.name}; medians over the repetitions, and the range of the rate\n")
    heads = ("documents/s (min-max)", "WAL B/doc", "commits/doc", "CPU ms/doc", "claim p50 ms", "p99 ms")
    print(f"{'':36} {heads[0]:>26} {heads[1]:>10} {heads[2]:>12} {heads[3]:>11} {heads[4]:>13} {heads[5]:>8}")
    for contestant in contestants:
        mine = _valid(runs, scenario.name, contestant.name)
        if not mine:
            print(f"{contestant.name:36} {'void':>26}")
            continue
        rates = [run.documents / run.seconds for run in mine]
        rate = f"{statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
        wal = statistics.median(run.wal_bytes / run.documents for run in mine)
        commits = statistics.median(run.commits / run.documents for run in mine)
        cpu = statistics.median(1000 * run.cpu_seconds / run.documents for run in mine)
        p50, p99 = _latency(mine, 50), _latency(mine, 99)
        print(f"{contestant.name:36} {rate:>26} {wal:10,.0f} {commits:12.2f} {cpu:11.2f} {p50:13.2f} {p99:8.2f}")
    print(flush=True)


def _valid(runs: list[Measured], scenario: str, contestant: str) -> list[Measured]:
    return [run for run in runs if (run.scenario, run.contestant) == (scenario, contestant) and not run.void]


def _latency(runs: list[Measured], percentile: int) -> float:
    """Return a percentile over the claims of all repetitions."""
    latencies = sorted(latency for run in runs for latency in run.claim_milliseconds)
    return latencies[min(len(latencies) - 1, len(latencies) * percentile // 100)]


def _aims(runs: list[Measured]) -> None:
    """Print how this queue stands beside the better peer, one by one and in batches, and beside itself on empty tables.

    A peer is compared by what its claim takes: one with one, ten with ten, or with as many in hand where it takes one alone.
    """
    scenarios = list(dict.fromkeys(run.scenario for run in runs))
    for scenario, batch in product(scenarios, (1, 10)):
        ours = Contestant(NOTAFLOW, batch).name
        empty = _valid(runs, scenarios[0], ours)
        mine = _valid(runs, scenario, ours)
        names = {name for name in (run.contestant for run in runs) if _is_peer(name, batch)}
        peers = [
            statistics.median(run.documents / run.seconds for run in theirs)
            for name in names
            if (theirs := _valid(runs, scenario, name))
        ]
        if not mine or not empty:
            continue
        rate = statistics.median(run.documents / run.seconds for run in mine)
        against = f"{rate / max(peers):.2f} times the better peer's rate, " if peers else ""
        p50, p99 = (_latency(mine, percentile) / _latency(empty, percentile) for percentile in (50, 99))
        beside = f"{p50:.2f} times the claim p50 and {p99:.2f} times the p99 of {scenarios[0]}"
        print(f"{scenario}, claims {batch}: {against}{beside}")


def _is_peer(contestant: str, batch: int) -> bool:
    """Whether a row of the table is a peer's, to be compared with claims of `batch` documents."""
    takes = PROCRASTINATE.name in contestant or f"claims {batch}," in f"{contestant},"
    return takes and not contestant.startswith(NOTAFLOW.name)


def _report_correctness(sheet: list[Correctness]) -> None:
    print("\nworkers that die or freeze; a lease or heartbeat of two seconds\n")
    rows: dict[str, list[str]] = {
        "executions of a document that kills its worker": [
            f"{one.poison_executions}, given up" if one.poison_ended else f"{one.poison_executions}, no end"
            for one in sheet
        ],
        "kill -9 of one of two workers: documents": [str(one.kill_documents) for one in sheet],
        "  lost": [str(one.kill_lost) for one in sheet],
        "  begun twice": [str(one.kill_begun_twice) for one in sheet],
        "  finished and stored twice": [str(one.kill_finished_twice) for one in sheet],
        "  seconds from the kill to the end": [
            "not in time" if one.kill_seconds_to_end is None else f"{one.kill_seconds_to_end:.1f}" for one in sheet
        ],
        "thawed worker ends a document that is another's": [_said(one.late_write_ended_document) for one in sheet],
        "thawed worker's text is stored": [_said(one.late_text_stands) for one in sheet],
    }
    print(f"{'':50}" + "".join(f"{one.system:>22}" for one in sheet))
    for name, cells in rows.items():
        print(f"{name:50}" + "".join(f"{cell:>22}" for cell in cells))
    print(
        f"(at most {MAX_EXECUTIONS} executions are tried; the peers store texts in the handler, which nothing fences)"
    )


def _said(answer: bool | None) -> str:
    return "not tried" if answer is None else "yes" if answer else "no"


if __name__ == "__main__":
    main()
