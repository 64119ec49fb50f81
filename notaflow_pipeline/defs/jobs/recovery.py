"""Rows that nobody works on any more: a sensor that sees them, and a visible run that sends them back.

What does not belong here: which rows those are, and how they are repaired (`job_queue.maintenance.recovery`).
"""

from datetime import timedelta

import dagster as dg

from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_log import logged_now_and_then
from notaflow_pipeline.defs.sensors.ocr_ready import ALIVE
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.maintenance.recovery import recover
from notaflow_pipeline.job_queue.maintenance.recovery_poll import count_needing_recovery
from notaflow_pipeline.local.embedded import running_database_url
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline.worker.assembly import configured_terms

RECOVERY_RUN_TAG = {"notaflow/work": "recovery"}

LONGEST_SECONDS = 600
"""It takes a second or two. One whose process is gone would otherwise hinder the next for hours."""

RECOVER_SECONDS = LONGEST_SECONDS / 2
"""A run ends by itself before; what is left then, the sensor sees, and the next run goes on with it."""


@dg.op(out=dg.Out(dg.Nothing), config_schema={}, tags={"kind": "postgres"})
def recover_rows(context: dg.OpExecutionContext, queue: QueueResource) -> None:
    """Repair every row that nobody works on any more; each repair stands in the row's history with its reason."""
    terms = configured_terms(load_settings(), context.run_id)
    log = logged_now_and_then(context)
    with queue.pool.connection() as connection:
        recovered = recover(
            connection,
            sources=terms.sources,
            stuck_after=terms.stuck_after,
            mirror_errors=terms.mirror_errors,
            exhausted_status=terms.exhausted_status,
            seconds=RECOVER_SECONDS,
            on_progress=lambda what, rows: log(f"Repaired {rows} rows so far ({what.replace('_', ' ')})."),
        )
    context.log.info("Repaired %d rows.", recovered.total)
    context.add_output_metadata({**recovered.counts, "total": recovered.total, "complete": recovered.complete})
    if recovered.failed:
        reasons = "; ".join(f"{what.replace('_', ' ')}: {reason}" for what, reason in recovered.failed.items())
        raise dg.Failure(f"Some rows could not be repaired; all others were. {reasons}", allow_retries=False)


@dg.job(
    executor_def=dg.in_process_executor,
    tags={**RECOVERY_RUN_TAG, "dagster/max_runtime": str(LONGEST_SECONDS)},
    description=(
        "Sends rows back whose worker is gone: leases run out, rows of other programs stuck, attempts left open, texts "
        "without their status, maxima missing. The same as `notaflow recover`."
    ),
)
def ocr_recovery_job() -> None:
    """Wire the op."""
    recover_rows()


@dg.sensor(
    job=ocr_recovery_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches a recovery run when a row needs it.",
)
def ocr_recovery_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Count what needs recovery; launch one run, unless one is under way."""
    settings = load_settings()
    with connect(running_database_url(settings)) as connection:
        rows = count_needing_recovery(
            connection, sources=settings.sources, stuck_after=timedelta(minutes=settings.stuck_minutes)
        )
    if rows == 0:
        return dg.SkipReason("Every row under OCR has a live worker.")
    if context.instance.get_runs_count(dg.RunsFilter(tags=RECOVERY_RUN_TAG, statuses=list(ALIVE))):
        return dg.SkipReason(f"{rows} rows need recovery, and a recovery run is under way.")
    return dg.SensorResult(run_requests=[dg.RunRequest(tags=RECOVERY_RUN_TAG)])
