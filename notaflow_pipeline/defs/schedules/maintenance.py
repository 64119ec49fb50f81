"""Schedules of the nightly and hourly jobs other than the daily tables."""

import dagster as dg

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
    return dg.ScheduleDefinition(
        name="dashboard_schedule",
        job=dashboard_job,
        cron_schedule="30 0 * * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night, after the tables of the day before are computed.",
    )


def daily_reconciliation_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Return the schedule of the reconciliation in this time zone."""
    return dg.ScheduleDefinition(
        name="daily_reconciliation_schedule",
        job=daily_reconciliation_job,
        cron_schedule="20 1 * * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night after yesterday's tables are due, whether or not a run has computed them.",
    )


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
    return dg.ScheduleDefinition(
        name="housekeeping_schedule",
        job=housekeeping_job,
        cron_schedule="10 4 * * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night, after exhausted documents were requeued.",
    )
