"""The workers, database and documents of a chaos run, with the expected result of each document."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import LiteralString

import psycopg
from PIL import Image
from psycopg import Connection

from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.storage import open_storage
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.chaos.engine import MEMORY_HEIGHT, POISON_HEIGHT, SLOW_HEIGHT, size_of, text_of
from notaflow_pipeline_tests.chaos.results import Expected
from notaflow_pipeline_tests.chaos.temporary_space import LARGE_BYTES

WORKERS = 3
LEASE_SECONDS = 3
STUCK_SECONDS = 15
"""After which a row that another program left at 6 is recovered."""


CHAOS_PROGRAM = "chaos"

LARGE = "large"
"""A kind of document, besides the heights of the engine."""

QUICK_HEIGHT = 20

UNFINISHED = """
SELECT count(*)
FROM extraction_queue
WHERE status_id = 6
   OR (status_id = 3 AND file_content IS NULL AND ocr_attempts < ocr_max_attempts)
   OR (status_id = 5 AND ocr_reread_requested_at IS NOT NULL)
"""

READY = "SELECT count(*) FROM extraction_queue WHERE status_id = 3 AND ocr_attempts < ocr_max_attempts"


class Testbed:
    """The workers, the database, and the disturbances so far."""

    def __init__(self, folder: Path, url: str, seed: int, temporary: Path | None) -> None:
        self.folder = folder
        self.url = url
        self.temporary = temporary
        """The small folder for the workers' temporary files; None if it cannot be created."""
        self.rng = random.Random(seed)
        self.occurrences: Counter[str] = Counter()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.frozen: dict[int, float] = {}
        self.expected: dict[str, Expected] = {}
        self.storage = open_storage(str(folder / "documents"))
        (folder / "documents").mkdir()

    def start_worker(self) -> None:
        environment = {
            **os.environ,
            "NOTAFLOW_DATABASE_URL": self.url,
            "NOTAFLOW_DOCUMENTS_URL": str(self.folder / "documents"),
            "OCR_WORKERS": "2",
            "OCR_LEASE_SECONDS": str(LEASE_SECONDS),
            "OCR_STUCK_MINUTES": str(STUCK_SECONDS / 60),
            "OCR_RETRY_BASE_SECONDS": "0.3",
        }
        if self.temporary is not None:
            environment["TMPDIR"] = str(self.temporary)
        command = [sys.executable, "-m", "notaflow_pipeline_tests.chaos.worker"]
        with (self.folder / "workers.log").open("ab") as log:
            self.workers.append(subprocess.Popen(command, env=environment, stderr=log, start_new_session=True))

    def keep_workers(self) -> None:
        """Replace workers that have ended, as a supervisor would."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < WORKERS:
            self.start_worker()

    def end_workers(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(timeout=15)
            worker.kill()
            worker.wait()

    @contextmanager
    def connected(self, program: str = CHAOS_PROGRAM) -> Iterator[Connection]:
        """Connect with this application name, as soon as the database can be reached."""
        options = (
            "-c default_transaction_read_only=off" if program == CHAOS_PROGRAM else ""
        )  # a failover is for the others
        for _ in range(100):
            try:
                connection = psycopg.connect(self.url, autocommit=True, application_name=program, options=options)
            except psycopg.OperationalError:
                time.sleep(0.2)
            else:
                break
        with connection:
            yield connection

    def count(self, query: LiteralString) -> int:
        with self.connected() as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def enqueue(self, number: int) -> None:
        """Add documents: most are quick, a few slow, fatal for their worker, or too large for the folder."""
        kinds: list[int | str] = [QUICK_HEIGHT, SLOW_HEIGHT, POISON_HEIGHT, MEMORY_HEIGHT, LARGE]
        weights = [94, 3, 2, 1, 0 if self.temporary is None else 1]
        with self.connected() as connection:
            for kind in self.rng.choices(kinds, weights, k=number):
                self._enqueue(connection, kind)

    def enqueue_large(self) -> None:
        """Add a document that is larger than the workers' temporary folder."""
        with self.connected() as connection:
            self._enqueue(connection, LARGE)

    def _enqueue(self, connection: Connection, kind: int | str) -> None:
        name = f"{len(self.expected)}"
        height = QUICK_HEIGHT if isinstance(kind, str) else kind
        size = size_of(len(self.expected), height)
        page = self.folder / "page.png"
        Image.new("L", size, 200).save(page)
        if kind == LARGE:
            with page.open("ab") as file:  # what follows the end of a PNG is ignored
                file.write(bytes(LARGE_BYTES))
        self.storage.store(Location("index", f"{name}.png"), page)
        unreadable = kind in {POISON_HEIGHT, MEMORY_HEIGHT, LARGE}
        self.expected[name] = Expected(f"--- Page 1 ---\n{text_of(size)}", unreadable, large=kind == LARGE)
        enqueue_document(connection, NewDocument("index", name, f"index/{name}.png"))
