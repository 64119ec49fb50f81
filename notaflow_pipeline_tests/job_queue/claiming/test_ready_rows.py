"""The time of the next attempt limits how much of its index is read, so that a queue in backoff costs no poll its time."""

import json

import pytest
from psycopg import Connection, sql

from notaflow_pipeline.job_queue import queries
from notaflow_pipeline.job_queue.claiming import claim_preparation
from notaflow_pipeline.job_queue.claiming.ready_rows import conditions_of_rows

pytestmark = pytest.mark.owner

ARGUMENTS = {"left_out": [], "ids": None, "sources": ["index"], "timezone": "America/Toronto"}


def index_conditions(connection: Connection, statement: sql.Composable) -> str:
    """Return the conditions by which the plan of a statement searches in indexes."""
    connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    (plan,) = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + statement, ARGUMENTS).fetchone() or ([],)
    found: list[str] = []

    def collect(node: dict[str, object]) -> None:
        found.append(str(node.get("Index Cond", "")))
        for child in node.get("Plans", []):  # type: ignore[attr-defined]
            collect(child)

    collect(json.loads(json.dumps(plan))[0]["Plan"])
    return " ".join(found)


def test_end_of_backoff_is_searched_by_its_time(connection: Connection) -> None:
    connection.execute("""
        INSERT INTO extraction_queue (document_source, document_number, status_id, ocr_attempts, ocr_next_attempt_at)
        SELECT 'index', '1', 3, CASE WHEN n % 2 = 0 THEN 1 ELSE 3 END, CASE WHEN n % 2 = 0 THEN now() + interval '1 day' END
        FROM generate_series(1, 1000) AS n
    """)
    connection.execute("ANALYZE extraction_queue")
    assert "ocr_next_attempt_at <=" in index_conditions(connection, claim_preparation._DUE)
    condition, backoff = conditions_of_rows(["index"], ready=True)[1]
    waiting = sql.SQL("SELECT id FROM extraction_queue WHERE {} AND {}").format(condition, backoff)
    assert "ocr_next_attempt_at <=" in index_conditions(connection, waiting)


def test_attempts_of_today_are_searched_by_their_time(connection: Connection) -> None:
    assert "finished_at >=" in index_conditions(connection, sql.SQL(queries._TODAY))
