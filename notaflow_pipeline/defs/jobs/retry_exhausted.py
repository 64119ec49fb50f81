"""The backfill of failed documents: those exhausted on a day are requeued, from the backfill dialog or every night.

The partition is the day on which a document was exhausted.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import dagster as dg
from pydantic import Field

from notaflow_pipeline.defs.assets.ocr_text import claim_documents, ocr_documents
from notaflow_pipeline.defs.jobs.progress_log import rate_limited_log
from notaflow_pipeline.defs.ocr_runs import OCR_RUN_TAG
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.job_queue.maintenance.requeue import (
    Choice,
    Exhausted,
    Requeued,
    count_requeue_results,
    requeue_exhausted,
    requeue_results,
)
from notaflow_pipeline.job_queue.model import DEFAULT_MAX_ATTEMPTS
from notaflow_pipeline.ocr.failures import RETRYABLE_KINDS, FailureKind
from notaflow_pipeline.settings import load_settings

MAX_ROWS = 200

PERMANENT_KINDS = (*sorted(set(FailureKind) - RETRYABLE_KINDS), "refused_location", "too_large")
"""Kinds that another attempt on the same file cannot help; requeued only when a person names them."""


class RetryConfig(dg.Config):
    """Which of the day's exhausted documents are requeued, and how."""

    kinds: list[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]] = Field(
        default=[],
        max_length=50,
        description=(
            "Kinds of failure, such as timeout or crashed; none means OCR_RETRY_KINDS, or all but those that another "
            "attempt cannot help (encrypted, not_a_document, ...)."
        ),
    )
    max_requeues: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Leave out documents that were requeued this often before; OCR_RETRY_ROUNDS if not given.",
    )
    more_attempts: int = Field(
        default=DEFAULT_MAX_ATTEMPTS, ge=1, le=100, description="New attempts for each document."
    )


@dg.op(out=dg.Out(dg.Nothing), tags={"kind": "postgres"})
@described_failures()
def requeue_exhausted_documents(context: dg.OpExecutionContext, config: RetryConfig, queue: QueueResource) -> None:
    """Make the documents that were exhausted on the partition's day ready again; their history stays."""
    settings = load_settings()
    window = context.partition_time_window
    wanted = tuple(config.kinds) or settings.retry_kinds
    choice = Choice(
        sources=settings.sources,
        since=window.start,
        until=window.end,
        kinds=wanted or None,
        but_kinds=() if wanted else PERMANENT_KINDS,
        max_requeues=config.max_requeues if config.max_requeues is not None else settings.retry_rounds,
        exhausted_status=settings.exhausted_status,
    )
    kinds: Counter[str] = Counter()
    log = rate_limited_log(context)

    def count(documents: Sequence[Exhausted]) -> None:
        kinds.update(one.failure_kind or "unknown" for one in documents)
        log(f"Requeued {kinds.total()} documents so far.")

    with queue.pool.connection() as connection:
        changed = requeue_exhausted(
            connection, choice, run_id=context.run_id, more_attempts=config.more_attempts, on_sent=count
        )
    context.log.info("Requeued %d documents: %s.", changed.rows, dict(kinds) or "none was exhausted")
    context.add_output_metadata({"sent": changed.rows, "by_kind": dict(kinds)})
    if changed.refused:
        context.log.warning(changed.refused)


@dg.op(ins={"done": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), config_schema={}, tags={"kind": "pandas"})
def report_requeue_results(context: dg.OpExecutionContext, queue: QueueResource) -> None:
    """Report the outcomes of the documents that this run requeued."""
    with queue.pool.connection() as connection:
        became = count_requeue_results(connection, context.run_id)
        shown = requeue_results(connection, context.run_id, at_most=MAX_ROWS)
    sent = sum(became.values())
    context.log.info("Of %d requeued documents: %s.", sent, became or "none")
    context.add_output_metadata({"sent": sent, "became": became, "documents": _table(shown)})


def _table(sent: list[Requeued]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "document": one.document_number or "deleted",
                "failed_with": one.last_failure_kind or "",
                "attempts_before": one.attempts_before,
                "became": one.became,
            }
        )
        for one in sent
    ]
    columns = [dg.TableColumn("document"), dg.TableColumn("failed_with"), dg.TableColumn("attempts_before", "int")]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([*columns, dg.TableColumn("became")]))


def retry_exhausted_job(days: dg.DailyPartitionsDefinition) -> dg.JobDefinition:
    """Return the job, partitioned by these days."""

    @dg.job(
        name="retry_exhausted_job",
        partitions_def=days,
        executor_def=dg.in_process_executor,
        tags=OCR_RUN_TAG,
        description=(
            "Requeues the documents that were exhausted on the partition's day, works on them, and reports their outcomes. "
            "Launch it for a range of days from the Partitions tab; a schedule launches it every night for yesterday."
        ),
    )
    def job() -> None:
        """Wire the ops: requeue, then work as any OCR run does, then report."""
        report_requeue_results(done=ocr_documents(claim_documents(extraction_queue=requeue_exhausted_documents())))

    return job
