"""The chaos run itself: start workers, do them harm for some minutes, let the queue run empty, and judge."""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg
from PIL import Image
from psycopg import Connection

from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.storage import open_storage
from notaflow_pipeline.embedded import embedded_database
from notaflow_pipeline.queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.queue.migrating import migrate
from notaflow_pipeline.queue.oracle import find_violations
from notaflow_pipeline_tests.chaos.engine import (
    HEIGHTS_APART,
    HUNGRY_HEIGHT,
    POISON_HEIGHT,
    SLOW_HEIGHT,
    size_of,
    text_of,
)
from notaflow_pipeline_tests.faults.servers import pull_the_plug

WORKERS = 3
LEASE_SECONDS = 3
DRAIN_SECONDS = 180
SECONDS_BETWEEN_BLOWS = 0.8
READY_AT_LEAST = 60

LONG_ENOUGH_MINUTES = 1.5
"""A run of this length must have done every harm, and have rejected a late write, or it shows nothing."""

TERMINATE_BACKENDS = """
SELECT count(pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE application_name = 'notaflow_pipeline'
  AND pid <> pg_backend_pid()
"""

UNFINISHED = """
SELECT count(*)
FROM extraction_queue
WHERE status_id = 6
   OR (status_id = 3 AND file_content IS NULL AND ocr_attempts < ocr_max_attempts)
"""

READY = "SELECT count(*) FROM extraction_queue WHERE status_id = 3 AND ocr_attempts < ocr_max_attempts"

ENDS = """
SELECT q.document_number, q.status_id, q.file_content, q.ocr_attempts, q.ocr_max_attempts,
       count(a.id) FILTER (WHERE a.outcome = 'succeeded')
FROM extraction_queue AS q
LEFT JOIN ocr_attempt AS a ON a.queue_id = q.id
GROUP BY q.id
"""

OUTCOMES = "SELECT outcome, count(*) FROM ocr_attempt GROUP BY outcome"


HARMS = (
    "workers killed",
    "OCR processes killed",
    "workers frozen past their lease",
    "workers told to stop",
    "connections cut",
    "database restarts (immediate)",
)


