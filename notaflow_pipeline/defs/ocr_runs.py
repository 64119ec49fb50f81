"""OCR runs: the tag that marks them, and the pool that limits how many are active, however they are started."""

import dagster as dg

OCR_RUN_TAG = {"notaflow/work": "ocr"}
"""Marks the runs that `ocr_ready_sensor` counts. A run launched from the asset's page adds it to itself when it starts."""

OCR_POOL = "ocr"
"""Pool of the op that OCRs documents. Its limit is OCR_MAX_RUNS; runs above it wait in Dagster's run queue."""

ACTIVE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
"""Statuses of runs that are queued or running."""


def limit_ocr_runs(instance: dg.DagsterInstance, max_runs: int) -> None:
    """Set the pool's limit if it differs."""
    storage = instance.event_log_storage
    limits = {pool.name: pool.limit for pool in storage.get_pool_limits()}
    if limits.get(OCR_POOL) != max_runs:
        storage.set_concurrency_slots(OCR_POOL, max_runs)
