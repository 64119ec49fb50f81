"""OCR runs: the tag that marks them, and the pool that limits how many are active, however they are started."""

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

OCR_RUN_TAG = {"notaflow/work": "ocr"}
"""Marks OCR runs. A run launched from the page of an asset adds it to itself when it starts."""

OCR_ASSETS = frozenset({dg.AssetKey("ocr_text"), dg.AssetKey("requeued_documents")})
"""The assets whose materialisation is an OCR run."""

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


def count_active_runs(instance: dg.DagsterInstance) -> int:
    """Return how many OCR runs are queued or running, among them runs from the page of an asset that have not started."""
    tagged = instance.get_runs_count(dg.RunsFilter(tags=OCR_RUN_TAG, statuses=list(ACTIVE)))
    of_assets = instance.get_runs(dg.RunsFilter(job_name=IMPLICIT_ASSET_JOB_NAME, statuses=list(ACTIVE)))
    not_tagged = (run for run in of_assets if not OCR_RUN_TAG.items() <= run.tags.items())
    return tagged + sum(not OCR_ASSETS.isdisjoint(run.asset_selection or ()) for run in not_tagged)


def limit_ocr_runs(instance: dg.DagsterInstance, max_runs: int) -> None:
    """Set the pool's limit if it differs."""
    storage = instance.event_log_storage
    limits = {pool.name: pool.limit for pool in storage.get_pool_limits()}
    if limits.get(OCR_POOL) != max_runs:
        storage.set_concurrency_slots(OCR_POOL, max_runs)
