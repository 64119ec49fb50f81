"""Where the rooms meet: claimed documents in, recorded outcomes out.

One worker's surroundings, the terms on which it claims, and the errands that it does for its documents; how the documents
of a batch move on is `batch`'s. What does not belong here: Dagster, the terminal, and how any of the steps is done.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout

from notaflow_pipeline.documents.location import buckets_of
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.job_queue import claims, outcomes, releases
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, describe_transient, is_transient
from notaflow_pipeline.job_queue.maintenance.recovery import REPAIRS, Recovered, recover
from notaflow_pipeline.job_queue.model import ERROR_PREFIX, Attempt, Claim, Failure, Reading, Recording
from notaflow_pipeline.job_queue.queries import attempts_of_document, has_unfinished
from notaflow_pipeline.job_queue.queue_head import QueueHead
from notaflow_pipeline.job_queue.schema.check import require_schema
from notaflow_pipeline.job_queue.schema.privileges import require_privileges
from notaflow_pipeline.ocr.reading import Reader
from notaflow_pipeline.worker.batch import Batch
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline.worker.undecided import FAILED_RELEASE

__all__ = ["ClaimTerms", "Pipeline", "Progress"]

log = logging.getLogger(__name__)

RECOVER_SECONDS = 10.0
"""A worker begins to read, and goes on with the recovery of what is left when there is nothing to read."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ClaimTerms:
    """On which terms documents are claimed and given back: who claims, and what a failure costs."""

    worker_id: str
    run_id: str | None
    sources: tuple[str, ...]
    lease: timedelta
    retry_base_seconds: float
    stuck_after: timedelta
    mirror_errors: bool = True
    exhausted_status: int = 3
    instance: UUID = field(default_factory=uuid4)
    """This process's work: two workers may share a worker id, never this."""


