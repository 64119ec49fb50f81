"""Tests of `housekeeping_job` on a real instance: what it deletes and what it keeps."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from psycopg import Connection, sql

from notaflow_pipeline.defs.jobs.housekeeping import RunProducts, is_removable
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, PROJECT, configure, defs, errors_of

pytestmark = pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")

DAYS = dg.StaticPartitionsDefinition(["2026-01-01", "2026-01-02"])


@dg.asset(name="ocr_text")
def batch() -> dg.MaterializeResult[None]:
    """Stand-in for a batch."""
    return dg.MaterializeResult(metadata={"documents": 1})


@dg.asset(partitions_def=DAYS)
def daily() -> dg.MaterializeResult[None]:
    """Stand-in for a daily table."""
    return dg.MaterializeResult(metadata={"failure_rate": 0.5})


@dg.op
def _nothing() -> None: ...


@dg.job
def other_job() -> None:
    """Stand-in for recovery, checks and retries: runs that materialise nothing."""
    _nothing()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct_url: str) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance as dagster.yaml has it, on this test's database."""
    configure(monkeypatch, tmp_path, direct_url)
    with dg.DagsterInstance.from_config(str(PROJECT)) as one:
        yield one


def made(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, partition: str | None = None) -> str:
    result = dg.materialize([asset], instance=instance, partition_key=partition)
    return result.run_id


def age(connection: Connection, run_id: str, days: int) -> None:
    connection.execute(
        "UPDATE dagster.runs SET create_timestamp = create_timestamp - %(by)s, update_timestamp = update_timestamp - %(by)s "
        "WHERE run_id = %(run)s",
        {"by": timedelta(days=days), "run": run_id},
    )


def count(connection: Connection, table: str, run_id: str) -> int:
    statement = sql.SQL("SELECT count(*) FROM {} WHERE run_id = %s").format(sql.Identifier("dagster", table))
    row = connection.execute(statement, [run_id]).fetchone()
    assert row is not None
    return int(row[0])


def clean(instance: dg.DagsterInstance) -> dict[str, dict[str, Any]]:
    """Run the job; return each op's metadata."""
    result = defs.resolve_job_def("housekeeping_job").execute_in_process(instance=instance, raise_on_error=False)
    assert result.success, errors_of(result)
    return {
        str(event.step_key): {name: value.value for name, value in event.step_output_data.metadata.items()}
        for event in result.all_events
        if event.is_successful_output
    }


def captured_output(instance: dg.DagsterInstance, run_id: str) -> Path:
    place = Path(instance.compute_log_manager._base_dir) / run_id  # type: ignore[attr-defined]
    assert any(one.is_file() for one in place.rglob("*"))
    return place


