"""Tests of `retry`, `reread`, `pause` and `resume`."""

import json
import re
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.testing.job_queue import (
    ENCRYPTED,
    READING,
    TIMEOUT,
    add_document,
    change,
    claim_one,
    document,
    everything,
    fail,
    succeed,
)

TORONTO = ZoneInfo("America/Toronto")

ELSEWHERE = {"TZ": "Asia/Tokyo"}
"""The machine's own zone, which is nobody's business."""


def exhausted(connection: Connection, number: str, at: datetime, *, encrypted: bool = False) -> UUID:
    """A document that failed for good at this time."""
    row = add_document(connection, document_number=number, ocr_max_attempts=1)
    assert fail(connection, claim_one(connection), ENCRYPTED if encrypted else TIMEOUT)
    change(connection, "extraction_queue", row, ocr_last_error_at=at)
    return row


def read(connection: Connection, number: str, at: datetime) -> UUID:
    """A document that was read at this time."""
    row = add_document(connection, document_number=number)
    assert succeed(connection, claim_one(connection), READING)
    change(connection, "extraction_queue", row, ocr_started_at=at, ocr_completed_at=at)
    return row


def test_retry_requeues_by_filters_and_dry_run_changes_nothing(terminal: Terminal, connection: Connection) -> None:
    early = exhausted(connection, "1", datetime(2026, 11, 20, 23, 59, tzinfo=TORONTO))
    late = exhausted(connection, "2", datetime(2026, 11, 21, 0, 0, tzinfo=TORONTO))
    locked = exhausted(connection, "3", datetime(2026, 11, 21, 1, 0, tzinfo=TORONTO), encrypted=True)
    before = everything(connection)

    def chosen(*filters: str) -> list[str]:
        return [one["id"] for one in terminal.json("retry", "--dry-run", *filters, **ELSEWHERE)]

    assert chosen() == [str(early), str(late)], "no attempt can help what is encrypted"
    assert chosen("--id", str(locked)) == [str(locked)]
    assert chosen("--id", str(early), "--id", str(late)) == [str(early), str(late)]
    assert chosen("--since", "2026-11-21") == [str(late)]
    assert chosen("--kind", "encrypted") == [str(locked)]
    assert chosen("--since", "2026-11-21", "--kind", "timeout") == [str(late)]
    assert everything(connection) == before

    [sent] = terminal.json("retry", "--since", "2026-11-21", "--kind", "timeout", **ELSEWHERE)
    assert (sent["id"], sent["requeued"], sent["requeues"]) == (str(late), True, 0)
    assert (document(connection, late)["ocr_attempts"], document(connection, late)["ocr_max_attempts"]) == (1, 4)
    assert document(connection, early)["ocr_max_attempts"] == 1
    assert fail(connection, claim_one(connection), ENCRYPTED)
    both = ("--kind", "timeout", "--kind", "encrypted")
    assert chosen("--max-requeues", "1", *both) == [str(early), str(locked)], "the other one was requeued once"


def test_reread_requests_older_texts_which_stay_until_then(terminal: Terminal, connection: Connection) -> None:
    early = read(connection, "1", datetime(2026, 11, 20, 23, 59, tzinfo=TORONTO))
    late = read(connection, "2", datetime(2026, 11, 21, 0, 0, tzinfo=TORONTO))
    before = everything(connection)
    dry = terminal.json("reread", "--before", "2026-11-21", "--dry-run", **ELSEWHERE)
    assert dry == [{"id": str(early), "requested": False}]
    assert everything(connection) == before
    assert terminal.json("reread", "--before", "2026-11-21", **ELSEWHERE) == [{"id": str(early), "requested": True}]
    assert document(connection, early)["ocr_reread_requested_at"] is not None
    assert (document(connection, early)["status_id"], document(connection, early)["file_content"]) == (5, READING.text)
    assert document(connection, late)["ocr_reread_requested_at"] is None
    refused = terminal.run("reread")
    assert refused.returncode != 0
    assert "--before" in refused.stderr


def test_reread_requests_texts_with_less_coverage(terminal: Terminal, connection: Connection) -> None:
    gaps, whole = (read(connection, number, datetime(2026, 11, 20, tzinfo=TORONTO)) for number in ("1", "2"))
    connection.execute("UPDATE ocr_attempt SET coverage = 0.5 WHERE queue_id = %s", [gaps])
    assert terminal.json("reread", "--coverage-below", "0.8") == [{"id": str(gaps), "requested": True}]
    assert document(connection, whole)["ocr_reread_requested_at"] is None
    shown = terminal.run("show", "1", COLUMNS="80", NOTAFLOW_TIMEZONE="Asia/Tokyo").stdout
    assert re.search(r"attempt 1 \(claim \d+\): succeeded, claimed \d{4}-\d\d-\d\d \d\d:\d\d:\d\d JST by ", shown)
    assert "    1 page, confidence 91.5, coverage 0.50\n" in shown
    assert "+00:00" not in shown, "every time is in the configured zone"


