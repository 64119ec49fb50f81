"""Daily partitions in the configured time zone: windows of 23, 24 or 25 hours that no session's time zone can shift."""

from datetime import datetime, timedelta

import dagster as dg

from notaflow_pipeline.settings import Settings


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Return the days since `NOTAFLOW_PARTITIONS_START`, in `NOTAFLOW_TIMEZONE`, today included."""
    return dg.DailyPartitionsDefinition(
        start_date=settings.partitions_start.isoformat(), timezone=settings.timezone, end_offset=1
    )


def nightly_freshness(days: dg.DailyPartitionsDefinition) -> dg.FreshnessPolicy:
    """Return the policy of assets that are computed between midnight and one o'clock."""
    return dg.FreshnessPolicy.cron(
        deadline_cron="0 1 * * *", lower_bound_delta=timedelta(hours=1), timezone=days.timezone
    )


def yesterday(days: dg.DailyPartitionsDefinition, now: datetime) -> str:
    """Return the key of the last whole day before `now`."""
    return days.get_partition_keys(current_time=now)[-2]
