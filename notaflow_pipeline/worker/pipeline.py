"""Checks a worker's queue, storage and OCR engine together, and reads batches of documents with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from notaflow_pipeline.documents.location import buckets_of
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.worker.batch import Batch
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline.worker.queue_client import QueueClient


@dataclass(frozen=True)
class Pipeline:
    """The queue, storage and OCR processes of one worker."""

    queue: QueueClient
    storage: DocumentStorage
    document_pool: DocumentPool
    engine_name: str
    max_file_bytes: int
    pages_ahead: int
    """How many pages may wait for a core before no more documents are claimed."""

    def check(self) -> None:
        """Raise if database, storage or engine cannot be used; no row is changed.

        Raises:
            SchemaMismatch, DatabaseUnavailable, StorageUnavailable, EngineUnavailable: the message says what to do.
        """
        self.queue.check()
        self.storage.check(buckets_of(self.queue.terms.sources))
        self.document_pool.check()

    def work(
        self,
        claimed: Sequence[Claim] = (),
        *,
        limit: int,
        on_progress: Callable[[Progress], None] = lambda _: None,
        wait_for_more_seconds: float = 0.0,
    ) -> Progress:
        """Read and record the `claimed` documents, and claim more while there are any, up to `limit` in all.

        A document's failure is recorded on its row. When the infrastructure fails or the work is interrupted, unfinished
        claims are released without counting their attempts. `on_progress` is called after each page and each document.
        After the last document it tries to claim more for `wait_for_more_seconds`.

        Raises:
            StorageUnavailable, EngineUnavailable, DatabaseUnavailable: the infrastructure failed; claims were released.
            ClaimsRefused: the database refuses to claim any of the ready documents.
            OutcomeRefused: the database refuses the texts of several documents in a row; claims were released.
        """
        batch = Batch(
            self.queue,
            self.storage,
            self.document_pool,
            engine_name=self.engine_name,
            max_file_bytes=self.max_file_bytes,
            pages_ahead=self.pages_ahead,
            limit=limit,
            on_progress=on_progress,
            wait_for_more_seconds=wait_for_more_seconds,
        )
        return batch.work(claimed)
