"""Runs that cannot do their work fail with a description that says why, and interrupted runs are shown as canceled."""

import os
import signal
from pathlib import Path

import dagster as dg
import pytest
from psycopg import Connection

from notaflow_pipeline.defs.assets.extraction_queue import extraction_queue
from notaflow_pipeline.defs.resources import configured_resources
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, configure, defs

pytestmark = pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")

SECRET = "Marie-Fictive Untelle"
DAY = "2026-11-01"

JOBS: dict[str, str | None] = {
    "ocr_job": None,
    "ocr_recovery_job": None,
    "cancel_documents_job": None,
    "document_priority_job": None,
    "housekeeping_job": None,
    "dashboard_job": None,
    "queue_invariants_job": None,
    "daily_reconciliation_job": None,
    "ocr_today_job": DAY,
    "ocr_daily_job": DAY,
    "retry_exhausted_job": DAY,
}
"""Every job, and the partition that it is launched with."""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """The environment names this test's database and this folder."""
    configure(monkeypatch, tmp_path, database_url)
    monkeypatch.setenv("NOTAFLOW_ATTEMPT_RETENTION_DAYS", "30")  # for the op of housekeeping that uses the queue


def description(job: str, partition: str | None = None) -> str:
    """Run a job that must fail; return how its first failed step is described."""
    return described(defs.resolve_job_def(job).execute_in_process(partition_key=partition, raise_on_error=False))


def described(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    failed = next(event for event in result.all_events if event.is_step_failure)
    failure = failed.step_failure_data.user_failure_data
    assert failure is not None, failed
    return str(failure.description)


def test_every_job_is_tried() -> None:
    named = {job.name for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__")}
    assert named == JOBS.keys()


@pytest.mark.parametrize("job", JOBS)
def test_database_that_is_down(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", "postgresql://notaflow:hunter2@127.0.0.1:1/notaflow")
    said = description(job, JOBS[job])
    assert "cannot use database notaflow at 127.0.0.1:1" in said
    assert "hunter2" not in said


def test_observation_of_the_queue_without_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", "postgresql://notaflow:hunter2@127.0.0.1:1/notaflow")
    job = dg.Definitions(
        assets=[extraction_queue],
        jobs=[dg.define_asset_job("observe", selection=[extraction_queue])],
        resources=configured_resources(load_settings()),
    ).resolve_job_def("observe")
    said = described(job.execute_in_process(raise_on_error=False))
    assert "cannot use database notaflow at 127.0.0.1:1" in said


def test_run_that_is_interrupted_is_shown_as_canceled() -> None:
    @dg.op
    @described_failures()
    def stopped() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    @dg.job(executor_def=dg.in_process_executor)
    def interrupted() -> None:
        stopped()

    with dg.DagsterInstance.ephemeral() as instance:
        ended = interrupted.execute_in_process(instance=instance, raise_on_error=False)
        run = instance.get_run_by_id(ended.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize("job", JOBS)
def test_schema_that_is_incomplete(job: str, connection: Connection) -> None:
    connection.execute("ALTER TABLE ocr_daily_performance RENAME TO elsewhere")
    assert "`notaflow migrate` repairs it" in description(job, JOBS[job])


@pytest.mark.parametrize("job", ["ocr_daily_job", "ocr_today_job"])
def test_day_whose_attempts_were_deleted(job: str, connection: Connection) -> None:
    connection.execute("INSERT INTO ocr_attempts_pruned (finished_before) VALUES ('2026-11-02 04:00Z')")
    assert f"the tables of {DAY} cannot be computed again" in description(job, DAY)


def test_page_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "reports").write_text("a file where a folder belongs")
    assert str(tmp_path / "home" / "reports") in description("dashboard_job")


def test_old_pages_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("a file where a folder belongs")
    assert "NOTAFLOW_HOME" in description("housekeeping_job")


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("SELECT * FROM nowhere", 'PostgreSQL: relation "nowhere" does not exist'),
        (f"SELECT '{SECRET}'::integer", "PostgreSQL: InvalidTextRepresentation (SQLSTATE 22P02)"),
        (f"DO $$ BEGIN RAISE EXCEPTION '{SECRET}'; END $$", "PostgreSQL: RaiseException (SQLSTATE P0001)"),
        (
            "INSERT INTO extraction_status (id, name) SELECT id, name FROM extraction_status",
            "PostgreSQL: UniqueViolation (SQLSTATE 23505)",
        ),
    ],
)
def test_error_of_postgresql_is_named_without_values_of_rows(connection: Connection, statement: str, says: str) -> None:
    with pytest.raises(dg.Failure) as failure, described_failures():
        connection.execute(statement)
    assert failure.value.description == says
