"""The sensor that records the state of the queue as an observation of `extraction_queue`, which the UI plots over time."""

from datetime import timedelta

import dagster as dg

from notaflow_pipeline.defs.metadata_tables import metadata_table
from notaflow_pipeline.job_queue import metrics
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.maintenance.exhausted_days import exhausted_by_day
from notaflow_pipeline.job_queue.queries import count_queue
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import load_settings

INTERVAL_SECONDS = 600
"""An exact count reads every row of the sources, and an observation is an event of some 2 kB."""

MAX_DAYS = 30
"""Days with exhausted documents in the observation's table."""


@dg.sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Counts the queue every ten minutes: ready, active, backing off, exhausted, and the oldest waiting document.",
)
def queue_observation_sensor(_context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Count the documents of the enabled sources by state."""
    settings = load_settings()
    with connect(running_database_url(settings)) as connection:
        counts = count_queue(
            connection,
            sources=settings.sources,
            stuck_after=timedelta(minutes=settings.stuck_minutes),
            exhausted_status=settings.exhausted_status,
        )
        oldest = metrics.oldest_waiting_seconds(connection, sources=settings.sources)
        days = exhausted_by_day(
            connection,
            sources=settings.sources,
            timezone=settings.timezone,
            days=MAX_DAYS,
            exhausted_status=settings.exhausted_status,
        )
    rows = [{"day": day.isoformat(), "documents": count} for day, count in days.items()]
    table = metadata_table(rows, {"day": "string", "documents": "int"})
    metadata: dict[str, int | float | dg.TableMetadataValue] = {
        "ready": counts.ready,
        "active": counts.active,
        "stuck": counts.stuck,
        "backing_off": counts.backing_off,
        "exhausted": counts.exhausted,
        "done": counts.done,
        "to_reread": counts.to_reread,
        "oldest_waiting_seconds": round(oldest or 0.0, 1),
        "exhausted_by_day": table,
    }
    return dg.SensorResult(asset_events=[dg.AssetObservation("extraction_queue", metadata=metadata)])
