"""The one Definitions object: wiring, nothing else."""

import dagster as dg

from notaflow_pipeline.defs.alert_sensor import alert_sensor
from notaflow_pipeline.defs.assets import batches_in_memory, extraction_queue, ocr_text
from notaflow_pipeline.defs.checks import queue_check_job, queue_check_schedule, queue_keeps_its_promises
from notaflow_pipeline.defs.daily import ocr_attempt, ocr_daily_tables
from notaflow_pipeline.defs.daily_check import daily_tables_equal_a_recount, recount_job, recount_schedule
from notaflow_pipeline.defs.daily_checks import (
    daily_counting_checks,
    daily_failure_rate_checks,
    daily_performance_checks,
)
from notaflow_pipeline.defs.daily_schedules import ocr_daily_job, ocr_daily_schedule, ocr_today_job, ocr_today_schedule
from notaflow_pipeline.defs.dashboard import dashboard_job, dashboard_schedule, ocr_dashboard
from notaflow_pipeline.defs.housekeeping import housekeeping_job, housekeeping_schedule
from notaflow_pipeline.defs.jobs import ocr_job
from notaflow_pipeline.defs.queue_checks import health_sensor, queue_health
from notaflow_pipeline.defs.recovery import ocr_recovery_job, ocr_recovery_sensor
from notaflow_pipeline.defs.resources import EngineResource, QueueResource, StorageResource
from notaflow_pipeline.defs.retrying import retry_exhausted_job, retry_exhausted_schedule
from notaflow_pipeline.defs.sensors import ocr_ready_sensor

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
        "io_manager": batches_in_memory,
    },
    # materialising from the UI does not go through the job, and is to run the same way
    executor=dg.in_process_executor,
)
