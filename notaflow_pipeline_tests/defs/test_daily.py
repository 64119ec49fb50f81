"""Tests of the daily tables in Dagster: a range in one run with each day's own figures, the schedules, the check."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import uuid4

import dagster as dg
import pytest
from psycopg import Connection

from notaflow_pipeline.defs.schedules.daily_tables import FIRST_OF_RANGE, LAST_OF_RANGE
from notaflow_pipeline.reporting.daily_tables.daily_storage import write_day
from notaflow_pipeline.reporting.daily_tables.days import day_of, window_of
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, PROJECT, configure, days, defs, errors_of
from notaflow_pipeline_tests.reporting.daily_tables.attempt_history import add_attempt, add_history
from notaflow_pipeline_tests.testing.clock import wait_past_full_hour

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

PERFORMANCE = dg.AssetKey("ocr_daily_performance")
FAILURE_RATE = dg.AssetKey("ocr_daily_failure_rate")
FAILURES_BY_KIND = dg.AssetKey("ocr_daily_failures_by_kind")

FIRST, LAST = date(2026, 10, 31), date(2026, 11, 2)  # around the day of 25 hours


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct_url: str) -> Iterator[dg.DagsterInstance]:
    """Dagster's own storage in this test's database, as in production."""
    configure(monkeypatch, tmp_path, direct_url)
    with dg.DagsterInstance.from_config(str(PROJECT)) as one:
        yield one


def run(instance: dg.DagsterInstance, *, first: date, last: date) -> dg.ExecuteInProcessResult:
    """What the UI launches for a range, and the schedule after midnight."""
    tags = {FIRST_OF_RANGE: first.isoformat(), LAST_OF_RANGE: last.isoformat()}
    return defs.resolve_job_def("ocr_daily_job").execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def metadata(instance: dg.DagsterInstance, asset: dg.AssetKey) -> dict[str | None, dict[str, dg.MetadataValue]]:
    """The metadata of each partition's materialisation."""
    found = {}
    for record in instance.fetch_materializations(asset, limit=100).records:
        materialization = record.asset_materialization
        assert materialization is not None
        found[materialization.partition] = dict(materialization.metadata)
    return found


def figure(metadata: dict[str, dg.MetadataValue], name: str) -> object:
    """A number, in one of the two types that the UI plots."""
    assert isinstance(metadata[name], dg.IntMetadataValue | dg.FloatMetadataValue), name
    return metadata[name].value


