"""The asset `requeued_documents`: the backfill of documents that were exhausted on a day."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import dagster as dg
from pydantic import Field, field_validator

from notaflow_pipeline.defs.assets.ocr_text import claim_documents, ocr_documents
from notaflow_pipeline.defs.jobs.progress_log import rate_limited_log
from notaflow_pipeline.defs.metadata_tables import metadata_table
from notaflow_pipeline.defs.ownership import OWNERS, TAGS, source_file
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.defs.table_columns import REQUEUE_COLUMNS, table_metadata
from notaflow_pipeline.failures import PERMANENT_KINDS, parse_kind
from notaflow_pipeline.job_queue.maintenance.requeue import (
    NO_LIMIT,
    ExhaustedDocument,
    ExhaustedFilter,
    RequeuedDocument,
    count_requeue_results,
    find_exhausted,
    requeue_exhausted,
    requeue_results,
)
from notaflow_pipeline.job_queue.model import DEFAULT_MAX_ATTEMPTS
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import load_settings

MAX_ROWS = 200


class RetryConfig(dg.Config):
    """Which exhausted documents of the partition's days are requeued, and how."""

    kinds: list[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]] = Field(
        default=[],
        max_length=50,
        description=(
            "Kinds of failure, such as timeout or crashed; none means OCR_REQUEUE_KINDS, or all but those that another "
            "attempt cannot help (encrypted, not_a_document, ...)."
        ),
    )
    max_requeues: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Leave out documents that were requeued this often before; OCR_MAX_REQUEUES if not given.",
    )
    more_attempts: int = Field(
        default=DEFAULT_MAX_ATTEMPTS, ge=1, le=100, description="New attempts for each document."
    )

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, value: list[str]) -> list[str]:
        return [parse_kind(name) for name in value]


@dg.op(ins={"extraction_queue": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), tags={"kind": "postgres"})
@described_failures()
def requeue_exhausted_documents(context: dg.OpExecutionContext, config: RetryConfig, queue: QueueResource) -> None:
    """Make the documents that were exhausted on the partition's days ready again; their history stays."""
    settings = load_settings()
    window = context.partition_time_window
    wanted = tuple(config.kinds) or settings.requeue_kinds
    filters = ExhaustedFilter(
        sources=settings.sources,
        since=window.start,
        until=window.end,
        kinds=wanted or None,
        except_kinds=() if wanted else PERMANENT_KINDS,
        max_requeues=config.max_requeues if config.max_requeues is not None else settings.max_requeues,
        exhausted_status=settings.exhausted_status,
    )
    kinds: Counter[str] = Counter()
    log = rate_limited_log(context)

    def count(documents: Sequence[ExhaustedDocument]) -> None:
        kinds.update(one.failure_kind or "unknown" for one in documents)
        log(f"Requeued {count_of(kinds.total(), 'document')} so far.")

    with queue.pool.connection() as connection:
        changed = requeue_exhausted(
            connection, filters, run_id=context.run_id, more_attempts=config.more_attempts, on_requeued=count
        )
        left = Counter(
            one.failure_kind or "unknown"
            for one in find_exhausted(connection, replace(filters, kinds=None, except_kinds=(), max_requeues=NO_LIMIT))
        )
    context.log.info("Requeued %s: %s.", count_of(changed.rows, "document"), dict(kinds) or "none")
    if left:
        context.log.info(
            "Not selected: %s of these days: %s.", count_of(left.total(), "exhausted document"), dict(left)
        )
    context.add_output_metadata({"requeued": changed.rows, "by_kind": dict(kinds), "not_selected": dict(left)})
    if changed.refused:
        context.log.warning(changed.refused)


@dg.op(ins={"done": dg.In(dg.Nothing)}, config_schema={}, tags={"kind": "postgres"})
@described_failures()
def report_requeue_results(context: dg.OpExecutionContext, queue: QueueResource) -> dg.Output[None]:
    """Report the outcomes of the documents that this run requeued."""
    with queue.pool.connection() as connection:
        results = count_requeue_results(connection, context.run_id)
        shown = requeue_results(connection, context.run_id, at_most=MAX_ROWS)
    requeued = sum(results.values())
    context.log.info("Of %s: %s.", count_of(requeued, "requeued document"), results or "none")
    metadata: dict[str, dg.MetadataValue] = {
        "requeued": dg.MetadataValue.int(requeued),
        "results": dg.MetadataValue.json(results),
    }
    if len(context.partition_keys) == 1:  # metadata is stored with every partition of the run
        metadata["documents"] = _table(shown)
    return dg.Output(None, metadata=metadata)


def _table(requeued: list[RequeuedDocument]) -> dg.TableMetadataValue:
    rows = [
        {
            "document": one.document_number or "deleted",
            "failed_with": one.last_failure_kind or "",
            "attempts_before": one.attempts_before,
            "result": one.state,
        }
        for one in requeued
    ]
    columns = {"document": "string", "failed_with": "string", "attempts_before": "int", "result": "string"}
    return metadata_table(rows, columns)


def requeued_documents(days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset, partitioned by these days: the day on which a document was exhausted."""

    @dg.graph_asset(
        name="requeued_documents",
        ins={"extraction_queue": dg.AssetIn(dagster_type=dg.Nothing)},
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="ocr",
        owners=OWNERS,
        tags=TAGS,
        kinds={"tesseract", "postgres"},
        metadata=table_metadata("ocr_round", REQUEUE_COLUMNS) | source_file(__file__),
        description=(
            "Documents that were exhausted on a day and got new attempts. Materialising a day, or a range of days in one "
            "run, requeues them, works on them and reports their outcomes; a schedule does so every night for yesterday. "
            "The observations of `extraction_queue` say which days have exhausted documents."
        ),
    )
    def asset(extraction_queue: object) -> None:
        requeued = requeue_exhausted_documents(extraction_queue)
        return report_requeue_results(  # type: ignore[no-any-return]
            done=ocr_documents(claim_documents(extraction_queue=requeued))
        )

    return asset
