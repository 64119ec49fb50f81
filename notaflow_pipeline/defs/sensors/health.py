"""The sensor that evaluates the checks of the queue and the daily tables every minute, without a run.

A run would cost some seconds of CPU and 25 events each time. The sensor queries the database itself and records a result
when it changes, and once an hour. Checks that only a run evaluates get their first run from it; schedules launch the others.
"""

import json
import time
from collections.abc import Mapping
from types import MappingProxyType

import dagster as dg

from notaflow_pipeline.defs.assets.daily_tables import FAILURE_RATE
from notaflow_pipeline.defs.checks.results import evaluation_of
from notaflow_pipeline.defs.jobs.asset_jobs import daily_reconciliation_job, queue_invariants_job
from notaflow_pipeline.health_checks import evaluate_all
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import load_settings

REPORT_INTERVAL_SECONDS = 3600
"""A result that does not change is recorded this often, so that the UI shows that the check is still evaluated."""

JOBS_OF_CHECKS = {
    dg.AssetCheckKey(dg.AssetKey("extraction_queue"), "queue_invariants"): queue_invariants_job,
    dg.AssetCheckKey(FAILURE_RATE, "daily_tables_reconciled"): daily_reconciliation_job,
}
"""Checks that only a run evaluates, and the job of each."""


def health_sensor(interval_seconds: int) -> dg.SensorDefinition:
    """Return the sensor, evaluated at this interval."""

    @dg.sensor(
        name="health_sensor",
        jobs=list(JOBS_OF_CHECKS.values()),
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Evaluates the checks of the queue and of the daily tables without a run, and records results that change. "
            "Launches the first run of the checks that need one."
        ),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Evaluate the checks; report those that changed or were last reported an hour ago."""
        settings = load_settings()
        with connect(running_database_url(settings)) as connection:
            evaluations = list(evaluate_all(connection, settings))
        failing = {check.name: evaluation.alarming for check, evaluation in evaluations}
        materialised_at = _materialised_at(context.instance, {check.asset for check, _ in evaluations})
        newer = {check.name: materialised_at.get(check.asset, 0.0) for check, _ in evaluations}
        names, cursor = results_to_report(failing, context.cursor, now=time.time(), materialised_at=newer)
        alarming = [name for name, alarm in failing.items() if alarm]
        first_runs = runs_never_launched(context.instance)
        if not names and not first_runs:
            return dg.SkipReason(f"No result changed; failing checks: {', '.join(alarming) or 'none'}.")
        return dg.SensorResult(
            run_requests=first_runs,
            asset_events=[evaluation_of(check, evaluation) for check, evaluation in evaluations if check.name in names],
            cursor=cursor,
        )

    return sensor


def runs_never_launched(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Return a request for each check that no run has been launched for; one whose run failed is left to its schedule."""
    launched = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(JOBS_OF_CHECKS))
    return [dg.RunRequest(job_name=job.name) for key, job in JOBS_OF_CHECKS.items() if key not in launched]


def _materialised_at(instance: dg.DagsterInstance, assets: set[str]) -> dict[str, float]:
    """Return when each asset was last materialised, in seconds since the epoch."""
    records = instance.get_asset_records([dg.AssetKey.from_user_string(name) for name in sorted(assets)])
    events = {one.asset_entry.asset_key.to_user_string(): one.asset_entry.last_materialization for one in records}
    return {name: event.timestamp for name, event in events.items() if event is not None}


def results_to_report(
    failing: Mapping[str, bool],
    cursor: str | None,
    *,
    now: float,
    materialised_at: Mapping[str, float] = MappingProxyType({}),
) -> tuple[set[str], str]:
    """Return the names of checks whose result is to be reported, and the cursor after that.

    A check is reported when its result changed, once an hour, and after its asset was materialised: the UI shows a result
    that is older than the materialisation as not evaluated.

    Args:
        failing: for each check, whether it fails.
        cursor: what this function returned before; None at first.
        now: seconds since the epoch.
        materialised_at: for each check, when its asset was last materialised, in seconds since the epoch.
    """
    known: dict[str, tuple[bool, float]] = json.loads(cursor) if cursor else {}
    names = {
        name
        for name, alarming in failing.items()
        if name not in known
        or known[name][0] != alarming
        or now - known[name][1] >= REPORT_INTERVAL_SECONDS
        or materialised_at.get(name, 0.0) > known[name][1]
    }
    after = {name: (failing[name], now) if name in names else known[name] for name in failing}
    return names, json.dumps(after)
