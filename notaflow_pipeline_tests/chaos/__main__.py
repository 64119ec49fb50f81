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
from notaflow_pipeline_tests.chaos import actors, other_programs, verdict
from notaflow_pipeline_tests.chaos.history import record_history
from notaflow_pipeline_tests.chaos.runner import READY, UNFINISHED, World
from notaflow_pipeline_tests.chaos.temporary_space import small_folder
from notaflow_pipeline_tests.chaos.verdict import Fault

DRAIN_SECONDS = 180
SECONDS_BETWEEN_BLOWS = 0.8
READY_AT_LEAST = 60

MONITOR, REREAD, LOCK, FAILOVER, FULL = "monitor", "reread", "lock", "failover", "full-folder"
OPTIONAL = (MONITOR, REREAD, LOCK, FAILOVER, FULL)
"""Actors that can be left out, to see which one a fault belongs to."""

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

    def __init__(self, world: World, without: set[str]) -> None:
        self._world = world
        self._actors = actors.Actors(world)
        self._lock = other_programs.ForeignLock(world)
        self._without = without
        self._stopped = threading.Event()
        self._monitor = other_programs.Monitor(
            world,
            random.Random(world.chance.random()),
            rereads=REREAD not in without,
            claims=MONITOR not in without,
        )
        left_out = {
            **dict.fromkeys(other_programs.MONITOR_HARMS, MONITOR),
            **dict.fromkeys(other_programs.REREAD_HARMS, REREAD),
            other_programs.LOCKS: LOCK,
            actors.FAILED_OVER: FAILOVER,
        }
        harms = (*actors.HARMS, *other_programs.MONITOR_HARMS, *other_programs.REREAD_HARMS, other_programs.LOCKS)
        world.done.update({harm: 0 for harm in harms if left_out.get(harm) not in without})

    def run(self, minutes: float) -> None:
        """Cause disturbances for so many minutes, then wait until the queue is empty."""
        other = threading.Thread(target=self._monitor.work, args=[self._stopped])
        end = time.monotonic() + 60 * minutes
        self._world.keep_workers()
        other.start()
        blows = chain(self._first(), repeat(self._any))
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                if self._world.count(READY) < READY_AT_LEAST:
                    self._world.enqueue(20)
                next(blows)()
            self._actors.go_on()
            self._world.keep_workers()
            time.sleep(SECONDS_BETWEEN_BLOWS)
        self._stopped.set()
        other.join()
        self._actors.end()
        self._drain()

    def end(self) -> None:
        """Leave no process, thread or setting behind."""
        self._stopped.set()
        self._actors.end()
        self._lock.wait()
        self._world.end_workers()

    def _first(self) -> list[Callable[[], None]]:
        """Return each kind of disturbance once, those that need a quiet server first, so that none is left out by chance."""
        one = self._actors
        optional = {FULL: self._world.enqueue_large, LOCK: self._lock.hold}
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

    def _any(self) -> None:
        """Cause one kind of disturbance."""
        one = self._actors
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
        self._world.chance.choices([*weighted], [*weighted.values()])[0]()

    def _drain(self) -> None:
        give_up_at = time.monotonic() + DRAIN_SECONDS
        while self._world.count(UNFINISHED) and time.monotonic() < give_up_at:
            self._world.keep_workers()
            time.sleep(0.5)


def judge(world: World, minutes: float) -> int:
    """Print the table; return 1 if anything was lost, doubled or broken, or if a long run left a harm out."""
    with world.connected() as connection:
        faults = verdict.find_faults(connection, world.expected)
        outcomes = dict(connection.execute(OUTCOMES).fetchall())
        large = [name for name, one in world.expected.items() if one.large]
        if world.temporary is not None:
            row = connection.execute(ATTEMPTS_AT, [large]).fetchone()
            world.done[TOO_LARGE] = row[0] if row else 0
    log = (world.folder / "workers.log").read_text(encoding="utf-8", errors="replace")
    world.done[LATE] = log.count("too late") + log.count("was lost")
    kinds = Counter(fault.kind for fault in faults)
    never = sum(one.never_read for one in world.expected.values())
    for what, count in [
        ("documents", len(world.expected)),
        ("  of them never to be read", never),
        *sorted(world.done.items()),
        *((f"attempts {outcome}", count) for outcome, count in sorted(outcomes.items(), key=str)),
        *((kind, kinds[kind]) for kind in verdict.KINDS),
    ]:
        print(f"{what:60} {count:8}")
    _show(faults)
    missing = verdict.left_out(world.done, minutes)
    if missing:
        print(f"did not happen, so nothing is shown of it: {', '.join(missing)}")
    return verdict.exit_code(faults, missing)


def _show(faults: list[Fault]) -> None:
    """Print the first of each kind."""
    for kind in verdict.KINDS:
        for fault in [one for one in faults if one.kind == kind][:10]:
            print(f"  {kind}: document {fault.document}: {fault.what}")


def main() -> int:
    """Run and check; the exit code is 1 if something was lost, doubled or broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--without", action="append", choices=OPTIONAL, default=[], help="leave an actor out")
    arguments = parser.parse_args()
    print(f"{arguments.minutes:g} minutes, seed {arguments.seed}", flush=True)
    without = set(arguments.without)
    with tempfile.TemporaryDirectory(prefix="notaflow-chaos-") as name:
        folder = Path(name)
        with small_folder(folder / "temporary") as small, embedded_database(folder / "home") as url:
            migrate(url, sources=["index"])
            if small is None:
                without.add(FULL)
            world = World(folder, url, arguments.seed, None if FULL in without else small)
            with world.connected() as connection:
                record_history(connection)
            chaos = Chaos(world, without)
            try:
                chaos.run(arguments.minutes)
            finally:
                chaos.end()
            return judge(world, arguments.minutes)


if __name__ == "__main__":
    sys.exit(main())
