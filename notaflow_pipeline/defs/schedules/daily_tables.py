"""The schedules of the daily tables: after midnight for every day that is due, and during the day for today."""

from datetime import date

import dagster as dg

from notaflow_pipeline.defs.jobs.asset_jobs import ocr_daily_job, ocr_today_job
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.reporting.daily_tables.days import day_of
from notaflow_pipeline.reporting.daily_tables.due_days import days_due, has_new_attempts
from notaflow_pipeline.settings import load_settings

LOOK_BACK_DAYS = 31
"""Days that are computed by themselves after the daemon was off; a person has to compute older ones."""

FIRST_OF_RANGE = "dagster/asset_partition_range_start"
LAST_OF_RANGE = "dagster/asset_partition_range_end"


def daily_request(due: list[date], today: date) -> dg.RunRequest | dg.SkipReason:
    """Return one run for all days that are due, however long the daemon was off."""
    if not due:
        return dg.SkipReason(f"Every day before {today} is computed.")
    return dg.RunRequest(tags={FIRST_OF_RANGE: due[0].isoformat(), LAST_OF_RANGE: due[-1].isoformat()})


def ocr_daily_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Return the nightly schedule in this time zone."""

    @dg.schedule(
        name="ocr_daily_schedule",
        job=ocr_daily_job,
        cron_schedule="5 0 * * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Shortly after midnight: yesterday, and every day that was missed while no daemon ran.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Launch one run for the days that ended and were not computed since."""
        settings = load_settings()
        today = day_of(context.scheduled_execution_time, timezone)
        with connect(running_database_url(settings)) as connection:
            due = days_due(
                connection,
                today=today,
                look_back_days=LOOK_BACK_DAYS,
                first=settings.partitions_start,
                timezone=timezone,
            )
        return daily_request(due, today)

    return schedule


def ocr_today_schedule(timezone: str) -> dg.ScheduleDefinition:
    """Return the schedule of today's tables in this time zone."""

    # A run costs a process for some seconds, and 23 rows with 34 kB in Dagster's event log: every quarter of an hour that is
    # 3 MB on a day with attempts in every quarter. While nothing is read, a tick without a run is one indexed query.
    @dg.schedule(
        name="ocr_today_schedule",
        job=ocr_today_job,
        cron_schedule="*/15 * * * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every quarter of an hour in which attempts finished: today, up to now.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Launch a run for today if its tables are behind."""
        today = day_of(context.scheduled_execution_time, timezone)
        with connect(running_database_url(load_settings())) as connection:
            if not has_new_attempts(connection, today, timezone=timezone):
                return dg.SkipReason("No attempt has finished since today's tables were computed.")
        return dg.RunRequest(partition_key=today.isoformat())

    return schedule
