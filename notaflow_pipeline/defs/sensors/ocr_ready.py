"""The sensor that keeps the right number of OCR runs active while documents are ready.

It never passes row ids: the claim decides who works on what. And it sets no run key, which would prevent retries.
"""

import math
import time
from collections.abc import Mapping, Sequence

import dagster as dg
from psycopg import Connection

from notaflow_pipeline.defs.ocr_runs import OCR_RUN_TAG, count_active_runs, limit_ocr_runs
from notaflow_pipeline.defs.sensors.lost_runs import end_lost_runs
from notaflow_pipeline.job_queue.claiming.claim_check import find_refusal
from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.pause import current_pause
from notaflow_pipeline.job_queue.queries import can_claim, count_ready
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import Settings, load_settings

MAX_BACKOFF_SECONDS = 900
FIRST_BACKOFF_SECONDS = 30

MAX_WAIT_SECONDS = 4.0
"""How long a tick waits for documents while no run is active, because Dagster begins a tick at most every 5 s."""

EMPTY_QUEUE_PAUSE_SECONDS = 0.5
"""Pause after a query that found nothing; it is one statement on an index, 1 ms when nothing is ready."""


REFUSED = ClaimPosition()
"""The documents that the database refused to claim a short time ago; after a restart they are found again."""


def runs_to_launch(*, ready: int, active: int, documents_per_run: int, max_runs: int) -> int:
    """Return how many runs to add, so that there is one for each batch, up to the maximum; the last batch may be smaller.

    Args:
        ready: documents that can be claimed now.
        active: OCR runs that are queued or running; they will read a part of the documents.
        documents_per_run: the size of a batch.
        max_runs: runs at the same time.
    """
    wanted = min(max_runs, math.ceil(ready / documents_per_run))
    return max(0, wanted - active)


def backoff_after_failures(*, failures_in_a_row: int, seconds_since_last: float) -> float:
    """Return how many more seconds to wait after runs that failed; 0 is none.

    The wait doubles with each failure, from half a minute to a quarter of an hour.
    """
    if failures_in_a_row == 0:
        return 0
    backoff_seconds = min(FIRST_BACKOFF_SECONDS * 2.0 ** (failures_in_a_row - 1), MAX_BACKOFF_SECONDS)
    return max(0.0, backoff_seconds - seconds_since_last)


@dg.sensor(
    job_name="ocr_job",
    # less than the 5 s after which Dagster evaluates again, or it would skip every other evaluation
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the right number of OCR runs active while documents are ready.",
)
def ocr_ready_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Count active runs and ready documents, and launch the missing runs."""
    settings = load_settings()
    limit_ocr_runs(context.instance, settings.max_runs)
    with connect(running_database_url(settings)) as connection:
        for run_id in end_lost_runs(context.instance, connection, first_claim_seconds=60 * settings.stuck_minutes):
            context.log.warning("Run %s has no process any more; it was ended as failed.", run_id)
        pause = current_pause(connection)
        if pause is not None:
            return dg.SkipReason(
                f"Paused since {pause.since:%Y-%m-%d %H:%M %Z}: {pause.reason}. `notaflow resume` ends it."
            )
        ready = _wait_for_documents(
            connection, settings, 0.0 if count_active_runs(context.instance) else MAX_WAIT_SECONDS
        )
        active = count_active_runs(context.instance)
        missing = runs_to_launch(
            ready=ready, active=active, documents_per_run=settings.documents_per_run, max_runs=settings.max_runs
        )
        if missing == 0:
            refused = len(REFUSED.left_out)
            return dg.SkipReason(
                f"{count_of(ready, 'document')} ready, {count_of(active, 'run')} active: no run is missing."
                + (f" The database refuses to claim {count_of(refused, 'more document')}." if refused else "")
            )
        backoff_seconds = backoff_after_failed_runs(context.instance, OCR_RUN_TAG)
        if backoff_seconds:
            return dg.SkipReason(
                f"The last runs failed; the next starts in {backoff_seconds:.0f} s. Their errors say what to repair."
            )
        refusal = find_refusal(connection, settings.sources, REFUSED)
    if refusal is not None:
        context.log.warning(refusal)
        return dg.SkipReason(f"No run is launched: {refusal}.")
    return dg.SensorResult(run_requests=[dg.RunRequest(tags=OCR_RUN_TAG) for _ in range(missing)])


def _wait_for_documents(connection: Connection, settings: Settings, seconds: float) -> int:
    """Return how many documents are ready, as soon as one can be claimed or when none can in time."""
    give_up_at = time.monotonic() + seconds
    at_most = settings.documents_per_run * settings.max_runs
    while True:
        left_out = REFUSED.left_out
        ready = count_ready(connection, sources=settings.sources, at_most=at_most, left_out=left_out)
        if ready and can_claim(connection, sources=settings.sources, left_out=left_out):
            return ready
        if time.monotonic() + EMPTY_QUEUE_PAUSE_SECONDS > give_up_at:
            return ready
        time.sleep(EMPTY_QUEUE_PAUSE_SECONDS)


def backoff_after_failed_runs(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> float:
    """Return `backoff_after_failures` for the last runs with these tags."""
    latest = instance.get_run_records(
        dg.RunsFilter(
            tags=tags,
            statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
        ),
        limit=10,
    )
    failures = _failures_in_a_row([record.dagster_run.status for record in latest])
    ended = latest[0].end_time if latest else None
    return backoff_after_failures(failures_in_a_row=failures, seconds_since_last=time.time() - (ended or 0))


def _failures_in_a_row(newest_first: Sequence[dg.DagsterRunStatus]) -> int:
    for count, status in enumerate(newest_first):
        if status != dg.DagsterRunStatus.FAILURE:
            return count
    return len(newest_first)
