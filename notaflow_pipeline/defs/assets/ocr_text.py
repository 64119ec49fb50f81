"""The assets `extraction_queue` and `ocr_text`, and the ops that make the one from the other.

What does not belong here: when that happens (`sensors.ocr_ready`), and how (`pipeline`).
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import dagster as dg
from pydantic import Field

from notaflow_pipeline.defs.resources import EngineResource, QueueResource, StorageResource
from notaflow_pipeline.job_queue.model import Attempt, Claim
from notaflow_pipeline.job_queue.queries import attempts_of_run, document_numbers
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline.worker.assembly import PAGES_AHEAD_PER_WORKER, assemble
from notaflow_pipeline.worker.progress import Progress

LOG_EVERY_SECONDS = 5
"""A line in the event log costs some 5 ms and a row of 1.4 kB (measured for the project's notes on Dagster)."""

LINGER_SECONDS = 5.0
"""How long a run without documents looks for more before it ends: a claim a second, where another run costs three seconds
of a core to start."""

ROWS_SHOWN = 200
"""How many documents the table of a run lists; the rest is in `ocr_attempt`."""

extraction_queue = dg.AssetSpec(
    "extraction_queue",
    description=(
        "The table of ordered land-registry documents. NotaFlow's extraction stage adds a row per document and sets it to "
        "status 3 when the scan lies in storage; this project reads every such row of the enabled sources."
    ),
    kinds={"postgres"},
    group_name="ocr",
)


class ClaimConfig(dg.Config):
    """How much one run takes on."""

    limit: int | None = Field(
        default=None, ge=1, le=10_000, description="Documents in this run at most; OCR_DOCUMENTS_PER_RUN if not given."
    )


@dataclass(frozen=True)
class ClaimedDocuments:
    """What one run takes on: the documents that it has claimed already, and how many it may claim in all."""

    claimed: tuple[Claim, ...] | None
    """None: the claims were another run's and ended with it; what is ready is claimed anew."""
    limit: int


class ClaimedDocumentsInMemory(dg.InMemoryIOManager):
    """What passes between ops stays in the run's process. A run that is executed again from its failure claims anew."""

    def load_input(self, context: dg.InputContext) -> object:
        """Return what this process's run passed on, or a batch without claims."""
        try:
            return super().load_input(context)
        except KeyError:
            return ClaimedDocuments(None, load_settings().documents_per_run)


@dg.io_manager(description="Passes batches on in the memory of the run's process; nothing is written to disk.")
def claimed_documents_in_memory(_: dg.InitResourceContext) -> ClaimedDocumentsInMemory:
    """Make one for a run."""
    return ClaimedDocumentsInMemory()  # type: ignore[no-untyped-call]


@dg.op(ins={"extraction_queue": dg.In(dg.Nothing)}, tags={"kind": "postgres"})
def claim_documents(
    context: dg.OpExecutionContext,
    config: ClaimConfig,
    queue: QueueResource,
    storage: StorageResource,
    engine: EngineResource,
) -> ClaimedDocuments:
    """Check the surroundings, and claim the first documents."""
    settings = load_settings()
    pipeline = assemble(settings, pool=queue.pool, storage=storage.open(), reader=engine.open(), run_id=context.run_id)
    limit = config.limit or settings.documents_per_run
    first = min(limit, settings.workers * PAGES_AHEAD_PER_WORKER)
    claimed = pipeline.queue.claim(first)
    context.log.info("Claimed the first %d documents.", len(claimed))
    return ClaimedDocuments(tuple(claimed), limit)


@dg.op(out=dg.Out(dg.Nothing), config_schema={}, tags={"kind": "tesseract"})
def ocr_documents(
    context: dg.OpExecutionContext,
    batch: ClaimedDocuments,
    queue: QueueResource,
    storage: StorageResource,
    engine: EngineResource,
) -> None:
    """Read the documents on all cores, claiming more as cores become free; record each outcome as it is known."""
    if batch.claimed == ():
        context.log.info("Nothing was ready.")
        return
    with engine.open() as reader:
        pipeline = assemble(
            load_settings(), pool=queue.pool, storage=storage.open(), reader=reader, run_id=context.run_id
        )
        total = pipeline.work(
            batch.claimed or (),
            limit=batch.limit,
            on_progress=_log_now_and_then(context),
            linger_seconds=LINGER_SECONDS,
        )
    if total.lost:
        context.log.warning("%d outcomes came too late and changed nothing.", total.lost)


@dg.op(ins={"done": dg.In(dg.Nothing)}, config_schema={}, tags={"kind": "pandas"})
def record_batch(context: dg.OpExecutionContext, queue: QueueResource) -> dg.Output[None]:
    """Say what became of the run's documents, from the attempts that it recorded; no document's text is shown."""
    with queue.pool.connection() as connection:
        attempts = attempts_of_run(connection, context.run_id)
        numbers = document_numbers(connection, {one.queue_id for one in attempts[:ROWS_SHOWN]})
    return dg.Output(None, metadata=batch_metadata(attempts, numbers))


@dg.graph_asset(
    ins={"extraction_queue": dg.AssetIn(dagster_type=dg.Nothing)},
    group_name="ocr",
    kinds={"tesseract", "postgres"},
    description=(
        "The text of every document that is ready for OCR, in `extraction_queue.file_content`. Each materialisation is one "
        "batch: documents are claimed, read on all cores, and recorded one by one. `ocr_ready_sensor` launches it."
    ),
)
def ocr_text(extraction_queue: object) -> None:
    """Build the asset from its ops."""
    return record_batch(done=ocr_documents(claim_documents(extraction_queue)))  # type: ignore[no-any-return]


def batch_metadata(attempts: Sequence[Attempt], numbers: Mapping[UUID, str]) -> dict[str, dg.MetadataValue]:
    """Return what a person wants to see of a run: figures for the plots, and a table of its documents without any text."""
    succeeded = [one for one in attempts if one.outcome == "succeeded"]
    failures = Counter(one.failure_kind or "unknown" for one in attempts if one.outcome in {"failed", "stuck"})
    pages = sum(one.pages or 0 for one in succeeded)
    finished = [one.finished_at for one in attempts if one.finished_at is not None]
    figures: dict[str, dg.MetadataValue] = {
        "documents": dg.MetadataValue.int(len(attempts)),
        "succeeded": dg.MetadataValue.int(len(succeeded)),
        "failed": dg.MetadataValue.int(failures.total()),
        "pages": dg.MetadataValue.int(pages),
        "pages_blank": dg.MetadataValue.int(sum(one.pages_blank or 0 for one in succeeded)),
        "pages_text_layer": dg.MetadataValue.int(sum(one.pages_text_layer or 0 for one in succeeded)),
        "pages_failed": dg.MetadataValue.int(sum(one.pages_failed or 0 for one in succeeded)),
        "characters": dg.MetadataValue.int(sum(one.characters or 0 for one in succeeded)),
        "failed_by_kind": dg.MetadataValue.json(dict(sorted(failures.items()))),
        "dagster/row_count": dg.MetadataValue.int(len(succeeded)),
        "batch": _table(attempts, numbers),
    }
    if pages and finished:
        seconds = (max(finished) - min(one.claimed_at for one in attempts)).total_seconds()
        figures["pages_per_minute"] = dg.MetadataValue.float(round(60 * pages / max(seconds, 0.001), 1))
    sure = [(one.mean_confidence, one.characters or 0) for one in succeeded if one.mean_confidence is not None]
    if weight := sum(characters for _, characters in sure):
        mean = sum(confidence * characters for confidence, characters in sure) / weight
        figures["mean_confidence"] = dg.MetadataValue.float(round(mean, 1))
    if measured := [one.coverage for one in succeeded if one.coverage is not None]:
        figures["mean_coverage"] = dg.MetadataValue.float(round(sum(measured) / len(measured), 3))
    return figures


def _table(attempts: Sequence[Attempt], numbers: Mapping[UUID, str]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "document": numbers.get(one.queue_id, str(one.queue_id)),
                "attempt": one.attempt_number,
                "outcome": one.outcome or "open",
                "kind": one.failure_kind or "",
                "pages": one.pages or 0,
                "characters": one.characters or 0,
                "pages_failed": one.pages_failed or 0,
                "confidence": round(one.mean_confidence or 0.0, 1),
                "unsure_words": round(one.low_confidence_share or 0.0, 3),
                "coverage": None if one.coverage is None else round(one.coverage, 3),
                "seconds": round((one.finished_at - one.claimed_at).total_seconds(), 2) if one.finished_at else 0.0,
                "error": one.error or "",
            }
        )
        for one in attempts[:ROWS_SHOWN]
    ]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in ATTEMPT_COLUMNS.items()])
    return dg.MetadataValue.table(records, schema=schema)


ATTEMPT_COLUMNS = {
    "document": "string",
    "attempt": "int",
    "outcome": "string",
    "kind": "string",
    "pages": "int",
    "pages_failed": "int",
    "characters": "int",
    "confidence": "float",
    "unsure_words": "float",
    "coverage": "float",
    "seconds": "float",
    "error": "string",
}
"""Of the table of a batch; `unsure_words` is the share of words with a confidence below 60, and `coverage`
the share of ink that words account for, on the page with the lowest; empty where it was not measured."""


def _log_now_and_then(context: dg.OpExecutionContext) -> Callable[[Progress], None]:
    """Return what logs progress, at most every few seconds."""
    began = last = time.monotonic()

    def log(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LOG_EVERY_SECONDS:
            return
        last = now
        pages = progress.pages + progress.pages_in_hand
        context.log.info(
            "%d of %d claimed documents done, %d failed; %d pages, %.0f a minute.",
            progress.finished,
            progress.claimed,
            progress.failed.total(),
            pages,
            60 * pages / (now - began),
        )

    return log