class Chaos:
    """The workers, the database, and everything that is done to them."""

    def __init__(self, folder: Path, url: str, seed: int) -> None:
        self.folder = folder
        self.url = url
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter(dict.fromkeys(HARMS, 0))
        self.workers: list[subprocess.Popen[bytes]] = []
        self.frozen: dict[int, float] = {}
        self.expected: dict[str, tuple[int, int]] = {}
        self.storage = open_storage(str(folder / "documents"))
        (folder / "documents").mkdir()

    def start_worker(self) -> None:
        log = (self.folder / "workers.log").open("ab")
        environment = {
            **os.environ,
            "NOTAFLOW_DATABASE_URL": self.url,
            "NOTAFLOW_DOCUMENTS_URL": str(self.folder / "documents"),
            "OCR_WORKERS": "2",
            "OCR_LEASE_SECONDS": str(LEASE_SECONDS),
            "OCR_RETRY_BASE_SECONDS": "0.3",
        }
        command = [sys.executable, "-m", "notaflow_pipeline_tests.chaos.worker"]
        self.workers.append(subprocess.Popen(command, env=environment, stderr=log, start_new_session=True))
        log.close()

    def keep_workers(self, number: int) -> None:
        """Replace workers that are gone, as a supervisor would."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < number:
            self.start_worker()

    def enqueue(self, number: int) -> None:
        """Add documents, each of its own size: nearly all quick, a few slow, a few that kill or starve their worker."""
        with self.connected() as connection:
            for _ in range(number):
                kind = self.chance.choices([20, SLOW_HEIGHT, POISON_HEIGHT, HUNGRY_HEIGHT], [94, 3, 2, 1])[0]
                size = size_of(len(self.expected), kind)
                name = f"{len(self.expected)}"
                page = self.folder / "page.png"
                Image.new("L", size, 200).save(page)
                self.storage.store(Location("index", f"{name}.png"), page)
                self.expected[name] = size
                enqueue_document(connection, NewDocument("index", name, f"index/{name}.png"))

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection of the run's own, whenever the database is there again."""
        for _ in range(100):
            try:
                connection = psycopg.connect(self.url, autocommit=True, application_name="chaos")
            except psycopg.OperationalError:
                time.sleep(0.2)
            else:
                break
        with connection:
            yield connection

    def blow(self) -> None:
        """Do one kind of harm."""
        kinds = [self.kill, self.freeze, self.stop, self.cut_connections, self.restart_database, self.kill_ocr_process]
        self.chance.choices(kinds, [5, 4, 3, 3, 1, 4])[0]()

    def blow_first(self) -> Iterator[Callable[[], None]]:
        """Each kind of harm once, the rare ones first, so that chance leaves none out."""
        yield from (
            self.freeze,
            self.restart_database,
            self.stop,
            self.cut_connections,
            self.kill,
            self.kill_ocr_process,
        )

    def victim(self) -> subprocess.Popen[bytes] | None:
        awake = [worker for worker in self.workers if worker.poll() is None and worker.pid not in self.frozen]
        return self.chance.choice(awake) if awake else None

    def kill(self) -> None:
        if victim := self.victim():
            victim.kill()
            victim.wait()
            self.done["workers killed"] += 1

    def kill_ocr_process(self) -> None:
        if victim := self.victim():
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(victim.pid).children()
                if children:
                    self.chance.choice(children).kill()
                    self.done["OCR processes killed"] += 1

    def freeze(self) -> None:
        """Stop a worker for longer than its lease; it wakes up believing that it still holds its claims."""
        if len(self.frozen) < WORKERS - 1 and (victim := self.victim()):
            os.kill(victim.pid, signal.SIGSTOP)
            self.frozen[victim.pid] = time.monotonic() + LEASE_SECONDS * self.chance.uniform(1.2, 2.5)
            self.done["workers frozen past their lease"] += 1

    def thaw(self, *, everybody: bool = False) -> None:
        for pid, until in list(self.frozen.items()):
            if everybody or time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                del self.frozen[pid]

    def stop(self) -> None:
        if victim := self.victim():
            victim.terminate()
            self.done["workers told to stop"] += 1

    def cut_connections(self) -> None:
        with suppress(psycopg.OperationalError), self.connected() as connection:
            row = connection.execute(TERMINATE_BACKENDS).fetchone()
            self.done["connections cut"] += row[0] if row else 0

    def restart_database(self) -> None:
        """No shutdown, and recovery from the log at the start."""
        pull_the_plug(self.folder / "home")
        self.done["database restarts (immediate)"] += 1

    def count(self, query: LiteralString) -> int:
        with self.connected() as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def run(self, minutes: float) -> None:
        """Harm, for so many minutes; then no more harm, until the queue is empty."""
        end = time.monotonic() + 60 * minutes
        self.keep_workers(WORKERS)
        blows = chain(self.blow_first(), repeat(self.blow))
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                if self.count(READY) < READY_AT_LEAST:
                    self.enqueue(20)
                next(blows)()
            self.thaw()
            self.keep_workers(WORKERS)
            time.sleep(SECONDS_BETWEEN_BLOWS)
        self.thaw(everybody=True)
        give_up = time.monotonic() + DRAIN_SECONDS
        while self.count(UNFINISHED) and time.monotonic() < give_up:
            self.keep_workers(WORKERS)
            time.sleep(0.5)

    def end(self) -> None:
        """Leave no process behind."""
        self.thaw(everybody=True)
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(timeout=15)
            worker.kill()

    def judge(self, minutes: float) -> int:
        """Print the table; return 1 if anything was lost, doubled or broken, or if a long run left a harm out."""
        with self.connected() as connection:
            ends = connection.execute(ENDS).fetchall()
            outcomes = dict(connection.execute(OUTCOMES).fetchall())
            violations = list(find_violations(connection, sources=["index"]))
        deadly = {POISON_HEIGHT, HUNGRY_HEIGHT}
        poison = {name for name, size in self.expected.items() if size[1] % HEIGHTS_APART in deadly}
        lost = doubled = 0
        wrong = []
        for name, status, text, attempts, maximum, successes in ends:
            exhausted = status == 3 and text is None and attempts == maximum
            lost += not (status == 5 or exhausted)
            doubled += successes > 1
            expected = f"--- Page 1 ---\n{text_of(self.expected[name])}"
            if (status == 5 and text != expected) or (name in poison and not exhausted):
                wrong.append(f"document {name}: at {status} with {text!r} instead of {expected!r}")
        log = (self.folder / "workers.log").read_text(encoding="utf-8", errors="replace")
        late = log.count("too late") + log.count("was lost")
        rows: list[tuple[str, int]] = [
            ("documents", len(ends)),
            ("  of them poison", len(poison)),
            *sorted(self.done.items()),
            ("late writes rejected", late),
            ("attempts released", outcomes.get("released", 0)),
            ("attempts recovered (stuck)", outcomes.get("stuck", 0)),
            ("attempts superseded", outcomes.get("superseded", 0)),
            ("attempts failed", outcomes.get("failed", 0)),
            ("attempts succeeded", outcomes.get("succeeded", 0)),
            ("documents exhausted", sum(end[1] == 3 for end in ends)),
            ("documents lost", lost + len(self.expected) - len(ends)),
            ("documents doubled", doubled),
            ("wrong texts or poison not exhausted", len(wrong)),
            ("oracle violations", len(violations)),
        ]
        for what, count in rows:
            print(f"{what:40} {count:8}")
        for line in wrong[:10]:
            print(f"  {line}")
        for violation in violations[:10]:
            print(f"  {violation.invariant}: {violation.document_id} {violation.what}")
        left_out = [what for what, count in [*self.done.items(), ("late writes rejected", late)] if not count]
        if minutes >= LONG_ENOUGH_MINUTES and left_out:
            print(f"did not happen, so nothing is shown of it: {', '.join(left_out)}")
            return 1
        return int(any(count for _, count in rows[-4:]))


def main() -> int:
    """Run and judge; the exit code is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    print(f"{arguments.minutes:g} minutes, seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="notaflow-chaos-") as name:
        folder = Path(name)
        with embedded_database(folder / "home") as url:
            migrate(url, sources=["index"])
            chaos = Chaos(folder, url, arguments.seed)
            try:
                chaos.run(arguments.minutes)
            finally:
                chaos.end()
            return chaos.judge(arguments.minutes)


if __name__ == "__main__":
    sys.exit(main())
