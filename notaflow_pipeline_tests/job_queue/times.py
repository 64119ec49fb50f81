"""Database times and OCR results for tests of claims and outcomes."""

from datetime import datetime

from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.model import OcrResult


def database_time(connection: Connection) -> datetime:
    with connection.cursor(row_factory=scalar_row) as cursor:
        now = cursor.execute("SELECT clock_timestamp()").fetchone()
    assert isinstance(now, datetime)
    return now


def reading(text: str) -> OcrResult:
    return OcrResult(
        text=text, pages=1, mean_confidence=80, fetch_seconds=0, ocr_seconds=0, source_bytes=1, engine="tesseract 5"
    )
