"""The days, in the configured zone: windows of 23, 24 or 25 hours that no session's time zone can shift."""

from datetime import datetime

import dagster as dg

from notaflow_pipeline.settings import load_settings


def daily_partitions() -> dg.DailyPartitionsDefinition:
    """Return the days since `NOTAFLOW_PARTITIONS_START`, in `NOTAFLOW_TIMEZONE`, today included."""
    settings = load_settings()
    return dg.DailyPartitionsDefinition(
        start_date=settings.partitions_start.isoformat(), timezone=settings.timezone, end_offset=1
    )


def yesterday(now: datetime) -> str:
    """Return the key of the last whole day before `now`."""
    return days.get_partition_keys(current_time=now)[-2]


days = daily_partitions()
