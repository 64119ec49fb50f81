"""The sensor that records the state of the queue as an observation of `extraction_queue`, which the UI plots over time."""

import dagster as dg

from notaflow_pipeline.defs.assets.extraction_queue import SPEC, observation_metadata
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import load_settings

INTERVAL_SECONDS = 600
"""An exact count reads every row of the sources, and an observation is an event of some 2 kB."""


@dg.sensor(
    asset_selection=[SPEC.key],  # so that the asset's page names the sensor; it requests no run
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Counts the queue every ten minutes: ready, active, backing off, exhausted, and the oldest waiting document.",
)
def queue_observation_sensor(_context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Count the documents of the enabled sources by state, without a run."""
    settings = load_settings()
    with connect(running_database_url(settings)) as connection:
        metadata = observation_metadata(connection, settings)
    return dg.SensorResult(asset_events=[dg.AssetObservation("extraction_queue", metadata=metadata)])
