"""Jobs that materialise assets or evaluate checks."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from notaflow_pipeline.defs.assets.daily_tables import FAILURE_RATE, FAILURES_BY_KIND, PERFORMANCE
from notaflow_pipeline.defs.checks.daily_reconciliation import daily_tables_reconciled
from notaflow_pipeline.defs.checks.queue_invariants import queue_invariants
from notaflow_pipeline.defs.ocr_runs import OCR_RUN_TAG
from notaflow_pipeline.job_queue.model import DEFAULT_MAX_ATTEMPTS

DAILY_TABLES = dg.AssetSelection.assets(PERFORMANCE, FAILURE_RATE, FAILURES_BY_KIND)

ocr_daily_job = dg.define_asset_job(
    "ocr_daily_job",
    selection=DAILY_TABLES,
    executor_def=dg.in_process_executor,
    description="Computes the daily tables of the partition's day, or of a range of days in one run, and checks them.",
)

ocr_today_job = dg.define_asset_job(
    "ocr_today_job",
    # the UI shows a check that only a run evaluates as not evaluated after a materialisation without it
    selection=DAILY_TABLES.without_checks() | dg.AssetSelection.checks(daily_tables_reconciled),
    executor_def=dg.in_process_executor,
    description="Computes today's tables up to now, and checks those of the last whole days.",
)

daily_reconciliation_job = dg.define_asset_job(
    "daily_reconciliation_job",
    selection=dg.AssetSelection.checks(daily_tables_reconciled),
    executor_def=dg.in_process_executor,
    description="Counts the attempts of the last whole days again, and compares the daily tables with that.",
)

queue_invariants_job = dg.define_asset_job(
    "queue_invariants_job",
    selection=dg.AssetSelection.checks(queue_invariants),
    executor_def=dg.in_process_executor,
    description="Checks the invariants of the queue.",
)

retry_exhausted_job = dg.define_asset_job(
    "retry_exhausted_job",
    selection="requeued_documents",
    executor_def=dg.in_process_executor,
    tags=OCR_RUN_TAG,
    config={
        "ops": {
            "requeued_documents": {
                "ops": {"requeue_exhausted_documents": {"config": {"kinds": [], "more_attempts": DEFAULT_MAX_ATTEMPTS}}}
            }
        }
    },
    description=(
        "Requeues the documents that were exhausted on the partition's day, or on a range of days in one run, works on them, "
        "and reports their outcomes."
    ),
)

dashboard_job = dg.define_asset_job(
    "dashboard_job",
    selection="ocr_dashboard",
    executor_def=dg.in_process_executor,
    description="Writes the report page with charts.",
)


def ocr_job(documents_per_run: int) -> UnresolvedAssetJobDefinition:
    """Return the job that reads a batch of so many documents, unless the Launchpad says otherwise."""
    return dg.define_asset_job(
        "ocr_job",
        selection="ocr_text",
        # one process for a run: a step process would cost 2 s each, and OCR has its own workers
        executor_def=dg.in_process_executor,
        tags=OCR_RUN_TAG,
        config={"ops": {"ocr_text": {"ops": {"claim_documents": {"config": {"limit": documents_per_run}}}}}},
        description="Reads a batch of documents that are ready for OCR; `limit` in its config is the size of the batch.",
    )
