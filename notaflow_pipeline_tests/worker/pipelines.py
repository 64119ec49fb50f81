"""Pipelines over a local folder, ready documents, and what is recorded of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from PIL import Image
from psycopg import Connection
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.model import Attempt
from notaflow_pipeline.job_queue.queries import attempts_of_document
from notaflow_pipeline.ocr.engines.interface import Engine
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.worker.claim_terms import ClaimTerms
from notaflow_pipeline.worker.pipeline import Pipeline
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline.worker.queue_client import QueueClient
from notaflow_pipeline_tests.ocr import samples


def ready(connection: Connection, supabase_path: str) -> UUID:
    return enqueue_document(connection, NewDocument("index", "2 784 195", supabase_path))


def ready_page(connection: Connection, folder: Path, name: str, size: tuple[int, int] = (60, 40)) -> UUID:
    Image.new("L", size, "white").save(folder / "index" / f"{name}.png")
    return ready(connection, f"index/{name}.png")


def ready_pages(connection: Connection, folder: Path, count: int) -> list[UUID]:
    return [ready_page(connection, folder, f"page{number}") for number in range(count)]


def small_pdf(folder: Path, name: str, pages: int) -> str:
    samples.plain_pdf(folder / "index" / name, pages, box=(72, 72))
    return f"index/{name}"


@contextmanager
def pipeline_over(
    pool: ConnectionPool[Connection],
    folder: Path,
    *,
    engine: Engine | None = None,
    storage: LocalFolder | None = None,
    workers: int = 2,
    lease_seconds: float = 60,
    pages_ahead: int = 6,
    limits: Limits | None = None,
) -> Iterator[Pipeline]:
    engine = engine or NullEngine()
    terms = ClaimTerms(
        worker_id="test",
        run_id=None,
        sources=("index",),
        lease=timedelta(seconds=lease_seconds),
        retry_base_seconds=600,
        stuck_after=timedelta(minutes=10),
    )
    with DocumentPool(engine, workers=workers, limits=limits or Limits()) as document_pool:
        yield Pipeline(
            queue=QueueClient(pool, terms),
            storage=storage or LocalFolder(folder),
            document_pool=document_pool,
            engine_name=engine.name,
            max_file_bytes=10_000_000,
            pages_ahead=pages_ahead,
        )


def row(connection: Connection, document: UUID) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM extraction_queue WHERE id = %s", [document]).fetchone()
    assert found is not None
    return found


def only_attempt(connection: Connection, document: UUID) -> Attempt:
    (attempt,) = attempts_of_document(connection, document)
    return attempt


def once(action: Callable[[], object]) -> Callable[[Progress], None]:
    """Return an `on_progress` that calls `action` after the first document only."""
    waiting = [action]

    def on_progress(progress: Progress) -> None:
        if waiting and progress.finished:
            waiting.pop()()

    return on_progress


def assert_released(connection: Connection, document: UUID) -> None:
    found = row(connection, document)
    assert (found["status_id"], found["ocr_attempts"], found["ocr_claim_id"]) == (3, 0, None)
    assert found["file_content"] is None
    assert all(one.outcome == "released" for one in attempts_of_document(connection, document))


@dataclass(frozen=True)
class OneBadSector(LocalFolder):
    """A folder in which one file, or all, cannot be read. (File permissions do not restrict root.)"""

    bad: str = ""

    def fetch(self, location: Location, destination: Path, max_bytes: int) -> int:
        if self.bad in {location.name, "any"}:
            raise self._unusable(OSError(5, "Input/output error"))
        return super().fetch(location, destination, max_bytes)
