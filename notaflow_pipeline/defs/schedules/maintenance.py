"""Schedules of the nightly and hourly jobs other than the daily tables."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from notaflow_pipeline.defs.jobs.asset_jobs import (
    daily_reconciliation_job,
    dashboard_job,
    queue_invariants_job,
    retry_exhausted_job,
)
from notaflow_pipeline.defs.jobs.housekeeping import housekeeping_job
from notaflow_pipeline.defs.ocr_runs import OCR_RUN_TAG
from notaflow_pipeline.defs.partitions import yesterday

queue_invariants_schedule = dg.ScheduleDefinition(
    name="queue_invariants_schedule",
    job=queue_invariants_job,
    cron_schedule="17 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour.",
)


def dashboard_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Return the schedule of the report page in this time zone."""
    description = "Every night, after the tables of the day before are computed."
    return _nightly("dashboard_schedule", dashboard_job, "30 0 * * *", timezone, description)


def daily_reconciliation_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Return the schedule of the reconciliation in this time zone."""
    description = "Every night after yesterday's tables are due, whether or not a run has computed them."
    return _nightly("daily_reconciliation_schedule", daily_reconciliation_job, "20 1 * * *", timezone, description)


def retry_exhausted_schedule(days: dg.DailyPartitionsDefinition) -> dg.ScheduleDefinition:
    """Return the schedule that requeues yesterday's exhausted documents."""

    @dg.schedule(
        name="retry_exhausted_schedule",
        job=retry_exhausted_job,
        cron_schedule="30 3 * * *",
        execution_timezone=days.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night: requeues the documents exhausted yesterday, each OCR_MAX_REQUEUES times at most.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Launch yesterday's partition."""
        return dg.RunRequest(partition_key=yesterday(days, context.scheduled_execution_time), tags=OCR_RUN_TAG)

    return schedule


def housekeeping_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Return the schedule of the housekeeping job in this time zone."""
    description = "Every night, after exhausted documents were requeued."
    return _nightly("housekeeping_schedule", housekeeping_job, "10 4 * * *", timezone, description)


def _nightly(
    name: str, job: dg.JobDefinition | UnresolvedAssetJobDefinition, cron: str, timezone: str, description: str
) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
