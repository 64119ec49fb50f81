"""The sensor that launches a recovery run when rows need it."""

from datetime import timedelta

import dagster as dg

from notaflow_pipeline.defs.jobs.recovery import RECOVERY_RUN_TAG, ocr_recovery_job
from notaflow_pipeline.defs.ocr_runs import ACTIVE
from notaflow_pipeline.defs.sensors.ocr_ready import backoff_after_failed_runs
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.maintenance.recovery_poll import count_needing_recovery
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import load_settings


@dg.sensor(
    job=ocr_recovery_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches a recovery run when a row needs it.",
)
def ocr_recovery_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Count the rows that need recovery; launch one run, unless one is active."""
    settings = load_settings()
    with connect(running_database_url(settings)) as connection:
        rows = count_needing_recovery(
            connection, sources=settings.sources, stuck_after=timedelta(minutes=settings.stuck_minutes)
        )
    if rows == 0:
        return dg.SkipReason("Every row under OCR has a live worker.")
    if context.instance.get_runs_count(dg.RunsFilter(tags=RECOVERY_RUN_TAG, statuses=list(ACTIVE))):
        return dg.SkipReason(f"Recovery is needed for {count_of(rows, 'row')}, and a recovery run is active.")
    backoff_seconds = backoff_after_failed_runs(context.instance, RECOVERY_RUN_TAG)
    if backoff_seconds:
        return dg.SkipReason(
            f"The last recovery could not repair every row; the next starts in {backoff_seconds:.0f} s."
        )
    return dg.SensorResult(run_requests=[dg.RunRequest(tags=RECOVERY_RUN_TAG)])
