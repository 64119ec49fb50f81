"""The recovery job: documents whose worker is gone become ready again, and inconsistent rows are repaired."""

import dagster as dg

from notaflow_pipeline.defs.jobs.progress_log import rate_limited_log
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.job_queue.maintenance.recovery import recover
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline.worker.claim_terms import configured_terms

RECOVERY_RUN_TAG = {"notaflow/work": "recovery"}

MAX_RUNTIME_SECONDS = 600
"""A run takes a second or two. One whose process is gone would otherwise block the next for hours."""

RECOVER_SECONDS = MAX_RUNTIME_SECONDS / 2
"""A run stops before that limit; the sensor sees what is left, and the next run continues."""


@dg.op(out=dg.Out(dg.Nothing), config_schema={}, tags={"kind": "postgres"})
@described_failures()
def recover_rows(context: dg.OpExecutionContext, queue: QueueResource) -> None:
    """Repair every row whose worker is gone or whose state is inconsistent; each repair is recorded with its reason."""
    terms = configured_terms(load_settings(), context.run_id)
    log = rate_limited_log(context)
    with queue.pool.connection() as connection:
        recovered = recover(
            connection,
            terms.recovery,
            seconds=RECOVER_SECONDS,
            on_progress=lambda what, rows: log(f"Repaired {count_of(rows, 'row')} so far ({what.replace('_', ' ')})."),
        )
    context.log.info("Repaired %s.", count_of(recovered.total, "row"))
    context.add_output_metadata({**recovered.counts, "total": recovered.total, "complete": recovered.complete})
    if recovered.failed:
        reasons = "; ".join(f"{what.replace('_', ' ')}: {reason}" for what, reason in recovered.failed.items())
        raise dg.Failure(f"Some rows could not be repaired; all others were. {reasons}", allow_retries=False)


@dg.job(
    executor_def=dg.in_process_executor,
    tags={**RECOVERY_RUN_TAG, "dagster/max_runtime": str(MAX_RUNTIME_SECONDS)},
    description=(
        "Makes documents ready again whose worker is gone, and repairs inconsistent rows: expired leases, stuck rows of "
        "other programs, attempts left open, texts without their status, missing maxima. The same as `notaflow recover`."
    ),
)
def ocr_recovery_job() -> None:
    """Run the op."""
    recover_rows()
