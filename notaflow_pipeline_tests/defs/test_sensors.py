"""Tests of the sensors: when they launch a run, and when they do not."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from psycopg import Connection

from notaflow_pipeline.defs.jobs.recovery import RECOVERY_RUN_TAG
from notaflow_pipeline.defs.ocr_runs import ACTIVE, OCR_POOL, OCR_RUN_TAG
from notaflow_pipeline.defs.sensors.lost_runs import LOST_RUN_SENTENCE, is_lost
from notaflow_pipeline.defs.sensors.ocr_ready import backoff_after_failures, ocr_ready_sensor, runs_to_launch
from notaflow_pipeline.defs.sensors.recovery import ocr_recovery_sensor
from notaflow_pipeline.job_queue.claiming import claims
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.job_queue.pause import pause, resume
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, defs
from notaflow_pipeline_tests.defs.sensor_ticks import enqueued, launched, tick
from notaflow_pipeline_tests.ocr import samples

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("notaflow_pipeline"), "__repository__"), "ocr_job"
)
"""Which Dagster wants of a run that is queued."""

pytestmark = [pytest.mark.usefixtures("documents"), pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")]


def add_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str] = OCR_RUN_TAG, **of: Any
) -> str:
    run = {"job_name": "ocr_job", "run_id": str(uuid4()), "remote_job_origin": ORIGIN} | of
    instance.add_run(dg.DagsterRun(status=status, tags=tags, **run))
    return str(run["run_id"])


def test_tick_sets_the_limit_of_the_pool_of_ocr_runs(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("1", "3"):
        monkeypatch.setenv("OCR_MAX_RUNS", limit)
        tick(instance)
        assert {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()} == {
            OCR_POOL: int(limit)
        }


def test_every_job_that_ocrs_documents_is_in_the_pool() -> None:
    repository = defs.get_repository_def()
    pools = {
        job.name: {op.pool for op in job.all_node_defs if isinstance(op, dg.OpDefinition)}
        for job in repository.get_all_jobs()
    }
    with_ocr = {name for name, found in pools.items() if OCR_POOL in found}
    assert {"ocr_job", "retry_exhausted_job", "__ASSET_JOB"} <= with_ocr


@pytest.mark.parametrize(
    ("ready", "active", "documents_per_run", "max_runs", "expected"),
    [
        (0, 0, 200, 1, 0),
        (1, 0, 200, 1, 1),
        (1, 1, 200, 1, 0),
        (200, 0, 200, 4, 1),
        (201, 0, 200, 4, 2),
        (201, 1, 200, 4, 1),
        (10_000, 0, 200, 4, 4),
        (10_000, 3, 200, 4, 1),
        (10_000, 9, 200, 4, 0),
        (0, 3, 200, 4, 0),
        (5, 0, 1, 100, 5),
    ],
)
def test_as_many_runs_are_launched_as_are_missing(
    ready: int, active: int, documents_per_run: int, max_runs: int, expected: int
) -> None:
    missing = runs_to_launch(ready=ready, active=active, documents_per_run=documents_per_run, max_runs=max_runs)
    assert missing == expected


@pytest.mark.parametrize(
    ("failures", "since", "expected"),
    [
        (0, 0.0, 0.0),
        (0, 10_000.0, 0.0),
        (1, 0.0, 30.0),
        (1, 20.0, 10.0),
        (1, 31.0, 0.0),
        (2, 0.0, 60.0),
        (3, 0.0, 120.0),
        (5, 0.0, 480.0),
        (6, 0.0, 900.0),
        (10, 0.0, 900.0),
        (10, 901.0, 0.0),
    ],
)
def test_backoff_doubles_with_each_failure_up_to_15_minutes(failures: int, since: float, expected: float) -> None:
    assert backoff_after_failures(failures_in_a_row=failures, seconds_since_last=since) == expected


def test_run_is_launched_when_a_document_is_ready(connection: Connection, instance: dg.DagsterInstance) -> None:
    enqueued(connection)
    decision = tick(instance)
    assert isinstance(decision, dg.SensorResult)
    assert decision.run_requests is not None
    (request,) = decision.run_requests
    assert request.run_key is None, "a key would block a retry for ever"
    assert request.tags.items() >= OCR_RUN_TAG.items()
    assert not request.run_config, "row ids are never passed: the claim decides"


def test_nothing_is_launched_when_nothing_is_ready(connection: Connection, instance: dg.DagsterInstance) -> None:
    decision = tick(instance)
    assert isinstance(decision, dg.SkipReason)
    assert "0 documents" in str(decision.skip_message)


def test_documents_that_cannot_be_claimed_launch_nothing(connection: Connection, instance: dg.DagsterInstance) -> None:
    enqueued(connection, source="acte")
    enqueued(connection, source="plan_cadastraux")
    exhausted, waiting = enqueued(connection, 2)
    connection.execute("UPDATE extraction_queue SET ocr_attempts = 3 WHERE id = %s", [exhausted])
    connection.execute(
        "UPDATE extraction_queue SET ocr_next_attempt_at = clock_timestamp() + interval '1 hour' WHERE id = %s",
        [waiting],
    )
    assert launched(instance) == 0


@pytest.mark.parametrize("status", ACTIVE)
def test_no_second_run_is_launched_while_one_is_active(
    connection: Connection, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    enqueued(connection)
    add_run(instance, status)
    decision = tick(instance)
    assert isinstance(decision, dg.SkipReason)
    assert "1 run active" in str(decision.skip_message)


def test_run_from_the_page_of_an_asset_is_counted_before_it_starts(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    enqueued(connection)
    for asset, launches in (("ocr_dashboard", 1), ("ocr_text", 0)):
        of_page = {"job_name": "__ASSET_JOB", "asset_selection": {dg.AssetKey(asset)}}
        run = add_run(instance, dg.DagsterRunStatus.QUEUED, tags={}, **of_page)
        assert launched(instance) == launches, asset
    instance.add_run_tags(run, OCR_RUN_TAG)
    decision = tick(instance)
    assert isinstance(decision, dg.SkipReason)
    assert "1 run active" in str(decision.skip_message), "once, also when it has its tag"


def test_runs_of_other_jobs_and_runs_that_ended_are_not_counted(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    enqueued(connection)
    add_run(instance, dg.DagsterRunStatus.STARTED, tags={})
    add_run(instance, dg.DagsterRunStatus.SUCCESS)
    add_run(instance, dg.DagsterRunStatus.CANCELED)
    assert launched(instance) == 1


def test_a_run_is_launched_for_each_batch_up_to_the_maximum(
    connection: Connection, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCR_DOCUMENTS_PER_RUN", "2")
    monkeypatch.setenv("OCR_MAX_RUNS", "3")
    enqueued(connection, 3)
    assert launched(instance) == 2
    enqueued(connection, 20)
    assert launched(instance) == 3
    add_run(instance, dg.DagsterRunStatus.QUEUED)
    assert launched(instance) == 2


def test_nothing_is_launched_while_work_is_paused(connection: Connection, instance: dg.DagsterInstance) -> None:
    enqueued(connection)
    pause(connection, "the scanner is being repaired")
    decision = tick(instance)
    assert isinstance(decision, dg.SkipReason)
    assert "the scanner is being repaired" in str(decision.skip_message)
    resume(connection)
    assert launched(instance) == 1


def test_recovery_is_launched_once_for_rows_that_a_dead_worker_left_behind(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    enqueued(connection)
    claims.claim_documents(
        connection, limit=1, sources=["index"], worker_id="dead", run_id=None, lease=timedelta(seconds=0)
    )
    assert launched(instance) == 0, "until it is recovered it cannot be claimed"
    assert launched(instance, ocr_recovery_sensor) == 1
    add_run(instance, dg.DagsterRunStatus.STARTED, tags=RECOVERY_RUN_TAG)
    assert launched(instance, ocr_recovery_sensor) == 0


def test_recovery_backs_off_if_one_could_not_repair_every_row(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    [refused] = enqueued(connection)
    claims.claim_documents(
        connection, limit=1, sources=["index"], worker_id="dead", run_id=None, lease=timedelta(seconds=0)
    )
    connection.execute(f"ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (id <> '{refused}') NOT VALID")
    job = defs.resolve_job_def("ocr_recovery_job")
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    skipped = tick(instance, ocr_recovery_sensor)
    assert isinstance(skipped, dg.SkipReason)
    assert "could not repair every row" in str(skipped.skip_message)


def test_nothing_is_launched_for_rows_that_a_living_worker_holds(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    enqueued(connection)
    claims.claim_documents(
        connection, limit=1, sources=["index"], worker_id="alive", run_id=None, lease=timedelta(minutes=5)
    )
    assert launched(instance) == 0
    assert launched(instance, ocr_recovery_sensor) == 0


def test_sensor_backs_off_after_failed_runs_until_one_succeeds(
    connection: Connection, instance: dg.DagsterInstance, documents: Path
) -> None:
    enqueued(connection)
    job = defs.resolve_job_def("ocr_job")
    unmounted = documents.rename(documents.with_name("unmounted"))
    for _ in range(2):
        assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    decision = tick(instance)
    assert isinstance(decision, dg.SkipReason)
    assert "last runs failed" in str(decision.skip_message)
    unmounted.rename(documents)
    assert job.execute_in_process(instance=instance).success
    enqueued(connection)
    assert launched(instance) == 1


def test_second_tick_before_the_run_has_started_launches_an_empty_run(
    connection: Connection, instance: dg.DagsterInstance, documents: Path
) -> None:
    (id_,) = enqueued(connection)
    samples.png(documents / "index" / "0.png")
    assert [launched(instance), launched(instance)] == [1, 1], "neither knows of the other's run yet"
    job = defs.resolve_job_def("ocr_job")
    assert [job.execute_in_process(instance=instance).success for _ in range(2)] == [True, True]
    assert connection.execute("SELECT queue_id, outcome FROM ocr_attempt").fetchall() == [(id_, "succeeded")]
    assert launched(instance) == 0


@pytest.mark.parametrize(
    ("started", "without_lease", "lost"),
    [
        (10.0, None, False),  # it checks database, storage and engine
        (601.0, None, True),
        (5_000.0, -80.0, False),
        (5_000.0, 5.0, False),  # it writes down what it did
        (100.0, 16.0, True),
    ],
)
def test_a_started_run_without_a_lease_is_lost_after_a_while(
    started: float, without_lease: float | None, lost: bool
) -> None:
    said = is_lost(started_seconds_ago=started, without_lease_seconds=without_lease, first_claim_seconds=600)
    assert said is lost


def test_run_without_a_process_is_ended_as_failed_and_blocks_no_other(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    enqueued(connection, 3)
    alive, gone = (add_run(instance, dg.DagsterRunStatus.STARTED) for _ in range(2))
    for run, lease in [(alive, timedelta(minutes=2)), (gone, timedelta(seconds=-60))]:
        claims.claim_documents(connection, limit=1, sources=["index"], worker_id="one", run_id=run, lease=lease)
    tick(instance)
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses == {alive: dg.DagsterRunStatus.STARTED, gone: dg.DagsterRunStatus.FAILURE}
    assert LOST_RUN_SENTENCE in [entry.message for entry in instance.all_logs(gone)]


@pytest.mark.parametrize("sensor", [ocr_ready_sensor, ocr_recovery_sensor], ids=lambda one: one.name)
def test_tick_fails_when_the_database_is_unavailable(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, sensor: dg.SensorDefinition
) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", "postgresql://notaflow:hunter2@127.0.0.1:1/notaflow")
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1.*Is it running") as unavailable:
        tick(instance, sensor)
    assert "hunter2" not in str(unavailable.value)


def test_observation_counts_the_queue_and_the_days_of_exhausted_documents(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    exhausted, *_ = enqueued(connection, 3)
    connection.execute(
        "UPDATE extraction_queue SET ocr_attempts = 3, ocr_last_error_at = '2026-11-02 04:30+00' WHERE id = %s",
        [exhausted],
    )
    decision = tick(instance, defs.resolve_sensor_def("queue_observation_sensor"))
    assert isinstance(decision, dg.SensorResult)
    (observation,) = decision.asset_events
    metadata = observation.metadata
    assert observation.asset_key == dg.AssetKey("extraction_queue")
    assert {name: metadata[name].value for name in ("ready", "active", "exhausted", "done")} == {
        "ready": 2,
        "active": 0,
        "exhausted": 1,
        "done": 0,
    }
    (row,) = metadata["exhausted_by_day"].records  # type: ignore[attr-defined]
    assert row.data == {"day": "2026-11-01", "documents": 1}, "a day of the configured zone"


def test_queue_shows_its_columns() -> None:
    spec = defs.resolve_asset_graph().get(dg.AssetKey("extraction_queue"))
    columns = spec.metadata["dagster/column_schema"]
    assert isinstance(columns, dg.TableSchema)
    assert {"status_id", "supabase_path", "file_content"} <= {column.name for column in columns.columns}
    assert [column.name for column in columns.columns if not column.description] == []
