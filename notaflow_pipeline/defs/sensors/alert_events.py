"""Reads check results and ends of runs from Dagster's event log, in its order.

Dagster's own run-failure sensors handle five runs a tick and see no failed check.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import dagster as dg
from dagster._core.events import JobFailureData
from dagster_shared.error import SerializableErrorInfo

from notaflow_pipeline.alerting import observations
from notaflow_pipeline.alerting.conditions import Observation
from notaflow_pipeline.defs.jobs.named_documents import NO_ALERT_TAG

EVENTS_PER_QUERY = 200

SETTLE_SECONDS = 60
"""Ids are given before a transaction commits: a lower one may appear after a higher one. Younger events are read again."""

ASSETS_OF_JOB = {
    "ocr_job": ["ocr_text"],
    "retry_exhausted_job": ["requeued_documents"],
    "ocr_daily_job": ["ocr_daily_failure_rate", "ocr_daily_failures_by_kind", "ocr_daily_performance"],
    "ocr_today_job": ["ocr_daily_failure_rate", "ocr_daily_failures_by_kind", "ocr_daily_performance"],
    "dashboard_job": ["ocr_dashboard"],
}
"""What a job's success materialises: it ends the condition of an asset whose materialisation from its own page failed."""

LOOK_BACK_SECONDS = 86_400
"""How far back a new installation reads events."""


@dataclass(frozen=True)
class EventPage:
    """Some events in the order of the log."""

    observations: tuple[Observation, ...]
    settled_to: int | None
    """No event can appear below this id any more, so the next tick begins here. None while no new event has settled."""


def read_events(instance: dg.DagsterInstance, position: int | None, *, now: float, ui_url: str) -> Iterator[EventPage]:
    """Yield every event after `position`, oldest first, to the end of the log.

    Args:
        instance: Dagster's.
        position: where to begin; None begins a day ago.
        now: seconds since the epoch, by the clock of the processes that write events.
        ui_url: where the Dagster UI is.
    """
    after = position or 0
    if position is not None and _newest(instance) < position:
        after = 0  # Dagster's storage was created again
    # not 0 at the very first: a tick that began there would read the whole log
    settled, all_settled = None if position is None else after, True
    since = now - LOOK_BACK_SECONDS if position is None else None
    is_last = False
    while not is_last:
        records, is_last = _records(instance, after, since)
        for one in records:
            after = one.storage_id
            all_settled = all_settled and one.timestamp < now - SETTLE_SECONDS
            settled = after if all_settled else settled
        yield EventPage(tuple(_observations(instance, records, now, ui_url)), settled)


def _records(instance: dg.DagsterInstance, after: int, since: float | None) -> tuple[list[dg.EventLogRecord], bool]:
    """Return the next events of all kinds by id; a full page of one kind limits the others to its last id."""
    found: list[dg.EventLogRecord] = []
    horizon: int | None = None
    for records in _streams(instance, after, since, limit=EVENTS_PER_QUERY, ascending=True):
        found += records
        if len(records) == EVENTS_PER_QUERY:
            horizon = min(records[-1].storage_id, horizon or records[-1].storage_id)
    inside = [one for one in found if horizon is None or one.storage_id <= horizon]
    return sorted(inside, key=lambda one: one.storage_id), horizon is None


def _newest(instance: dg.DagsterInstance) -> int:
    newest = _streams(instance, None, None, limit=1, ascending=False)
    return max((one.storage_id for records in newest for one in records), default=0)


def _streams(
    instance: dg.DagsterInstance, after: int | None, since: float | None, *, limit: int, ascending: bool
) -> Iterator[Sequence[dg.EventLogRecord]]:
    """Yield the results of checks, the runs that failed, and the runs that succeeded."""
    checks = dg.EventRecordsFilter(
        event_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=after, after_timestamp=since
    )
    yield instance.event_log_storage.get_event_records(checks, limit=limit, ascending=ascending)
    ends: tuple[Literal[dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS], ...] = (
        dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterEventType.RUN_SUCCESS,
    )
    for kind in ends:
        runs = dg.RunStatusChangeRecordsFilter(event_type=kind, after_storage_id=after, after_timestamp=since)
        yield instance.fetch_run_status_changes(runs, limit=limit, ascending=ascending).records


def _observations(
    instance: dg.DagsterInstance, records: Sequence[dg.EventLogRecord], now: float, ui_url: str
) -> Iterator[Observation]:
    runs = {run_id: run for run_id, run in _runs(instance, records).items() if not _raises_no_alert(run)}
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        at = datetime.fromtimestamp(record.timestamp, UTC)
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.event_specific_data
            if isinstance(evaluation, dg.AssetCheckEvaluation):
                yield _check_observation(evaluation, at, ui_url)
        elif (run := runs.get(record.run_id)) is not None and not _may_be_retried(instance, run, record, now):
            yield from _run_observations(run, event, at, ui_url)


