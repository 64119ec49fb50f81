"""Writes a day's three tables in one transaction, from one snapshot of the attempts."""

from datetime import date, datetime
from typing import Any

import pandas as pd
from psycopg import Connection

from notaflow_pipeline.reporting.daily_tables.attempts import read_attempts
from notaflow_pipeline.reporting.daily_tables.daily import DailyTables, daily_tables, rows_of
from notaflow_pipeline.reporting.daily_tables.days import window_of

_ONE_SNAPSHOT = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
"""

# Set without a SELECT, which would take the snapshot before the lock is held. A day of a million attempts takes some seconds
# here, and longer over a slow connection.
_LIMIT_WAIT = """
SET LOCAL lock_timeout = '30s'
"""

_LIMIT_COUNT = """
SET LOCAL statement_timeout = '10min'
"""

# the second of two writers counts at least what the first one counted; readers do not wait
_ONE_WRITER = """
LOCK TABLE ocr_daily_performance, ocr_daily_failure_rate, ocr_daily_failures_by_kind IN SHARE ROW EXCLUSIVE MODE
"""

_NOW = """
SELECT clock_timestamp()
"""

_DELETE = (
    """
DELETE FROM ocr_daily_performance
WHERE day = %(day)s
""",
    """
DELETE FROM ocr_daily_failure_rate
WHERE day = %(day)s
""",
    """
DELETE FROM ocr_daily_failures_by_kind
WHERE day = %(day)s
""",
)

_WRITE_PERFORMANCE = """
INSERT INTO ocr_daily_performance (
    day, document_source, documents, pages, characters, duration_seconds_avg, duration_seconds_min, duration_seconds_p50,
    duration_seconds_p95, duration_seconds_max, wait_seconds_p50, wait_seconds_p95, attempts_avg, pages_per_minute,
    mean_confidence, low_confidence_documents, mean_coverage, low_coverage_documents, computed_at
)
VALUES (
    %(day)s, %(document_source)s, %(documents)s, %(pages)s, %(characters)s, %(duration_seconds_avg)s,
    %(duration_seconds_min)s, %(duration_seconds_p50)s, %(duration_seconds_p95)s, %(duration_seconds_max)s,
    %(wait_seconds_p50)s, %(wait_seconds_p95)s, %(attempts_avg)s, %(pages_per_minute)s, %(mean_confidence)s,
    %(low_confidence_documents)s, %(mean_coverage)s, %(low_coverage_documents)s, %(computed_at)s
)
"""

_WRITE_FAILURE_RATE = """
INSERT INTO ocr_daily_failure_rate (
    day, document_source, attempts, attempts_failed, attempts_stuck, attempt_failure_rate, documents_finished,
    documents_exhausted, document_failure_rate, failure_rate_low, failure_rate_high, computed_at
)
VALUES (
    %(day)s, %(document_source)s, %(attempts)s, %(attempts_failed)s, %(attempts_stuck)s, %(attempt_failure_rate)s,
    %(documents_finished)s, %(documents_exhausted)s, %(document_failure_rate)s, %(failure_rate_low)s,
    %(failure_rate_high)s, %(computed_at)s
)
"""

_WRITE_FAILURES_BY_KIND = """
INSERT INTO ocr_daily_failures_by_kind (day, document_source, failure_kind, attempts, documents, computed_at)
VALUES (%(day)s, %(document_source)s, %(failure_kind)s, %(attempts)s, %(documents)s, %(computed_at)s)
"""


def write_day(
    connection: Connection, day: date, *, timezone: str, low_confidence: float, low_coverage: float
) -> DailyTables:
    """Replace a day's tables and return the new ones; can be repeated.

    Args:
        connection: outside any transaction.
        day: a date in `timezone`.
        timezone: in which the day begins and ends at midnight.
        low_confidence: below how much mean confidence, 0 to 100, a document counts as one of low confidence.
        low_coverage: below how much coverage, 0 to 1, a document counts as one with possible gaps.

    Raises:
        AttemptsPruned: some of the day's attempts were deleted; the tables stay as they are.
        psycopg.errors.LockNotAvailable: another writer did not finish in time.
    """
    with connection.transaction():
        for statement in (_ONE_SNAPSHOT, _LIMIT_WAIT, _LIMIT_COUNT, _ONE_WRITER):
            connection.execute(statement)
        computed_at = connection.execute(_NOW).fetchone()
        attempts = read_attempts(connection, window_of(day, timezone))
        tables = daily_tables(attempts, low_confidence=low_confidence, low_coverage=low_coverage)
        _write(connection, tables, {"day": day, "computed_at": computed_at[0] if computed_at else None})
    return tables


def _write(connection: Connection, tables: DailyTables, of_the_day: dict[str, date | datetime | None]) -> None:
    with connection.cursor() as cursor:
        for delete in _DELETE:
            cursor.execute(delete, of_the_day)
        cursor.executemany(_WRITE_PERFORMANCE, _rows(tables.performance, of_the_day))
        cursor.executemany(_WRITE_FAILURE_RATE, _rows(tables.failure_rate, of_the_day))
        cursor.executemany(_WRITE_FAILURES_BY_KIND, _rows(tables.failures_by_kind, of_the_day))


def _rows(table: pd.DataFrame, of_the_day: dict[str, date | datetime | None]) -> list[dict[str, Any]]:
    return [row | of_the_day for row in rows_of(table)]
