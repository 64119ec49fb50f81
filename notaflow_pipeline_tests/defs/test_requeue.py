"""Tests of `retry_exhausted_job`: a day's documents, the schedule, and the recovery run."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from PIL import Image
from psycopg import Connection

from notaflow_pipeline.defs.partitions import yesterday
from notaflow_pipeline.job_queue.claiming import claims
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.defs import days, defs

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

EXHAUSTED = """
UPDATE extraction_queue
SET ocr_attempts = 3,
    ocr_error = 'OCR processing failed: It took too long.',
    ocr_last_error_at = %(at)s
WHERE id = %(id)s
"""


@pytest.fixture
def folder(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Documents of this test, and the environment that leads to them."""
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", database_url)
    monkeypatch.setenv("NOTAFLOW_DOCUMENTS_URL", str(tmp_path))
    monkeypatch.setenv("NOTAFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OCR_WORKERS", "1")
    (tmp_path / "index").mkdir()
    return tmp_path


def run(name: str, partition: str | None = None, *, kinds: list[str] | None = None) -> dg.ExecuteInProcessResult:
    op = {"requeue_exhausted_documents": {"config": {"kinds": kinds}}}
    config = {"ops": {"requeued_documents": {"ops": op}}} if kinds else None
    return defs.resolve_job_def(name).execute_in_process(
        partition_key=partition, run_config=config, raise_on_error=True
    )


def output_metadata(result: dg.ExecuteInProcessResult, op: str) -> Mapping[str, dg.MetadataValue]:
    [event] = [
        event
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.STEP_OUTPUT and event.step_key == op
    ]
    return event.step_output_data.metadata


def test_documents_exhausted_on_the_day_are_requeued_and_read(folder: Path, connection: Connection) -> None:
    Image.new("L", (200, 200), 255).save(folder / "index" / "blank.png")
    that_day = enqueue_document(connection, NewDocument("index", "1", "index/blank.png"))
    gone = enqueue_document(connection, NewDocument("index", "2", "index/gone.png"))
    other_day = enqueue_document(connection, NewDocument("index", "3", "index/blank.png"))
    for document, at in [
        (that_day, "2026-11-01 04:10+00"),  # in Toronto the first minutes of a day of 25 hours
        (gone, "2026-11-02 04:50+00"),  # and its last
        (other_day, "2026-11-02 05:00+00"),
    ]:
        connection.execute(EXHAUSTED, {"id": document, "at": at})

    result = run("retry_exhausted_job", "2026-11-01")

    rows = connection.execute("SELECT id, status_id, ocr_attempts, ocr_max_attempts FROM extraction_queue").fetchall()
    ends = {document: rest for document, *rest in rows}
    assert ends[that_day] == [5, 4, 6]
    assert ends[gone] == [3, 4, 6], "not found may end with time: it waits for its next attempt"
    assert ends[other_day] == [3, 3, 3]
    metadata = output_metadata(result, "requeued_documents.report_requeue_results")
    assert metadata["requeued"].value == 2
    assert metadata["results"].value == {"read": 1, "waiting": 1}


def test_permanent_failures_are_requeued_only_when_their_kind_is_named(folder: Path, connection: Connection) -> None:
    (folder / "index" / "page.html").write_bytes(b"<html>Session expired</html>")
    hopeless = enqueue_document(connection, NewDocument("index", "1", "index/page.html"))
    day = connection.execute("SELECT (clock_timestamp() AT TIME ZONE 'America/Toronto')::date::text").fetchone()
    assert day is not None
    run("ocr_job")
    result = run("retry_exhausted_job", day[0])
    left = output_metadata(result, "requeued_documents.requeue_exhausted_documents")["not_selected"].value
    assert left == {"not_a_document": 1}
    assert output_metadata(result, "requeued_documents.report_requeue_results")["requeued"].value == 0

    result = run("retry_exhausted_job", day[0], kinds=["not_a_document"])
    assert output_metadata(result, "requeued_documents.report_requeue_results")["results"].value == {
        "exhausted again": 1
    }
    ends = connection.execute("SELECT ocr_attempts FROM extraction_queue WHERE id = %s", [hopeless]).fetchone()
    assert ends == (2,)


def test_schedule_requeues_yesterday_every_night() -> None:
    schedule = defs.resolve_schedule_def("retry_exhausted_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    night = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)  # 3:30 in Toronto
    repository = defs.get_repository_def()
    with dg.build_schedule_context(scheduled_execution_time=night, repository_def=repository) as context:
        [request] = schedule.evaluate_tick(context).run_requests or []
    assert request.partition_key == "2026-11-22"


def test_today_can_be_backfilled_and_days_are_those_of_the_configured_zone() -> None:
    late = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)  # still the 23rd in Toronto
    assert days.get_partition_keys(current_time=late)[-1] == "2026-11-23"
    assert yesterday(days, late) == "2026-11-22"
    assert days.get_first_partition_key() == "2025-10-10"


def test_recovery_run_repairs_and_lists_the_repairs(folder: Path, connection: Connection, database_url: str) -> None:
    enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    claims.claim_documents(
        connection, limit=1, sources=["index"], worker_id="dead", run_id=None, lease=timedelta(seconds=-1)
    )
    result = run("ocr_recovery_job")
    metadata = output_metadata(result, "recover_rows")
    assert (metadata["expired_leases"].value, metadata["total"].value) == (1, 1)
    with psycopg.connect(database_url) as other:
        assert other.execute("SELECT status_id, ocr_claim_id FROM extraction_queue").fetchall() == [(3, None)]


@pytest.mark.owner
def test_recovery_run_with_a_refused_repair_fails_with_the_reason(folder: Path, connection: Connection) -> None:
    enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    connection.execute("UPDATE extraction_queue SET status_id = 6")
    connection.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
        CREATE TRIGGER refuse BEFORE UPDATE ON extraction_queue FOR EACH ROW EXECUTE FUNCTION refuse();
    """)
    result = defs.resolve_job_def("ocr_recovery_job").execute_in_process(raise_on_error=False)
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    assert error is not None
    assert "stuck elsewhere: the database refused to change 1 row (" in error.message
    assert "refuse(), which is not this project's, failed with RaiseException (SQLSTATE P0001)" in error.message