def _raises_no_alert(run: dg.DagsterRun) -> bool:
    return run.tags.get("dagster/will_retry") == "true" or NO_ALERT_TAG.items() <= run.tags.items()


def _run_observations(run: dg.DagsterRun, event: dg.DagsterEvent, at: datetime, ui_url: str) -> Iterator[Observation]:
    failed = event.event_type == dg.DagsterEventType.RUN_FAILURE
    if failed and _is_interrupted(event):
        return  # Dagster was stopped: a cancellation, not a failure
    for job in _condition_names(run) if failed else {*_condition_names(run), *_materialising(_assets(run))}:
        yield observations.observation_of_run(
            job=job,
            run_id=run.run_id,
            partition=run.tags.get("dagster/partition"),
            error=_error(event) if failed else None,
            message=_description(event) if failed else None,
            observed_at=at,
            ui_url=ui_url,
        )


def _may_be_retried(instance: dg.DagsterInstance, run: dg.DagsterRun, record: dg.EventLogRecord, now: float) -> bool:
    """Whether Dagster may still record that it retries a run, which it does after the event; the event is then read again."""
    undecided = run.status == dg.DagsterRunStatus.FAILURE and "dagster/will_retry" not in run.tags
    return instance.run_retries_enabled and undecided and record.timestamp >= now - SETTLE_SECONDS


def _runs(instance: dg.DagsterInstance, records: Sequence[dg.EventLogRecord]) -> dict[str, dg.DagsterRun]:
    """Fetch the runs that ended, all at once."""
    ended = {
        one.run_id
        for one in records
        if one.event_log_entry.dagster_event
        and one.event_log_entry.dagster_event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION
    }
    if not ended:
        return {}
    return {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=sorted(ended)))}


def _check_observation(evaluation: dg.AssetCheckEvaluation, at: datetime, ui_url: str) -> Observation:
    return observations.observation_of_check(
        asset=evaluation.asset_key.to_user_string(),
        name=evaluation.check_name,
        partition=evaluation.partition,
        passed=evaluation.passed,
        observed_at=at,
        sentence=evaluation.description or "The check has no description.",
        figures=_figures(evaluation),
        ui_url=ui_url,
    )


def _figures(evaluation: dg.AssetCheckEvaluation) -> dict[str, float | int | str]:
    """Numbers and the day; tables and other texts stay in the UI."""
    figures: dict[str, float | int | str] = {}
    for name, value in evaluation.metadata.items():
        shown = isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue)
        if shown or (name == "day" and isinstance(value, dg.TextMetadataValue)):
            figures[name] = value.value  # type: ignore[assignment]
    return figures


def _condition_names(run: dg.DagsterRun) -> list[str]:
    """Return the job's name, or one name for each asset that was materialised from its own page."""
    return _materialising(_assets(run)) if run.job_name.startswith("__ASSET_JOB") and _assets(run) else [run.job_name]


def _assets(run: dg.DagsterRun) -> list[str]:
    if run.asset_selection:
        return sorted(key.to_user_string() for key in run.asset_selection)
    return ASSETS_OF_JOB.get(run.job_name, [])


def _materialising(assets: list[str]) -> list[str]:
    return [f"materialising {asset}" for asset in assets]


def _errors(event: dg.DagsterEvent) -> list[SerializableErrorInfo]:
    """Return the errors that ended a run, the outermost first."""
    data = event.event_specific_data
    if not isinstance(data, JobFailureData):
        return []
    step = data.first_step_failure_event
    error = getattr(step.event_specific_data, "error", None) if step is not None else data.error
    found = []
    while error is not None:
        found.append(error)
        error = error.cause
    return found


def _is_interrupted(event: dg.DagsterEvent) -> bool:
    return any(one.cls_name == "DagsterExecutionInterruptedError" for one in _errors(event))


def _error(event: dg.DagsterEvent) -> str:
    """Return the class of the innermost error that ended a run; its message may contain any text."""
    names = [one.cls_name for one in _errors(event) if one.cls_name]
    if names:
        return names[-1]
    data = event.event_specific_data
    reason = data.failure_reason if isinstance(data, JobFailureData) else None
    return reason.value.lower() if reason else "an unknown error"


def _description(event: dg.DagsterEvent) -> str | None:
    """Return the description of the `dg.Failure` that ended a run: it is written for people and contains no text of a row."""
    data = event.event_specific_data
    step = data.first_step_failure_event if isinstance(data, JobFailureData) else None
    failure = getattr(step.event_specific_data, "user_failure_data", None) if step is not None else None
    return failure.description if failure is not None else None
