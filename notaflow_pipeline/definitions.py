"""The one Definitions object: wiring, nothing else."""

import dagster as dg

from notaflow_pipeline.defs.assets.daily_tables import ocr_attempt, ocr_daily_tables
from notaflow_pipeline.defs.assets.dashboard import dashboard_job, dashboard_schedule, ocr_dashboard
from notaflow_pipeline.defs.assets.ocr_text import claimed_documents_in_memory, extraction_queue, ocr_text
from notaflow_pipeline.defs.checks.daily_health import (
    daily_counting_checks,
    daily_failure_rate_checks,
    daily_performance_checks,
)
from notaflow_pipeline.defs.checks.daily_reconciliation import (
    daily_tables_equal_a_recount,
    recount_job,
    recount_schedule,
)
from notaflow_pipeline.defs.checks.queue_health import health_sensor, queue_health
from notaflow_pipeline.defs.checks.queue_invariants import (
    queue_check_job,
    queue_check_schedule,
    queue_keeps_its_promises,
)
from notaflow_pipeline.defs.jobs.housekeeping import housekeeping_job, housekeeping_schedule
from notaflow_pipeline.defs.jobs.ocr import ocr_job
from notaflow_pipeline.defs.jobs.recovery import ocr_recovery_job, ocr_recovery_sensor
from notaflow_pipeline.defs.jobs.requeue import retry_exhausted_job, retry_exhausted_schedule
from notaflow_pipeline.defs.resources import EngineResource, QueueResource, StorageResource
from notaflow_pipeline.defs.schedules.daily_tables import (
    ocr_daily_job,
    ocr_daily_schedule,
    ocr_today_job,
    ocr_today_schedule,
)
from notaflow_pipeline.defs.sensors.alerts import alert_sensor
from notaflow_pipeline.defs.sensors.ocr_ready import ocr_ready_sensor

defs = dg.Definitions(
    assets=[extraction_queue, ocr_text, ocr_attempt, ocr_daily_tables, ocr_dashboard],
    asset_checks=[
        queue_keeps_its_promises,
        queue_health,
        daily_tables_equal_a_recount,
        daily_counting_checks,
        daily_failure_rate_checks,
        daily_performance_checks,
    ],
    jobs=[
        ocr_job,
        ocr_recovery_job,
        queue_check_job,
        retry_exhausted_job,
        ocr_daily_job,
        ocr_today_job,
        recount_job,
        dashboard_job,
        housekeeping_job,
    ],
    schedules=[
        queue_check_schedule,
        retry_exhausted_schedule,
        ocr_daily_schedule,
        ocr_today_schedule,
        recount_schedule,
        dashboard_schedule,
        housekeeping_schedule,
    ],
    sensors=[ocr_ready_sensor, ocr_recovery_sensor, health_sensor, alert_sensor],
    resources={
        "queue": QueueResource(),
        "storage": StorageResource(),
        "engine": EngineResource(),
        "io_manager": claimed_documents_in_memory,
    },
    # materialising from the UI does not go through the job, and is to run the same way
    executor=dg.in_process_executor,
)