def test_range_is_computed_in_one_run_and_each_day_has_its_own_figures(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    add_attempt(connection, uuid4(), "2026-10-31 22:00-04", "2026-10-31 22:00:30-04", pages=7)
    add_attempt(connection, uuid4(), "2026-11-01 23:59-05", "2026-11-01 23:59:10-05")  # in the 25th hour
    add_attempt(connection, uuid4(), "2026-11-01 00:00-04", "2026-11-01 00:01-04", outcome="failed")

    result = run(instance, first=FIRST, last=LAST)

    assert result.success, errors_of(result)
    assert instance.get_runs_count() == 1
    performance, failure_rate, kinds = (
        metadata(instance, asset) for asset in (PERFORMANCE, FAILURE_RATE, FAILURES_BY_KIND)
    )
    days_written = {"2026-10-31", "2026-11-01", "2026-11-02"}
    assert performance.keys() == failure_rate.keys() == kinds.keys() == days_written
    assert {day: figure(of_day, "pages") for day, of_day in performance.items()} == {
        "2026-10-31": 7,
        "2026-11-01": 1,
        "2026-11-02": 0,
    }
    assert figure(performance["2026-10-31"], "duration_seconds_p95") == 30.0
    assert "duration_seconds_p95" not in performance["2026-11-02"], "nothing was read, so there is nothing to plot"
    assert figure(failure_rate["2026-11-01"], "attempt_failure_rate") == 0.5
    assert figure(failure_rate["2026-11-01"], "failure_rate_low") == 0.0945
    assert figure(kinds["2026-11-01"], "failures: timeout") == 1
    table = failure_rate["2026-11-01"]["table"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data["document_source"] for record in table.records] == ["index", "all"]
    evaluations = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert all(one.passed for one in evaluations.values())
    evaluation = evaluations["daily_tables_reconciled"]
    assert "3 whole days recounted" in (evaluation.description or "")


def test_range_with_a_pruned_day_fails_and_keeps_its_tables(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    assert run(instance, first=FIRST, last=FIRST).success
    written = "SELECT computed_at FROM ocr_daily_failure_rate ORDER BY day"
    before = connection.execute(written).fetchall()
    connection.execute("INSERT INTO ocr_attempts_pruned (finished_before) VALUES ('2026-11-01 04:00Z')")
    result = run(instance, first=FIRST, last=LAST)
    assert not result.success
    assert "the tables of 2026-10-31 cannot be computed again; they stay as they are" in errors_of(result)
    assert connection.execute(written).fetchall() == before


def test_check_names_the_days_that_somebody_else_has_written(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    wait_past_full_hour()
    day = day_of(datetime.now(UTC), days.timezone) - timedelta(days=2)  # yesterday is left out shortly after midnight
    add_history(connection, Random(1), documents=50, start=window_of(day, days.timezone).start, hours=20)
    before = day - timedelta(days=1)  # where the first of the history finished
    [missing] = _recount(instance)
    assert f"{before} to {day}" in (missing.description or "")
    assert run(instance, first=before, last=day).success
    connection.execute(
        "UPDATE ocr_daily_failure_rate SET attempts = attempts + 1 WHERE document_source = 'all' AND day = %s",
        [day],
    )
    [evaluation] = _recount(instance)
    assert not evaluation.passed
    assert f"{day} to {day}" in (evaluation.description or "")
    assert "ocr_daily_failure_rate" in repr(evaluation.metadata)


def test_night_that_was_missed_is_found_by_the_check_s_own_run(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    schedule = defs.resolve_schedule_def("daily_reconciliation_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("20 1 * * *", days.timezone)
    wait_past_full_hour()
    day = day_of(datetime.now(UTC), days.timezone) - timedelta(days=2)
    noon = window_of(day, days.timezone).start + timedelta(hours=12)
    add_attempt(connection, uuid4(), noon - timedelta(seconds=20), noon)
    job = defs.resolve_job_def(schedule.job_name)
    assert job.executor_def is dg.in_process_executor
    [evaluation] = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert not evaluation.passed
    assert f"of 1 whole day are missing or differ from the attempts: {day} to {day}" in (evaluation.description or "")
    figures = {name: value.value for name, value in evaluation.metadata.items() if name != "differences"}
    assert figures == {"day": day.isoformat(), "days": 3, "wrong_days": 1, "threshold": 0}


def test_run_of_today_recounts_the_last_whole_days(instance: dg.DagsterInstance, connection: Connection) -> None:
    wait_past_full_hour()
    today = day_of(datetime.now(UTC), days.timezone)
    noon = window_of(today - timedelta(days=2), days.timezone).start + timedelta(hours=12)
    add_attempt(connection, uuid4(), noon - timedelta(seconds=20), noon)
    result = defs.resolve_job_def("ocr_today_job").execute_in_process(instance=instance, partition_key=str(today))
    [evaluation] = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.metadata["days"].value == 3


def _recount(instance: dg.DagsterInstance) -> list[dg.AssetCheckEvaluation]:
    """What the check says when it is launched alone, as from the asset's page."""
    check = dg.AssetCheckKey(FAILURE_RATE, "daily_tables_reconciled")
    alone = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection={check}
    )
    return list(alone.execute_in_process(instance=instance).get_asset_check_evaluations())


def tick(name: str, at: datetime, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """What a schedule requests at a time."""
    schedule = defs.resolve_schedule_def(name)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    with dg.build_schedule_context(
        instance, scheduled_execution_time=at, repository_def=defs.get_repository_def()
    ) as context:
        return list(schedule.evaluate_tick(context).run_requests or [])


def test_nightly_run_computes_every_missed_day_once(instance: dg.DagsterInstance, connection: Connection) -> None:
    wait_past_full_hour()
    night = datetime.combine(day_of(datetime.now(UTC), days.timezone), datetime.min.time(), UTC) + timedelta(hours=6)
    today = day_of(night, days.timezone)
    [request] = tick("ocr_daily_schedule", night, instance)
    yesterday, month_ago = today - timedelta(days=1), today - timedelta(days=31)
    assert request.tags[FIRST_OF_RANGE] == month_ago.isoformat()
    assert request.tags[LAST_OF_RANGE] == yesterday.isoformat()
    for back in range(3, 32):
        write_day(connection, today - timedelta(days=back), timezone=days.timezone, low_confidence=60, low_coverage=0.7)
    [request] = tick("ocr_daily_schedule", night, instance)
    assert request.tags[FIRST_OF_RANGE] == (yesterday - timedelta(days=1)).isoformat()
    assert run(instance, first=yesterday - timedelta(days=1), last=yesterday).success
    assert tick("ocr_daily_schedule", night, instance) == []


def test_today_is_computed_again_when_attempts_have_finished_and_only_then(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    wait_past_full_hour()
    now = datetime.now(UTC)
    today = day_of(now, days.timezone)
    [request] = tick("ocr_today_schedule", now, instance)
    assert request.partition_key == today.isoformat()
    job = defs.resolve_job_def("ocr_today_job")
    result = job.execute_in_process(instance=instance, partition_key=request.partition_key)
    assert [one.check_name for one in result.get_asset_check_evaluations()] == ["daily_tables_reconciled"]
    assert tick("ocr_today_schedule", now, instance) == []
    add_attempt(connection, uuid4(), now, now)
    assert tick("ocr_today_schedule", now, instance)


def test_days_are_those_of_the_partitions() -> None:
    for day in (FIRST, date(2026, 11, 1), LAST, date(2026, 3, 8)):
        partition = days.time_window_for_partition_key(day.isoformat())
        window = window_of(day, days.timezone)
        assert (partition.start, partition.end) == (window.start, window.end)
