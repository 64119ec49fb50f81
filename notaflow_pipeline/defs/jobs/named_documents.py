"""The jobs that cancel documents or set their priority, for documents that a person names in the run config."""

from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.job_queue.cancel import MAX_PRIORITY, MIN_PRIORITY, cancel_documents, set_priority
from notaflow_pipeline.job_queue.named_documents import document_ids, reasons_unchanged
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import load_settings

NO_ALERT_TAG = {"notaflow/alert": "off"}
"""Marks runs whose failure is an answer to the person who launched them, and so no alert."""

MAX_NAMED = 1000
"""The number of documents that one run changes at most."""

MAX_REASON_CHARACTERS = 200


class NamedDocumentsConfig(dg.Config):
    """The documents that a run changes."""

    documents: list[str] = Field(
        default=[],
        max_length=MAX_NAMED,
        description="Ids or numbers of documents, as `notaflow list` and the asset `ocr_text` show them.",
    )


class CancelConfig(NamedDocumentsConfig):
    """The documents to cancel, and why."""

    reason: str = Field(
        default="by a person", max_length=MAX_REASON_CHARACTERS, description="Why; it is stored in `ocr_error`."
    )


class PriorityConfig(NamedDocumentsConfig):
    """The documents and their priority."""

    priority: int = Field(
        default=0, ge=MIN_PRIORITY, le=MAX_PRIORITY, description="The highest is read first; 0 is the default."
    )


@dg.op(out=dg.Out(dg.Nothing), tags={"kind": "postgres"})
@described_failures()
def cancel_named_documents(context: dg.OpExecutionContext, config: CancelConfig, queue: QueueResource) -> None:
    """Cancel the documents; the run fails if one of them was not cancelled, and says why."""
    settings = load_settings()
    with queue.pool.connection() as connection:
        wanted = document_ids(connection, _named(config))
        cancelled = cancel_documents(
            connection,
            wanted,
            sources=settings.sources,
            worker_id=settings.worker_id,
            reason=config.reason,
            mirror_errors=settings.mirror_errors,
        )
        unchanged = reasons_unchanged(connection, wanted, {one.id for one in cancelled}, settings.sources)
    _report(context, len(cancelled), "cancelled", unchanged)


@dg.op(out=dg.Out(dg.Nothing), tags={"kind": "postgres"})
@described_failures()
def set_priority_of_documents(context: dg.OpExecutionContext, config: PriorityConfig, queue: QueueResource) -> None:
    """Set the priority of the documents; the run fails if that of one of them was not set, and says why."""
    settings = load_settings()
    with queue.pool.connection() as connection:
        wanted = document_ids(connection, _named(config))
        changed = set_priority(connection, wanted, config.priority, sources=settings.sources)
        unchanged = reasons_unchanged(connection, wanted, set(changed), settings.sources)
    _report(context, len(changed), "changed", unchanged)


def _named(config: NamedDocumentsConfig) -> list[str]:
    if not config.documents:
        raise dg.Failure(
            "No document is named: launch the job with ids or numbers in `documents`.", allow_retries=False
        )
    return config.documents


def _report(context: dg.OpExecutionContext, count: int, done: str, unchanged: Mapping[str, str]) -> None:
    context.log.info("%s %s.", count_of(count, "document"), done)
    context.add_output_metadata({done: count, "unchanged": len(unchanged)})
    if unchanged:
        reasons = "; ".join(f"{document}: {reason}" for document, reason in unchanged.items())
        raise dg.Failure(f"{count_of(count, 'document')} {done}, {len(unchanged)} not. {reasons}.", allow_retries=False)


@dg.job(
    executor_def=dg.in_process_executor,
    tags=NO_ALERT_TAG,
    description=(
        "Cancels the documents named in its config: they are not read until `notaflow retry --id ID`. A worker that reads "
        "one stops at the next renewal of its lease and writes nothing. The same as `notaflow cancel`."
    ),
)
def cancel_documents_job() -> None:
    """Run the op."""
    cancel_named_documents()


@dg.job(
    executor_def=dg.in_process_executor,
    tags=NO_ALERT_TAG,
    description=(
        "Sets the priority of the documents named in its config, if they are still to be read. The same as "
        "`notaflow priority`."
    ),
)
def document_priority_job() -> None:
    """Run the op."""
    set_priority_of_documents()
