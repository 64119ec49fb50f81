"""Starts workers, disturbs them for some minutes, lets the queue run empty, and checks the result."""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import psycopg

from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline_tests.chaos import disturbances, other_programs, results
from notaflow_pipeline_tests.chaos.history import record_history
from notaflow_pipeline_tests.chaos.results import WrongResult
from notaflow_pipeline_tests.chaos.temporary_space import small_folder
from notaflow_pipeline_tests.chaos.testbed import READY, UNFINISHED, Testbed

DRAIN_SECONDS = 180
SECONDS_BETWEEN_DISTURBANCES = 0.8
READY_AT_LEAST = 60

MONITOR, REREAD, LOCK, FAILOVER, FULL = "monitor", "reread", "lock", "failover", "full-folder"
OPTIONAL_DISTURBANCES = (MONITOR, REREAD, LOCK, FAILOVER, FULL)
"""Disturbances that can be left out, to see which one a wrong result belongs to."""

LATE = "late writes rejected"
TOO_LARGE = "attempts at documents too large for the temporary folder"

OUTCOMES = "SELECT outcome, count(*) FROM ocr_attempt GROUP BY outcome"

ATTEMPTS_AT = """
SELECT count(*)
FROM ocr_attempt AS a
JOIN extraction_queue AS q ON q.id = a.queue_id
WHERE q.document_number = ANY(%s)
"""


class Chaos:
    """Causes disturbances for some time, and lets the queue run empty."""

    def __init__(self, testbed: Testbed, without: set[str]) -> None:
        self._testbed = testbed
        self._disturbances = disturbances.Disturbances(testbed)
        self._lock = other_programs.ForeignLock(testbed)
        self._without = without
        self._stopped = threading.Event()
        self._monitor = other_programs.Monitor(
            testbed,
            random.Random(testbed.rng.random()),
            rereads=REREAD not in without,
            claims=MONITOR not in without,
        )
        optional_as = {
            **dict.fromkeys(other_programs.MONITOR_DISTURBANCES, MONITOR),
            **dict.fromkeys(other_programs.REREAD_DISTURBANCES, REREAD),
            other_programs.LOCKS: LOCK,
            disturbances.FAILED_OVER: FAILOVER,
        }
        names = (
            *disturbances.DISTURBANCES,
            *other_programs.MONITOR_DISTURBANCES,
            *other_programs.REREAD_DISTURBANCES,
            other_programs.LOCKS,
        )
        testbed.occurrences.update({name: 0 for name in names if optional_as.get(name) not in without})

    def run(self, minutes: float) -> None:
        """Cause disturbances for so many minutes, then wait until the queue is empty."""
        other = threading.Thread(target=self._monitor.work, args=[self._stopped])
        end = time.monotonic() + 60 * minutes
        self._testbed.keep_workers()
        other.start()
        upcoming = chain(self._each_once(), repeat(self._random_one))
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                if self._testbed.count(READY) < READY_AT_LEAST:
                    self._testbed.enqueue(20)
                next(upcoming)()
            self._disturbances.end_expired()
            self._testbed.keep_workers()
            time.sleep(SECONDS_BETWEEN_DISTURBANCES)
        self._stopped.set()
        other.join()
        self._disturbances.end()
        self._drain()

    def end(self) -> None:
        """Leave no process, thread or setting behind."""
        self._stopped.set()
        self._disturbances.end()
        self._lock.wait()
        self._testbed.end_workers()

    def _each_once(self) -> list[Callable[[], None]]:
        """Return each kind of disturbance once, those that need a quiet server first, so that none is left out by chance."""
        one = self._disturbances
        optional = {FULL: self._testbed.enqueue_large, LOCK: self._lock.hold}
        failover = [] if FAILOVER in self._without else [one.fail_over]
        return [
            *(act for name, act in optional.items() if name not in self._without),
            one.freeze,
            one.kill,
            one.kill_ocr_process,
            one.stop,
            self._lock.wait,  # a restart would end its transaction
            one.cut_connections,
            one.restart_database,
            *failover,
        ]

    def _random_one(self) -> None:
        """Cause one kind of disturbance."""
        one = self._disturbances
        weighted: dict[Callable[[], None], int] = {
            one.kill: 5,
            one.freeze: 4,
            one.stop: 3,
            one.cut_connections: 3,
            one.kill_ocr_process: 4,
        }
        if LOCK not in self._without:
            weighted[self._lock.hold] = 1
        if not self._lock.is_held:
            weighted[one.restart_database] = 1
            if FAILOVER not in self._without:
                weighted[one.fail_over] = 1
        self._testbed.rng.choices([*weighted], [*weighted.values()])[0]()

    def _drain(self) -> None:
        give_up_at = time.monotonic() + DRAIN_SECONDS
        while self._testbed.count(UNFINISHED) and time.monotonic() < give_up_at:
            self._testbed.keep_workers()
            time.sleep(0.5)


def print_results(testbed: Testbed, minutes: float) -> int:
    """Print the table; return 1 if anything was lost, read twice or broken, or if a long run left a disturbance out."""
    with testbed.connected() as connection:
        wrong_results = results.find_wrong_results(connection, testbed.expected)
        outcomes = dict(connection.execute(OUTCOMES).fetchall())
        large = [name for name, one in testbed.expected.items() if one.large]
        if testbed.temporary is not None:
            row = connection.execute(ATTEMPTS_AT, [large]).fetchone()
            testbed.occurrences[TOO_LARGE] = row[0] if row else 0
    log = (testbed.folder / "workers.log").read_text(encoding="utf-8", errors="replace")
    testbed.occurrences[LATE] = log.count("too late") + log.count("was lost")
    kinds = Counter(wrong.kind for wrong in wrong_results)
    never = sum(one.unreadable for one in testbed.expected.values())
    for what, count in [
        ("documents", len(testbed.expected)),
        ("  of them never to be read", never),
        *sorted(testbed.occurrences.items()),
        *((f"attempts {outcome}", count) for outcome, count in sorted(outcomes.items(), key=str)),
        *((kind, kinds[kind]) for kind in results.KINDS),
    ]:
        print(f"{what:60} {count:8}")
    _show(wrong_results)
    missing = results.missing_disturbances(testbed.occurrences, minutes)
    if missing:
        print(f"did not happen, so nothing is shown of it: {', '.join(missing)}")
    return results.exit_code(wrong_results, missing)


def _show(wrong_results: list[WrongResult]) -> None:
    """Print the first of each kind."""
    for kind in results.KINDS:
        for wrong in [one for one in wrong_results if one.kind == kind][:10]:
            print(f"  {kind}: document {wrong.document}: {wrong.what}")


def main() -> int:
    """Run and check; the exit code is 1 if something was lost, read twice or broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument(
        "--without", action="append", choices=OPTIONAL_DISTURBANCES, default=[], help="leave a disturbance out"
    )
    arguments = parser.parse_args()
    print(f"{arguments.minutes:g} minutes, seed {arguments.seed}", flush=True)
    without = set(arguments.without)
    with tempfile.TemporaryDirectory(prefix="notaflow-chaos-") as name:
        folder = Path(name)
        with small_folder(folder / "temporary") as small, embedded_database(folder / "home") as url:
            migrate(url, sources=["index"])
            if small is None:
                without.add(FULL)
            testbed = Testbed(folder, url, arguments.seed, None if FULL in without else small)
            with testbed.connected() as connection:
                record_history(connection)
            chaos = Chaos(testbed, without)
            try:
                chaos.run(arguments.minutes)
            finally:
                chaos.end()
            return print_results(testbed, arguments.minutes)


if __name__ == "__main__":
    sys.exit(main())
