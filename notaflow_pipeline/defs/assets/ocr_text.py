"""The asset `ocr_text` and its ops: claim documents, OCR them, summarise the batch."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import dagster as dg
import psycopg
from pydantic import Field

from notaflow_pipeline.defs.assets.batch_metadata import attempts_to_show, batch_metadata
from notaflow_pipeline.defs.ocr_runs import OCR_POOL, OCR_RUN_TAG
from notaflow_pipeline.defs.ownership import OWNERS, TAGS, source_file
from notaflow_pipeline.defs.resources import EngineResource, QueueResource, StorageResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.defs.table_columns import TEXT_COLUMNS, table_metadata
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline.job_queue.queries import attempts_of_run, count_ready, document_numbers
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline.worker.assembly import PAGES_AHEAD_PER_WORKER, assemble
from notaflow_pipeline.worker.progress import Progress

LOG_EVERY_SECONDS = 5
"""A line in the event log costs some 5 ms and a row of 1.4 kB (measured)."""

RELEASED_SECONDS = 2.0
"""How long a run that was stopped waits for the database to count what it released."""

WAIT_FOR_MORE_SECONDS = 5.0
"""How long a run without documents tries to claim more before it ends: a claim a second; another run costs three seconds
of a core to start."""


class ClaimConfig(dg.Config):
    """The size of a batch."""

    limit: int | None = Field(
        default=None, ge=1, le=10_000, description="Documents in this run at most; OCR_DOCUMENTS_PER_RUN if not given."
    )


@dataclass(frozen=True)
class ClaimedBatch:
    """The documents that a run has claimed so far, and how many it may claim in all."""

    claimed: tuple[Claim, ...] | None
    """None: the claims were another run's and ended with it; documents are claimed again."""
    limit: int


class ClaimedDocumentsInMemory(dg.InMemoryIOManager):
    """Passes values between ops in the memory of the run's process. A run re-executed from its failure claims again."""

    def load_input(self, context: dg.InputContext) -> object:
        """Return the value that an earlier op of this process stored, or a batch without claims."""
        try:
            return super().load_input(context)
        except KeyError:
            return ClaimedBatch(None, load_settings().documents_per_run)


@dg.io_manager(description="Passes batches on in the memory of the run's process; nothing is written to disk.")
def claimed_documents_in_memory(_: dg.InitResourceContext) -> ClaimedDocumentsInMemory:
    """Return the I/O manager of a run."""
    return ClaimedDocumentsInMemory()  # type: ignore[no-untyped-call]


@dg.op(ins={"extraction_queue": dg.In(dg.Nothing)}, tags={"kind": "postgres"})
@described_failures()
def claim_documents(
    context: dg.OpExecutionContext,
    config: ClaimConfig,
    queue: QueueResource,
    storage: StorageResource,
    engine: EngineResource,
) -> ClaimedBatch:
    """Check database, storage and engine, and claim the first documents."""
    settings = load_settings()
    context.instance.add_run_tags(context.run_id, OCR_RUN_TAG)  # a run from the asset's page has none
    pipeline = assemble(
        settings, pool=queue.pool, storage=storage.open(), document_pool=engine.open(), run_id=context.run_id
    )
    limit = config.limit or settings.documents_per_run
    first = min(limit, settings.workers * PAGES_AHEAD_PER_WORKER)
    claimed = pipeline.queue.claim(first)
    context.log.info("Claimed the first %s.", count_of(len(claimed), "document"))
    return ClaimedBatch(tuple(claimed), limit)


@dg.op(out=dg.Out(dg.Nothing), config_schema={}, pool=OCR_POOL, tags={"kind": "tesseract"})
@described_failures()
def ocr_documents(
    context: dg.OpExecutionContext,
    batch: ClaimedBatch,
    queue: QueueResource,
    storage: StorageResource,
    engine: EngineResource,
) -> None:
    """OCR the claimed documents on all cores, claim more as cores become free, and record each outcome at once."""
    if batch.claimed == ():
        context.log.info("Nothing was ready.")
        return
    with engine.open() as document_pool:
        pipeline = assemble(
            load_settings(), pool=queue.pool, storage=storage.open(), document_pool=document_pool, run_id=context.run_id
        )
        with queue.pool.connection() as connection:
            ready = count_ready(connection, sources=load_settings().sources, at_most=batch.limit)
        expected = min(batch.limit, len(batch.claimed or ()) + ready)
        try:
            total = pipeline.work(
                batch.claimed or (),
                limit=batch.limit,
                on_progress=_log_progress(context, expected),
                wait_for_more_seconds=WAIT_FOR_MORE_SECONDS,
            )
        except BaseException:
            _log_released(context, queue)
            raise
    if total.lost:
        context.log.warning("%s came too late and changed nothing.", count_of(total.lost, "outcome"))


@dg.op(ins={"done": dg.In(dg.Nothing)}, config_schema={}, tags={"kind": "pandas"})
@described_failures()
def summarise_batch(context: dg.OpExecutionContext, queue: QueueResource) -> dg.Output[None]:
    """Add the outcome of each of the run's documents to the materialisation, without any text."""
    with queue.pool.connection() as connection:
        attempts = attempts_of_run(connection, context.run_id)
        numbers = document_numbers(connection, {one.queue_id for one in attempts_to_show(attempts)})
    return dg.Output(None, metadata=batch_metadata(attempts, numbers))


@dg.graph_asset(
    ins={"extraction_queue": dg.AssetIn(dagster_type=dg.Nothing)},
    group_name="ocr",
    owners=OWNERS,
    tags=TAGS,
    kinds={"tesseract", "postgres"},
    metadata=table_metadata("extraction_queue", TEXT_COLUMNS) | source_file(__file__),
    description=(
        "The text of every document that is ready for OCR, in `extraction_queue.file_content`. Each materialisation is one "
        "batch: documents are claimed, read on all cores, and recorded one by one. `ocr_ready_sensor` launches it."
    ),
)
def ocr_text(extraction_queue: object) -> None:
    """Build the asset from its ops."""
    return summarise_batch(done=ocr_documents(claim_documents(extraction_queue)))  # type: ignore[no-any-return]


def _log_released(context: dg.OpExecutionContext, queue: QueueResource) -> None:
    """Log how many claims of this run were released, if it ends before all its documents are done."""
    with suppress(psycopg.Error), queue.pool.connection(timeout=RELEASED_SECONDS) as connection:
        released = sum(one.outcome == "released" for one in attempts_of_run(connection, context.run_id))
        context.log.info("Released %s; the attempts do not count.", count_of(released, "document"))


def _log_progress(context: dg.OpExecutionContext, expected: int) -> Callable[[Progress], None]:
    """Return what logs progress, at most every few seconds; `expected` is how many documents the run will probably read."""
    began = last = time.monotonic()

    def log(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LOG_EVERY_SECONDS:
            return
        last = now
        pages = progress.pages + progress.pages_in_progress
        context.log.info(
            "%s; %d failed; %s, %.0f a minute.",
            progress.describe(expected, now - began),
            progress.failed.total(),
            count_of(pages, "page"),
            60 * pages / (now - began),
        )

    return log