@dataclass(frozen=True)
class Pipeline:
    """One worker's surroundings: a database, a storage and an engine, and the terms on which it works."""

    pool: ConnectionPool[Connection]
    storage: DocumentStorage
    reader: Reader
    engine_name: str
    terms: ClaimTerms
    max_file_bytes: int
    pages_ahead: int
    """How many pages may wait for a core before no more documents are claimed."""

    head: QueueHead = field(default_factory=QueueHead)

    def check(self) -> None:
        """Refuse to start when the surroundings are not fit for work; no row is touched.

        Raises:
            SchemaMismatch, DatabaseUnavailable, StorageUnavailable, EngineUnavailable: with what to do.
        """
        with self.pool.connection() as connection:
            require_schema(connection, self.terms.sources)
            require_privileges(connection)
        self.check_storage()
        self.reader.check()

    def check_storage(self) -> None:
        """Raise StorageUnavailable unless the storage, and the buckets of the enabled sources, can be read."""
        self.storage.check(buckets_of(self.terms.sources))

    def attempts(self, claim: Claim) -> list[Attempt]:
        """Return the attempts of a claim's document, oldest first, the open one too."""

        def ask() -> list[Attempt]:
            with self.pool.connection() as connection:
                return attempts_of_document(connection, claim.document_id)

        return self.retry_until_available(ask)

    def recover(self) -> Recovered:
        """Send rows that nobody works on any more back to ready, for a few seconds: the result says whether that was all.

        A repair that the database refuses is logged and keeps nobody from working.

        Raises:
            DatabaseUnavailable: the database went away and did not come back.
        """

        def make(repair: str) -> Recovered:
            with self.pool.connection() as connection:
                return recover(
                    connection,
                    sources=self.terms.sources,
                    stuck_after=self.terms.stuck_after,
                    mirror_errors=self.terms.mirror_errors,
                    exhausted_status=self.terms.exhausted_status,
                    repairs=[repair],
                    seconds=RECOVER_SECONDS,
                )

        # one by one: all together take so many statements that a bad network never lets them end
        recovered = sum((self.retry_until_available(partial(make, repair)) for repair in REPAIRS), Recovered())
        for what, reason in recovered.failed.items():
            log.warning("Recovery left rows as they are (%s): %s.", what.replace("_", " "), reason)
        return recovered

    def has_unfinished(self) -> bool:
        """Whether any document is neither done nor exhausted."""

        def ask() -> bool:
            with self.pool.connection() as connection:
                return has_unfinished(connection, sources=self.terms.sources)

        return self.retry_until_available(ask)

    def claim(self, limit: int) -> list[Claim]:
        """Claim up to `limit` documents."""
        with self.pool.connection() as connection:
            return claims.claim_documents(
                connection,
                limit=limit,
                sources=self.terms.sources,
                worker_id=self.terms.worker_id,
                run_id=self.terms.run_id,
                lease=self.terms.lease,
                instance=self.terms.instance,
                head=self.head,
            )

    def record_texts(self, texts: Sequence[tuple[Claim, Reading]]) -> dict[int, Recording]:
        """Record documents' texts; return what became of each, by token."""
        with self.pool.connection() as connection:
            return outcomes.record_texts(connection, texts)

    def record_failure(self, claim: Claim, failure: Failure, fetch_seconds: float, source_bytes: int) -> Recording:
        """Record why a document could not be read."""
        with self.pool.connection() as connection:
            return outcomes.record_failure(
                connection,
                claim,
                failure,
                error=ERROR_PREFIX + failure.sentence,
                fetch_seconds=fetch_seconds,
                source_bytes=source_bytes,
                retry_base_seconds=self.terms.retry_base_seconds,
                mirror_errors=self.terms.mirror_errors,
                exhausted_status=self.terms.exhausted_status,
            )

    def release(self, tokens: Sequence[int], *, reason: str) -> int:
        """Give claims back with their attempts; return how many were still held."""
        with self.pool.connection(timeout=5) as connection:
            return releases.release(connection, tokens, reason=reason)

    def release_everything(self, *, reason: str) -> int:
        """Give back whatever this process claimed and has not finished, whether it knows of it or not."""
        with self.pool.connection(timeout=5) as connection:
            return releases.release_instance(connection, self.terms.instance, reason=reason)

    def release_held(self, held: Sequence[int], failed: Sequence[int]) -> None:
        """Release the claims `held`, and one that was committed when the interruption came.

        Twice, because the connection can be cut at this very moment and a new one is made at once; if the database is
        unavailable, the leases run out by themselves. `failed` are those of documents that failed, see `undecided`.
        """
        reason = "the worker stopped or the infrastructure failed"
        for last in (False, True):
            try:
                self.release(failed, reason=FAILED_RELEASE)
                self.release(held, reason=reason)
                self.release_everything(reason=reason)
            except (psycopg.Error, PoolTimeout) as unreachable:
                if last or isinstance(unreachable, PoolTimeout):
                    log.warning("%d claims were not released (%s); their leases will run out", len(held), unreachable)
                    return
            else:
                return

    def retry_until_available(self, change: Callable[[], Answer]) -> Answer:
        """Make a change, again and again while the database is away, for as long as our leases may still hold.

        Raises:
            DatabaseUnavailable: it did not come back in that time.
        """
        give_up_at = time.monotonic() + self.terms.lease.total_seconds()
        said = False
        while True:
            try:
                return change()
            except (psycopg.Error, PoolTimeout) as away:
                if isinstance(away, psycopg.Error) and not is_transient(away):
                    raise
                if time.monotonic() > give_up_at:
                    raise DatabaseUnavailable(f"the database went away and did not come back: {away}") from away
                if not said:
                    log.warning("%s; trying again for %.0f s", describe_transient(away), give_up_at - time.monotonic())
                    said = True
                time.sleep(1)

    def work(
        self,
        claimed: Sequence[Claim] = (),
        *,
        limit: int,
        on_progress: Callable[[Progress], None] = lambda _: None,
        linger_seconds: float = 0.0,
    ) -> Progress:
        """Read and record the `claimed` documents, and claim more while there are any, up to `limit` in all.

        A document's failure is recorded on its row. When the surroundings fail or the work is interrupted, what is in
        hand is released with its attempt. `on_progress` is called after each page and each document. After
        its last document, the work goes on looking for more for `linger_seconds`.

        Raises:
            StorageUnavailable, EngineUnavailable, DatabaseUnavailable: the surroundings' fault, after giving back.
        """
        return Batch(self, limit, on_progress, linger_seconds).work(claimed)
