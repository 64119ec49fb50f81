"""The days, in the configured zone: windows of 23, 24 or 25 hours that no session's time zone can shift."""

import dagster as dg

from notaflow_pipeline.settings import load_settings


def daily_partitions() -> dg.DailyPartitionsDefinition:
    """Return the days since `NOTAFLOW_PARTITIONS_START`, in `NOTAFLOW_TIMEZONE`."""
    settings = load_settings()
    return dg.DailyPartitionsDefinition(start_date=settings.partitions_start.isoformat(), timezone=settings.timezone)


days = daily_partitions()
