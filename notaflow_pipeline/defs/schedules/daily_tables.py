"""When the daily tables are computed: after midnight for every day that is due, and during the day for today.

What does not belong here: which days are due (`reporting.due_days`).
"""

from datetime import date, datetime

import dagster as dg

from notaflow_pipeline.defs.assets.daily_tables import ocr_daily_tables
from notaflow_pipeline.defs.partitions import days
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.local.embedded import running_database_url
from notaflow_pipeline.reporting.days import day_of
from notaflow_pipeline.reporting.due_days import days_due, has_news
from notaflow_pipeline.settings import load_settings

LOOK_BACK_DAYS = 31
"""How long the daemon may have been off without a gap in the tables that only a person fills."""

FIRST_OF_RANGE = "dagster/asset_partition_range_start"
LAST_OF_RANGE = "dagster/asset_partition_range_end"

ocr_daily_job = dg.define_asset_job(
    "ocr_daily_job",
    selection=dg.AssetSelection.assets(ocr_daily_tables),
    executor_def=dg.in_process_executor,
    description="Computes the daily tables of the partition's day, or of a range of days in one run, and checks them.",
)

ocr_today_job = dg.define_asset_job(
    "ocr_today_job",
    selection=dg.AssetSelection.assets(ocr_daily_tables).without_checks(),
    executor_def=dg.in_process_executor,
    description="Computes today's tables as far as today has come.",
)


def daily_request(due: list[date], today: date) -> dg.RunRequest | dg.SkipReason:
    """Return one run for all days that are due, however long the daemon was off."""
    if not due:
        return dg.SkipReason(f"Every day before {today} is computed.")
    return dg.RunRequest(tags={FIRST_OF_RANGE: due[0].isoformat(), LAST_OF_RANGE: due[-1].isoformat()})


@dg.schedule(
    job=ocr_daily_job,
    cron_schedule="5 0 * * *",
    execution_timezone=days.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Shortly after midnight: yesterday, and whatever days before were missed while nothing ran.",
)
def ocr_daily_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Launch a run for the days that ended and were not computed since."""
    settings = load_settings()
    today = _day(context.scheduled_execution_time)
    with connect(running_database_url(settings)) as connection:
        due = days_due(
            connection,
            today=today,
            look_back_days=LOOK_BACK_DAYS,
            first=settings.partitions_start,
            timezone=days.timezone,
        )
    return daily_request(due, today)


# A run costs a process for some seconds, and 23 rows with 34 kB in Dagster's event log: every quarter of an hour that is
# 3 MB on a day that is busy from end to end. While nothing is read, a tick without a run is one indexed query.
@dg.schedule(
    job=ocr_today_job,
    cron_schedule="*/15 * * * *",
    execution_timezone=days.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every quarter of an hour in which attempts finished: today, so far.",
)
def ocr_today_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Launch a run for today if its tables are behind."""
    today = _day(context.scheduled_execution_time)
    with connect(running_database_url(load_settings())) as connection:
        if not has_news(connection, today, timezone=days.timezone):
            return dg.SkipReason("No attempt has finished since today's tables were computed.")
    return dg.RunRequest(partition_key=today.isoformat())


def _day(scheduled: datetime) -> date:
    return day_of(scheduled, days.timezone)
