"""Detection of lost OCR runs, which Dagster shows as started although their process has ended; they are reported as failed.

A run's process and the code server that started it can end together, with their machine or for lack of memory. Dagster then
shows the run as started until `run_monitoring.max_runtime_seconds`; expired leases show it earlier. Runs that are starting
or being cancelled have short limits of Dagster's own. Recovery makes the documents of such a run ready again.
"""

import time

import dagster as dg
from psycopg import Connection

from notaflow_pipeline.defs.ocr_runs import OCR_RUN_TAG
from notaflow_pipeline.job_queue.queries import seconds_since_last_lease

MAX_SECONDS_WITHOUT_LEASE = 15.0
"""How long a run may take after its last lease to record that it has ended."""

LOST_RUN_SENTENCE = (
    "The run's process is gone: it holds no lease any more, and it has not ended. Its documents become ready again."
)


def is_lost(*, started_seconds_ago: float, without_lease_seconds: float | None, first_claim_seconds: float) -> bool:
    """Return whether a run that is shown as started has no process any more.

    Args:
        started_seconds_ago: when it started.
        without_lease_seconds: how long it has held no lease, negative while it does; None if it never claimed anything.
        first_claim_seconds: how long a run may take until its first claim.
    """
    if without_lease_seconds is None:
        return started_seconds_ago > first_claim_seconds
    return without_lease_seconds > MAX_SECONDS_WITHOUT_LEASE


def end_lost_runs(instance: dg.DagsterInstance, connection: Connection, *, first_claim_seconds: float) -> list[str]:
    """Report OCR runs without a process as failed; return their ids."""
    started = instance.get_run_records(dg.RunsFilter(tags=OCR_RUN_TAG, statuses=[dg.DagsterRunStatus.STARTED]))
    without_lease = seconds_since_last_lease(connection, [record.dagster_run.run_id for record in started])
    now = time.time()
    lost = [
        record.dagster_run
        for record in started
        if is_lost(
            started_seconds_ago=now - (record.start_time or now),
            without_lease_seconds=without_lease.get(record.dagster_run.run_id),
            first_claim_seconds=first_claim_seconds,
        )
    ]
    for run in lost:
        instance.report_run_failed(run, LOST_RUN_SENTENCE)
    return [run.run_id for run in lost]
