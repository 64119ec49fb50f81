"""The five monitoring queries of the requirements, byte for byte, and their views."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.testing.job_queue import add_document, ago, ahead

DOCUMENT = Path(__file__).parents[3] / "shared" / "spec" / "ocr-job-tracking.md"

READY, ACTIVE, STUCK, FAILED, PERFORMANCE = (
    (Path(__file__).with_name("document_queries.sql")).read_text(encoding="utf-8").removesuffix("\n").split("\n\n")
)

VIEWS = {
    "ocr_ready_documents": READY,
    "ocr_active_jobs": ACTIVE,
    "ocr_stuck_jobs": STUCK,
    "ocr_failed_jobs": FAILED,
    "ocr_performance_statistics": PERFORMANCE,
}


@pytest.fixture
def population(connection: Connection) -> dict[str, UUID]:
    """Rows of every kind that the queries tell apart, and of those that they do not (trap 1), by name."""
    exhausted = {"ocr_attempts": 3, "ocr_max_attempts": 3, "ocr_error": "OCR processing failed: corrupt"}
    rows: dict[str, dict[str, Any]] = {
        "ready, newer": {"created_at": ago("1 hour")},
        "ready, oldest": {"created_at": ago("3 days")},
        "ready, never counted": {"created_at": ago("2 days"), "ocr_attempts": None},
        "ready, maximum unknown too": {"created_at": ago("1 day"), "ocr_attempts": None, "ocr_max_attempts": None},
        "backing off": {"created_at": ago("5 hours"), "ocr_attempts": 1, "ocr_next_attempt_at": ahead("1 hour")},
        "maximum unknown": {"ocr_attempts": 1, "ocr_max_attempts": None},
        "extraction waiting": {"status_id": 1},
        "extraction failed": {"status_id": 4},
        "act, ready": {"document_source": "acte"},
        "drawing": {"document_source": "plan_cadastraux"},
        "source unknown": {"document_source": None},
        "at 3 with text": {"file_content": "text"},
        "active": {"status_id": 6, "ocr_started_at": ago("2 minutes"), "ocr_attempts": 1},
        "active elsewhere, stuck": {"status_id": 6, "ocr_started_at": ago("11 minutes"), "ocr_attempts": 1},
        "act, active": {"status_id": 6, "document_source": "acte", "ocr_started_at": ago("1 minute")},
        "no start time": {"status_id": 6, "ocr_attempts": 1},
        "last attempt running": {
            "status_id": 6,
            "ocr_attempts": 3,
            "ocr_started_at": ago("3 minutes"),
            "ocr_last_error_at": ago("9 minutes"),
        },
        "exhausted, older": {**exhausted, "ocr_last_error_at": ago("2 hours")},
        "exhausted, newest": {**exhausted, "ocr_last_error_at": ago("1 minute")},
        "exhausted, without an error": {"ocr_attempts": 4, "ocr_max_attempts": 3},
        "exhausted, maximum unknown": {"ocr_attempts": 3, "ocr_max_attempts": None, "ocr_last_error_at": ago("1 day")},
        "act, exhausted": {**exhausted, "document_source": "acte", "ocr_last_error_at": ago("3 hours")},
        "drawing, exhausted": {
            **exhausted,
            "document_source": "plan_cadastraux",
            "ocr_last_error_at": ago("4 hours"),
        },
        "sent back to extraction": {**exhausted, "status_id": 1, "ocr_last_error_at": ago("5 hours")},
        "never to be tried": {"ocr_attempts": 0, "ocr_max_attempts": 0},
        "blank, stored as NULL": {
            "status_id": 5,
            "ocr_attempts": 3,
            "ocr_last_error_at": ago("6 hours"),
            "ocr_started_at": ago("5 hours 59 minutes"),
            "ocr_completed_at": ago("5 hours 58 minutes"),
        },
        "done": {
            "status_id": 5,
            "ocr_attempts": 1,
            "file_content": "text",
            "ocr_started_at": ago("2 hours"),
            "ocr_completed_at": ago("1 hour 57 minutes"),
        },
        "done, times unknown": {"status_id": 5, "file_content": "text", "ocr_completed_at": ago("1 hour")},
    }
    return {name: add_document(connection, document_number=name, **columns) for name, columns in rows.items()}


def named(connection: Connection, query: str) -> list[str]:
    """The document numbers that a query returns, in its order; here they are names."""
    cursor = connection.execute(query.encode())
    assert cursor.description is not None
    number = [column.name for column in cursor.description].index("document_number")
    return [row[number] for row in cursor]


@pytest.mark.usefixtures("population")
def test_ready_query_names_ready_documents_oldest_first(connection: Connection) -> None:
    assert named(connection, READY) == [
        "ready, oldest",
        "ready, never counted",
        "ready, maximum unknown too",
        "backing off",
        "ready, newer",
    ]


@pytest.mark.usefixtures("population")
def test_active_query_names_every_row_under_ocr_longest_first(connection: Connection) -> None:
    assert named(connection, ACTIVE) == [
        "active elsewhere, stuck",
        "last attempt running",
        "active",
        "act, active",
        "no start time",
    ]


@pytest.mark.usefixtures("population")
def test_stuck_query_names_rows_that_run_for_more_than_ten_minutes(connection: Connection) -> None:
    assert named(connection, STUCK) == ["active elsewhere, stuck"]
    [(duration,)] = connection.execute("SELECT duration_seconds FROM ocr_stuck_jobs").fetchall()
    assert 660 <= duration < 960


@pytest.mark.usefixtures("population")
def test_failed_query_of_the_requirements_returns_too_many_documents(connection: Connection) -> None:
    found = named(connection, FAILED)
    assert set(found[:2]) == {"exhausted, without an error", "never to be tried"}, "NULL times sort first"
    assert found[2:] == [
        "exhausted, newest",
        "last attempt running",
        "exhausted, older",
        "act, exhausted",
        "drawing, exhausted",
        "sent back to extraction",
        "blank, stored as NULL",
    ]


@pytest.mark.usefixtures("population")
def test_performance_query_covers_rows_with_both_times(connection: Connection) -> None:
    cursor = connection.execute(PERFORMANCE.encode())
    assert cursor.description is not None
    total, average, shortest, longest, attempts = cursor.fetchall()[0]
    assert (total, attempts) == (2, 2)
    assert (round(shortest), round(longest), round(average)) == (60, 180, 120)


@pytest.mark.usefixtures("population")
@pytest.mark.parametrize(("view", "query"), VIEWS.items())
def test_view_returns_what_the_document_s_query_returns(connection: Connection, view: str, query: str) -> None:
    with connection.transaction():  # one transaction, one NOW()
        literal = connection.execute(query.encode())
        shown = connection.execute(b"SELECT * FROM " + view.encode())
        assert literal.description is not None
        assert shown.description is not None
        assert [column.name for column in shown.description] == [column.name for column in literal.description]
        wanted = literal.fetchall()
        assert wanted
        assert sorted(map(repr, shown)) == sorted(map(repr, wanted))


@pytest.mark.usefixtures("population")
def test_exhausted_documents_are_the_genuine_ones_alone(connection: Connection) -> None:
    assert named(connection, "SELECT * FROM ocr_exhausted_documents") == [
        "exhausted, newest",
        "exhausted, older",
        "exhausted, maximum unknown",
        "exhausted, without an error",
    ]


def test_exhausted_documents_of_another_source_show_once_it_is_enabled(
    connection: Connection, population: dict[str, UUID]
) -> None:
    connection.execute("INSERT INTO ocr_source (document_source) VALUES ('acte')")
    shown = {row[0] for row in connection.execute("SELECT id FROM ocr_exhausted_documents")}
    assert population["act, exhausted"] in shown
    assert population["drawing, exhausted"] not in shown


def test_these_are_the_document_s_queries_byte_for_byte() -> None:
    if not DOCUMENT.is_file():
        pytest.skip("the document itself is not here (../shared/spec/ocr-job-tracking.md)")
    blocks = re.findall(r"```sql\n(.*?)\n```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks == [READY, ACTIVE, STUCK, FAILED, PERFORMANCE]
