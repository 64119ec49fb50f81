"""Builds the Definitions object from the assets, checks, jobs, schedules, sensors and resources.

Every definition is listed here. `dg.load_from_defs_folder` would need `pyproject.toml` on disk, and a release is a wheel.
"""

import warnings

import dagster as dg

from notaflow_pipeline.defs.assets.daily_tables import daily_tables, ocr_attempt
from notaflow_pipeline.defs.assets.dashboard import ocr_dashboard
from notaflow_pipeline.defs.assets.extraction_queue import extraction_queue
from notaflow_pipeline.defs.assets.ocr_text import claimed_documents_in_memory, ocr_text
from notaflow_pipeline.defs.assets.requeued_documents import requeued_documents
from notaflow_pipeline.defs.checks.daily_reconciliation import daily_tables_reconciled
from notaflow_pipeline.defs.checks.daily_tables import (
    daily_completeness_checks,
    daily_failure_rate_checks,
    daily_performance_checks,
)
from notaflow_pipeline.defs.checks.queue_health import queue_health
from notaflow_pipeline.defs.checks.queue_invariants import queue_invariants
from notaflow_pipeline.defs.jobs.asset_jobs import (
    daily_reconciliation_job,
    dashboard_job,
    ocr_daily_job,
    ocr_job,
    ocr_today_job,
    queue_invariants_job,
    retry_exhausted_job,
)
from notaflow_pipeline.defs.jobs.housekeeping import housekeeping_job
from notaflow_pipeline.defs.jobs.named_documents import cancel_documents_job, document_priority_job
from notaflow_pipeline.defs.jobs.recovery import ocr_recovery_job
from notaflow_pipeline.defs.partitions import daily_partitions
from notaflow_pipeline.defs.resources import configured_resources
from notaflow_pipeline.defs.schedules.daily_tables import ocr_daily_schedule, ocr_today_schedule
from notaflow_pipeline.defs.schedules.maintenance import (
    daily_reconciliation_schedule,
    dashboard_schedule,
    housekeeping_schedule,
    queue_invariants_schedule,
    retry_exhausted_schedule,
)
from notaflow_pipeline.defs.sensors.alerts import alert_sensor
from notaflow_pipeline.defs.sensors.health import health_sensor
from notaflow_pipeline.defs.sensors.ocr_ready import ocr_ready_sensor
from notaflow_pipeline.defs.sensors.queue_observation import queue_observation_sensor
from notaflow_pipeline.defs.sensors.recovery import ocr_recovery_sensor
from notaflow_pipeline.report_service import dashboard_path
from notaflow_pipeline.settings import load_settings

# Dagster copies every sensor with a parameter of its own that is in beta, and would warn of it at every start
warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)


@dg.definitions
def defs() -> dg.Definitions:
    """Return everything that Dagster loads, for the time zone, first day and intervals of the settings."""
    settings = load_settings()
    days = daily_partitions(settings)
    return dg.Definitions(
        assets=[
            extraction_queue,
            ocr_text,
            requeued_documents(days),
            ocr_attempt,
            daily_tables(days),
            ocr_dashboard(days, dashboard_path(settings)),
        ],
        asset_checks=[
            queue_invariants,
            queue_health,
            daily_tables_reconciled,
            daily_completeness_checks,
            daily_failure_rate_checks,
            daily_performance_checks,
        ],
        jobs=[
            ocr_job(settings.documents_per_run),
            ocr_recovery_job,
            cancel_documents_job,
            document_priority_job,
            queue_invariants_job,
            retry_exhausted_job,
            ocr_daily_job,
            ocr_today_job,
            daily_reconciliation_job,
            dashboard_job,
            housekeeping_job,
        ],
        schedules=[
            queue_invariants_schedule,
            retry_exhausted_schedule(days),
            ocr_daily_schedule(days.timezone),
            ocr_today_schedule(days.timezone),
            daily_reconciliation_schedule(days.timezone),
            dashboard_schedule(days.timezone),
            housekeeping_schedule(days.timezone),
        ],
        sensors=[
            ocr_ready_sensor,
            ocr_recovery_sensor,
            queue_observation_sensor,
            health_sensor(settings.alert_interval_seconds),
            alert_sensor(settings.alert_interval_seconds),
        ],
        resources={
            **configured_resources(settings),
            "io_manager": claimed_documents_in_memory,
        },
        # materialising from the UI does not go through the job, and is to run the same way
        executor=dg.in_process_executor,
    )