def test_old_runs_are_removed_and_the_plots_keep_every_point(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    days = {key: made(instance, daily, key) for key in DAYS.get_partition_keys()}
    other_run = other_job.execute_in_process(instance=instance).run_id
    old_batch = made(instance, batch)
    young_batch = made(instance, batch)
    newest_batch = made(instance, batch)
    young_run = other_job.execute_in_process(instance=instance).run_id
    for run_id in (*days.values(), old_batch, newest_batch):
        age(connection, run_id, 1000)
    age(connection, other_run, 31)
    age(connection, young_batch, 89)
    age(connection, young_run, 29)
    output = {run_id: captured_output(instance, run_id) for run_id in (other_run, young_run)}

    found = clean(instance)["prune_runs"]

    assert found["runs_removed"] == 2
    assert found["by_job"]["other_job"] == 1
    kept = {*days.values(), young_batch, newest_batch, young_run}
    assert {run.run_id for run in instance.get_runs(dg.RunsFilter(run_ids=[*kept, other_run, old_batch]))} == kept
    for gone in (other_run, old_batch):
        assert count(connection, "event_logs", gone) == 0
        assert count(connection, "run_tags", gone) == 0
    assert [output[run].exists() for run in (other_run, young_run)] == [False, True]
    points = instance.fetch_materializations(dg.AssetKey("daily"), limit=10).records
    assert {(record.partition_key, record.run_id) for record in points} == set(days.items())
    assert instance.get_materialized_partitions(dg.AssetKey("daily")) == set(days)
    batches = instance.fetch_materializations(dg.AssetKey("ocr_text"), limit=10).records
    assert [record.run_id for record in batches] == [newest_batch, young_batch]
    assert clean(instance)["prune_runs"]["runs_removed"] == 0


def test_newest_run_of_a_day_computed_again_and_again_stays(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    first, second, newest = (made(instance, daily, "2026-01-01") for _ in range(3))
    young = made(instance, daily, "2026-01-02")
    other_day = made(instance, daily, "2026-01-02")
    for run_id in (first, second, newest, other_day):
        age(connection, run_id, 31)
    age(connection, young, 29)

    assert clean(instance)["prune_runs"]["runs_removed"] == 2

    left = {run.run_id for run in instance.get_runs(dg.RunsFilter(run_ids=[first, second, newest, young, other_day]))}
    assert left == {newest, young, other_day}
    points = instance.get_latest_storage_id_by_partition(
        dg.AssetKey("daily"), dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    assert set(points) == {"2026-01-01", "2026-01-02"}


def test_old_check_results_are_removed_but_the_newest_of_each(
    instance: dg.DagsterInstance, connection: Connection
) -> None:
    def answer(check: str, days_ago: int) -> None:
        asked = dg.AssetCheckEvaluation(asset_key=dg.AssetKey("queue"), check_name=check, passed=True)
        instance.report_runless_asset_event(asked)
        connection.execute(
            "UPDATE dagster.asset_check_executions SET evaluation_event_timestamp = evaluation_event_timestamp - %s "
            "WHERE id = (SELECT max(id) FROM dagster.asset_check_executions)",
            [timedelta(days=days_ago)],
        )

    for days_ago in (40, 31, 29, 1):
        answer("often", days_ago)
    for days_ago in (50, 40):
        answer("rarely", days_ago)

    assert clean(instance)["prune_check_results"] == {
        "check_results_removed": 3,
        "observations_removed": 0,
        "complete": True,
    }

    left = "SELECT check_name, count(*) FROM dagster.asset_check_executions GROUP BY check_name ORDER BY check_name"
    assert connection.execute(left).fetchall() == [("often", 2), ("rarely", 1)]
    events = "SELECT count(*) FROM dagster.event_logs WHERE dagster_event_type = 'ASSET_CHECK_EVALUATION'"
    assert connection.execute(events).fetchone() == (3,)
    key = dg.AssetCheckKey(dg.AssetKey("queue"), "rarely")
    assert instance.get_latest_asset_check_evaluation_record(key) is not None


def test_old_observations_are_removed_but_the_newest(instance: dg.DagsterInstance, connection: Connection) -> None:
    for _ in range(4):
        instance.report_runless_asset_event(dg.AssetObservation("queue"))
    aged = "UPDATE dagster.event_logs SET timestamp = timestamp - interval '31 days' WHERE id IN"
    old = f"{aged} (SELECT id FROM dagster.event_logs"  # noqa: S608 - constants
    connection.execute(f"{old} WHERE dagster_event_type = 'ASSET_OBSERVATION' ORDER BY id LIMIT 2)")
    assert clean(instance)["prune_check_results"]["observations_removed"] == 2
    connection.execute(f"{old} WHERE dagster_event_type = 'ASSET_OBSERVATION')")
    assert clean(instance)["prune_check_results"]["observations_removed"] == 1, "the newest stays"


def test_run_under_way_stays_however_old(instance: dg.DagsterInstance, connection: Connection) -> None:
    running = dg.DagsterRun(job_name="ocr_job", run_id=str(uuid4()), status=dg.DagsterRunStatus.STARTED)
    instance.add_run(running)
    age(connection, running.run_id, 1000)
    assert clean(instance)["prune_runs"]["runs_removed"] == 0
    assert instance.has_run(running.run_id)


def test_pages_of_documents_are_removed_after_a_day(instance: dg.DagsterInstance) -> None:
    folder = load_settings().home / "views"
    folder.mkdir(parents=True)
    for name, hours in (("old.html", 25), ("young.html", 23)):
        (folder / name).write_text("text")
        moment = time.time() - 3600 * hours
        os.utime(folder / name, (moment, moment))
    assert clean(instance)["remove_old_views"] == {"pages_removed": 1}
    assert [one.name for one in folder.iterdir()] == ["young.html"]


def test_attempts_are_kept_for_ever_without_a_retention_setting(
    instance: dg.DagsterInstance, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute(
        "INSERT INTO ocr_attempt (queue_id, attempt_number, worker_id, claimed_at, lease_expires_at, finished_at, outcome) "
        "SELECT gen_random_uuid(), 1, 'w', at, at, at, 'released' "
        "FROM (VALUES (now() - interval '401 days'), (now() - interval '399 days')) AS day (at)"
    )
    assert clean(instance).get("prune_old_attempts", {}) == {}
    assert connection.execute("SELECT count(*) FROM ocr_attempt").fetchone() == (2,)
    monkeypatch.setenv("NOTAFLOW_ATTEMPT_RETENTION_DAYS", "400")
    assert clean(instance)["prune_old_attempts"]["attempts_removed"] == 1
    assert connection.execute("SELECT count(*) FROM ocr_attempt").fetchone() == (1,)


@pytest.mark.parametrize(
    ("assets", "age_days", "goes"),
    [
        (set(), 29.9, False),
        (set(), 30.0, True),
        ({"ocr_text"}, 89.9, False),
        ({"ocr_text"}, 90.0, True),
        ({"ocr_daily_performance"}, 10_000.0, False),
        ({"ocr_text", "ocr_daily_performance"}, 10_000.0, False),
    ],
)
def test_retention_of_a_run_depends_on_its_assets(assets: set[str], age_days: float, goes: bool) -> None:
    made = RunProducts({dg.AssetKey(name) for name in assets}, superseded=False)
    assert is_removable(made, age_days=age_days, run_retention_days=30, ocr_run_retention_days=90) is goes
