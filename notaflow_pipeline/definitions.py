"""The one Definitions object: wiring, nothing else."""

import dagster as dg

from notaflow_pipeline.defs.assets import extraction_queue, ocr_text
from notaflow_pipeline.defs.checks import queue_check_job, queue_check_schedule, queue_keeps_its_promises
from notaflow_pipeline.defs.housekeeping import housekeeping_job, housekeeping_schedule
from notaflow_pipeline.defs.jobs import ocr_job
from notaflow_pipeline.defs.recovery import ocr_recovery_job, ocr_recovery_sensor
from notaflow_pipeline.defs.resources import EngineResource, QueueResource, StorageResource
from notaflow_pipeline.defs.retrying import retry_exhausted_job, retry_exhausted_schedule
from notaflow_pipeline.defs.sensors import ocr_ready_sensor

defs = dg.Definitions(
    assets=[extraction_queue, ocr_text],
    asset_checks=[queue_keeps_its_promises],
    jobs=[ocr_job, ocr_recovery_job, queue_check_job, retry_exhausted_job, housekeeping_job],
    schedules=[queue_check_schedule, retry_exhausted_schedule, housekeeping_schedule],
    sensors=[ocr_ready_sensor, ocr_recovery_sensor],
    resources={
        "queue": QueueResource(),
        "storage": StorageResource(),
        "engine": EngineResource(),
        # what passes between ops stays in the run's process: nothing of it is written to disk
        "io_manager": dg.mem_io_manager,
    },
    # materialising from the UI does not go through the job, and is to run the same way
    executor=dg.in_process_executor,
)
