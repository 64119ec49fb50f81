"""Tests of SQL, markup and control characters in all texts of a row: they are stored and shown unchanged, never
executed."""

from pathlib import Path

from psycopg import Connection, sql

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.claiming import claims, outcomes
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, find_exhausted
from notaflow_pipeline.job_queue.model import Failure
from notaflow_pipeline.job_queue.pause import current_pause, pause, resume
from notaflow_pipeline.job_queue.queries import find_jobs
from notaflow_pipeline_tests.testing.job_queue import LEASE, attempts, document

HOSTILE = (
    "'; DROP TABLE extraction_queue; --",
    '"; DROP TABLE extraction_queue; --',
    "$$; DROP TABLE extraction_queue; $$",
    "%(id)s %s {} %",
    "\\'; SELECT pg_sleep(100) --",
    "<script>alert(1)</script>",
    '=HYPERLINK("http://other.example")',
    "x\r\nINSERT INTO ocr_pause DEFAULT VALUES;",
)


def test_every_text_of_a_row_stays_a_text(connection: Connection) -> None:
    for text in HOSTILE:
        key = enqueue_document(connection, NewDocument("index", text, f"index/{text}", text, text, text))
        [held] = claims.claim_documents(
            connection, limit=1, sources=["index"], worker_id=text, run_id=text, lease=LEASE
        )
        assert (held.document_number, held.supabase_path) == (text, f"index/{text}")
        outcomes.record_failure(
            connection, held, Failure(FailureKind.CORRUPT, text), error=text, fetch_seconds=0, source_bytes=0,
            retry_base_seconds=1, mirror_errors=True, exhausted_status=3,
        )  # fmt: skip
        connection.execute("UPDATE ocr_attempt SET failure_kind = %s WHERE id = %s", [text, held.token])
        row, [attempt] = document(connection, key), attempts(connection, key)
        assert (row["ocr_error"], row["error_message"], row["ocr_worker_id"]) == (text, text, text)
        assert (attempt["failure_kind"], attempt["error"], attempt["run_id"]) == (text, text, text)
        assert [one.id for one in find_jobs(connection, text)] == [key]
        assert [one.id for one in find_exhausted(connection, ExhaustedFilter(("index",), kinds=(text,)))] == [key]
        pause(connection, text)
        now = current_pause(connection)
        assert now is not None
        assert now.reason == text
        assert resume(connection)
    count = connection.execute(sql.SQL("SELECT count(*) FROM extraction_queue")).fetchone()
    assert count == (len(HOSTILE),)
    assert list(find_violations(connection, sources=["index"])) == []


def test_no_statement_of_the_product_is_put_together_from_values() -> None:
    """Texts with SQL keywords are not formatted; psycopg's `sql` composes identifiers and literals."""
    package = Path(__file__).parents[2] / "notaflow_pipeline"
    for path in package.rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            formatted = line.lstrip().startswith(("f'", 'f"')) or "execute(f" in line
            statement = any(word in line for word in ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM "))
            assert not (formatted and statement), f"{path.name}:{number}"