def test_export_begins_at_a_time_of_the_configured_zone(terminal: Terminal, connection: Connection) -> None:
    read(connection, "1", datetime(2026, 11, 20, 23, 59, tzinfo=TORONTO))
    late = read(connection, "2", datetime(2026, 11, 21, 0, 0, tzinfo=TORONTO))
    assert [one["id"] for one in terminal.json("export", "--since", "2026-11-21", **ELSEWHERE)] == [str(late)]


def test_pause_stops_claims_until_resume(terminal: Terminal, connection: Connection) -> None:
    add_document(connection, supabase_path="index/missing.pdf")
    assert terminal.run("pause", "upgrade").returncode == 0
    (status,) = terminal.json("status")
    assert (status["paused"], status["ready"]) == ("upgrade", 1)
    (summary,) = terminal.json("work")
    assert summary["claimed"] == 0
    assert "(upgrade): nothing new is claimed until `notaflow resume`" in terminal.run("work").stderr
    assert terminal.run("resume").returncode == 0
    (summary,) = terminal.json("work")
    assert summary["claimed"] == 1
    assert "was not paused" in terminal.run("resume").stdout


def test_document_that_is_not_exhausted_is_named_and_left_alone(terminal: Terminal, connection: Connection) -> None:
    failed = exhausted(connection, "2", datetime(2026, 11, 20, tzinfo=TORONTO))
    waiting = add_document(connection, document_number="1")
    done = terminal.run("retry", "--id", str(waiting), "--id", str(failed), "--dry-run")
    assert f"{waiting} is no exhausted document" in done.stderr
    assert str(failed) in done.stdout
    assert "1 document would be requeued." in done.stdout


@pytest.mark.owner
def test_repair_that_the_database_refuses_is_reported_and_work_starts(
    terminal: Terminal, connection: Connection
) -> None:
    stuck = add_document(connection, document_number="1", status_id=6, ocr_attempts=1)
    add_document(connection, document_number="2", ocr_max_attempts=None, supabase_path="index/missing.pdf")
    connection.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''not document %'', NEW.document_number; END';
        CREATE TRIGGER refuse BEFORE UPDATE ON extraction_queue FOR EACH ROW WHEN (OLD.document_number = '1')
        EXECUTE FUNCTION refuse();
    """)
    done = terminal.run("recover", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["missing_maxima"], told["stuck_elsewhere"], list(told["failed"])) == (1, 0, ["stuck_elsewhere"])
    reason = told["failed"]["stuck_elsewhere"]
    assert reason.startswith("the database refused to change 1 row (the trigger function refuse()")
    assert "SQLSTATE P0001" in reason
    assert f"not all stuck elsewhere could be repaired: {reason}" in done.stderr
    worked = terminal.run("work", "--json")
    assert worked.returncode == 0, worked.stderr
    assert json.loads(worked.stdout)["claimed"] == 1
    assert document(connection, stuck)["status_id"] == 6


def test_table_of_a_retry_names_no_more_documents_than_a_person_reads(
    terminal: Terminal, connection: Connection
) -> None:
    connection.execute("""
        INSERT INTO extraction_queue (document_source, document_number, status_id, ocr_attempts, ocr_last_error_at)
        SELECT 'index', n::text, 3, 3, now() + n * interval '1 second'
        FROM generate_series(1, 1203) AS n
    """)
    done = terminal.run("retry", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert "and 1,003 more" in done.stdout
    assert "1,203 documents requeued." in done.stdout
    assert len(terminal.json("reread", "--before", "2026-01-01")) == 0
    assert terminal.json("retry") == []


def test_recover_names_what_breaks_an_invariant_and_what_to_do(terminal: Terminal, connection: Connection) -> None:
    key = add_document(connection)
    assert succeed(connection, claim_one(connection), READING)
    connection.execute("UPDATE extraction_queue SET ocr_attempts = 3, ocr_max_attempts = 3")
    assert terminal.run("recover").stderr == "", "another program may do so, and a trigger notes it"
    connection.execute("UPDATE extraction_queue SET ocr_changed_elsewhere_at = NULL")
    said = terminal.run("recover").stderr
    assert "ocr_attempts is 3, the history has 1" in said
    assert f"notaflow recover --accept {key}" in said
    assert terminal.run("recover", "--accept", str(key)).stderr == ""
    assert terminal.run("recover").stderr == ""
