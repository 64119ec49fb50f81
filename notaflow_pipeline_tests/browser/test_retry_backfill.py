"""Tests of requeuing the exhausted documents of a range of days from the backfill dialog of `requeued_documents`."""

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.browser.test_daily_backfill import BACKFILL_RUNS, launch_backfill
from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page


EXHAUSTED_AT = {
    "before": "2026-10-30 23:59:59-04",
    "first": "2026-10-31 00:00-04",
    "middle": "2026-11-01 12:00-05",  # a day of 25 hours
    "last": "2026-11-02 23:59:59-05",
    "after": "2026-11-03 00:00-05",
}

REQUEUED = """
SELECT q.document_number
FROM ocr_round AS r
JOIN extraction_queue AS q ON q.id = r.queue_id
ORDER BY q.document_number
"""


@pytest.fixture
def exhausted(terminal: Terminal, connection: Connection) -> dict[str, UUID]:
    """Documents whose files were missing when their only attempt was made, each on a day of its own."""
    samples.png(terminal.documents / "index" / "there.png")
    documents = {}
    for name in EXHAUSTED_AT:
        documents[name] = enqueue_document(connection, NewDocument("index", name, f"index/{name}.png"))
        # between those that are missing: several in a row are taken for a failure of the storage
        enqueue_document(connection, NewDocument("index", f"there-{name}", "index/there.png"))
    connection.execute("UPDATE extraction_queue SET ocr_max_attempts = 1")
    assert terminal.run("work", "--until-empty").returncode == 0
    connection.execute("DELETE FROM extraction_queue WHERE document_number LIKE 'there%%'", [])
    for name, at in EXHAUSTED_AT.items():
        connection.execute(
            "UPDATE ocr_attempt SET claimed_at = %s, finished_at = %s WHERE queue_id = %s", [at, at, documents[name]]
        )
        connection.execute("UPDATE extraction_queue SET ocr_last_error_at = %s WHERE id = %s", [at, documents[name]])
    return documents


def test_backfill_over_a_range_is_one_run_and_requeues_its_days_alone(
    exhausted: dict[str, UUID], page: "Page", dagster_url: str, connection: Connection, terminal: Terminal
) -> None:
    assert ends(connection) == dict.fromkeys(exhausted, (3, 1, 1, ["not_found"]))
    # the files have come since then, and one is none
    for name in exhausted:
        samples.png(terminal.documents / "index" / f"{name}.png")
    (terminal.documents / "index" / "middle.png").write_bytes(b"<html>Session expired</html>")

    launch_backfill(page, f"{dagster_url}/assets/requeued_documents", "[2026-10-31...2026-11-02]", together=False)
    wait_until(lambda: connection.execute(BACKFILL_RUNS).fetchall() == [("SUCCESS", 1)])

    assert connection.execute(REQUEUED).fetchall() == [("first",), ("last",), ("middle",)]
    wait_until(lambda: ends(connection)["last"][0] == 5)
    assert ends(connection) == {
        "before": (3, 1, 1, ["not_found"]),
        "first": (5, 2, 4, ["not_found", None]),
        "middle": (3, 2, 2, ["not_found", "not_a_document"]),
        "last": (5, 2, 4, ["not_found", None]),
        "after": (3, 1, 1, ["not_found"]),
    }
    assert violated_invariants(connection) == {}


def ends(connection: Connection) -> dict[str, tuple[int, int, int, list[str | None]]]:
    """Each document's status, attempts, their maximum, and how each attempt failed."""
    rows = connection.execute(
        "SELECT q.document_number, q.status_id, q.ocr_attempts, q.ocr_max_attempts, "
        "(SELECT array_agg(a.failure_kind ORDER BY a.id) FROM ocr_attempt AS a WHERE a.queue_id = q.id) "
        "FROM extraction_queue AS q"
    ).fetchall()
    return {number: (status, attempts, most, kinds) for number, status, attempts, most, kinds in rows}
