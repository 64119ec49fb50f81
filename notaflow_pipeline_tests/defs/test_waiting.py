"""Tests of how `ocr_ready_sensor` waits for documents that can be claimed."""

import subprocess
import sys
import threading

import dagster as dg
import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.defs.sensors import ocr_ready
from notaflow_pipeline.job_queue.database.hidden_rows import HIDDEN
from notaflow_pipeline.job_queue.queries import can_claim, count_ready
from notaflow_pipeline.job_queue.refusals import find_refusals
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING
from notaflow_pipeline_tests.defs.sensor_ticks import enqueued, launched, tick
from notaflow_pipeline_tests.testing import least_privilege
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

pytestmark = [pytest.mark.usefixtures("documents"), pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")]


def test_nothing_is_launched_for_rows_that_another_program_has_locked(
    connection: Connection, database_url: str, instance: dg.DagsterInstance
) -> None:
    locked, _ = enqueued(connection, 2)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [locked])
        assert launched(instance) == 1, "the second one is free"
        other.execute("SELECT FROM extraction_queue FOR UPDATE")
        assert count_ready(connection, sources=["index"], at_most=10) == 2
        assert launched(instance) == 0
    assert launched(instance) == 1


def test_query_for_a_claimable_row_locks_nothing(connection: Connection, database_url: str) -> None:
    enqueued(connection)
    assert can_claim(connection, sources=["index"])
    with psycopg.connect(database_url) as other:
        assert other.execute("SELECT FROM extraction_queue FOR UPDATE NOWAIT").rowcount == 1
        assert not can_claim(connection, sources=["index"])


def test_nothing_is_launched_for_a_row_that_the_database_refuses(
    connection: Connection, instance: dg.DagsterInstance
) -> None:
    [refused] = enqueued(connection)
    connection.execute(f"ALTER TABLE extraction_queue ADD CONSTRAINT held CHECK (id <> '{refused}') NOT VALID")
    skipped = tick(instance)
    assert isinstance(skipped, dg.SkipReason)
    reason = f"such as {refused} (CheckViolation, SQLSTATE 23514, constraint held)"
    assert reason in str(skipped.skip_message)
    again = tick(instance)
    assert isinstance(again, dg.SkipReason)
    assert "refuses to claim 1 more document" in str(again.skip_message)
    enqueued(connection)
    assert launched(instance) == 1


@pytest.mark.owner
@pytest.mark.direct
def test_nothing_is_launched_for_a_row_that_a_policy_hides(
    connection: Connection, database_url: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueued(connection)
    least_privilege.prepare(database_url)
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", least_privilege.as_worker(database_url))
    connection.execute("CREATE POLICY held ON extraction_queue AS RESTRICTIVE FOR UPDATE USING (status_id <> 3)")
    skipped = tick(instance)
    assert isinstance(skipped, dg.SkipReason)
    assert HIDDEN in str(skipped.skip_message)
    assert [one.reason for one in find_refusals(connection, ["index"])] == [HIDDEN]


def test_text_to_be_read_again_and_row_without_maximum_can_be_claimed(connection: Connection) -> None:
    [document] = enqueued(connection)
    connection.execute("UPDATE extraction_queue SET ocr_max_attempts = NULL, ocr_attempts = NULL")
    assert can_claim(connection, sources=["index"])
    connection.execute(
        "UPDATE extraction_queue SET status_id = 5, file_content = '', ocr_attempts = 1, ocr_max_attempts = 3 WHERE id = %s",
        [document],
    )
    connection.execute("UPDATE extraction_queue SET ocr_reread_requested_at = clock_timestamp()")
    assert can_claim(connection, sources=["index"])
    assert not can_claim(connection, sources=["acte"])


def test_document_that_comes_during_a_tick_is_seen_by_that_tick(
    database_url: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr_ready, "MAX_WAIT_SECONDS", 60.0)
    looked = threading.Event()

    def count_and_tell(*arguments: object, **named: object) -> int:
        found = count_ready(*arguments, **named)  # type: ignore[arg-type]
        looked.set()
        return found

    monkeypatch.setattr(ocr_ready, "count_ready", count_and_tell)

    def arrive() -> None:
        assert looked.wait(HANG_SECONDS)
        with psycopg.connect(database_url, autocommit=True) as other:
            enqueued(other)

    arriving = threading.Thread(target=arrive)
    arriving.start()
    assert launched(instance) == 1
    arriving.join()


def test_run_starts_without_what_only_reports_and_ocr_need() -> None:
    load = "import sys, notaflow_pipeline.definitions; notaflow_pipeline.definitions.defs();"
    show = "print({'pandas', 'numpy', 'vl_convert', 'boto3'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", load + show], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
