"""Finds the days whose tables are to be computed, and the days that should have been computed already."""

from datetime import date, timedelta

from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.reporting.daily_tables.days import window_of

GRACE = timedelta(hours=1)
"""How long after its end a day may lack complete tables."""

DAYS_CHECKED = 3
"""How many ended days are checked; older ones were reported before."""

_LAST_ENDED = """
SELECT ((clock_timestamp() - %(grace)s) AT TIME ZONE %(timezone)s)::date - 1
"""

_HAS_ATTEMPTS = """
SELECT EXISTS (
    SELECT
    FROM ocr_attempt
    WHERE finished_at >= %(start)s
      AND finished_at < %(end)s
      AND outcome IN ('succeeded', 'failed', 'stuck')
)
"""

_DUE = """
SELECT %(first)s::date + number
FROM generate_series(0, %(last)s::date - %(first)s::date) AS number
WHERE NOT EXISTS (
    SELECT
    FROM ocr_daily_failure_rate AS written
    WHERE written.day = %(first)s::date + number
      AND written.document_source = 'all'
      AND written.computed_at >= (%(first)s::date + number + 1)::timestamp AT TIME ZONE %(timezone)s
)
  AND NOT EXISTS (
    SELECT
    FROM ocr_attempts_pruned AS pruned
    WHERE pruned.finished_before > (%(first)s::date + number)::timestamp AT TIME ZONE %(timezone)s
)
ORDER BY number
"""

# An outcome gets its time before its commit, so attempts of the last minute are included: twice the limit of a statement.
_HAS_NEWS = """
WITH written AS (
    SELECT computed_at
    FROM ocr_daily_failure_rate
    WHERE day = %(day)s
      AND document_source = 'all'
)
SELECT NOT EXISTS (SELECT FROM written) OR EXISTS (
    SELECT
    FROM ocr_attempt
    WHERE finished_at >= GREATEST(%(start)s, (SELECT computed_at - interval '1 minute' FROM written))
      AND finished_at < %(end)s
      AND outcome IN ('succeeded', 'failed', 'stuck')
)
"""


def days_due(connection: Connection, *, today: date, look_back_days: int, first: date, timezone: str) -> list[date]:
    """Return the whole days whose tables were never computed after they ended, oldest first; pruned ones are left out.

    Args:
        connection: to the database.
        today: the day under way, which is not due yet.
        look_back_days: no further back than this.
        first: the day before which nothing is computed.
        timezone: of the days.
    """
    arguments = {
        "first": max(first, today - timedelta(days=look_back_days)),
        "last": today - timedelta(days=1),
        "timezone": timezone,
    }
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_DUE, arguments).fetchall()


def days_not_computed(connection: Connection, *, today: date, first: date, last: date, timezone: str) -> list[date]:
    """Return the days, oldest first, that have attempts and whose tables do not count all of them; pruned ones are left out.

    Args:
        connection: to the database.
        today: the day under way, which is due when an attempt has ended since it was computed.
        first: the first day.
        last: the last day, included.
        timezone: of the days.
    """
    ended, back = min(today, last + timedelta(days=1)), (today - first).days
    due = days_due(connection, today=ended, look_back_days=back, first=first, timezone=timezone)
    if first <= today <= last and has_new_attempts(connection, today, timezone=timezone):
        due.append(today)
    return [day for day in due if _has_attempts(connection, day, timezone)]


def _has_attempts(connection: Connection, day: date, timezone: str) -> bool:
    window = window_of(day, timezone)
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(_HAS_ATTEMPTS, {"start": window.start, "end": window.end}).fetchone())


def has_new_attempts(connection: Connection, day: date, *, timezone: str) -> bool:
    """Whether a day's tables are missing, or an attempt that they count has finished since they were computed."""
    window = window_of(day, timezone)
    arguments = {"day": day, "start": window.start, "end": window.end}
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(_HAS_NEWS, arguments).fetchone())


def days_missed(connection: Connection, *, first: date, timezone: str) -> list[date]:
    """Return the days, oldest first, that ended over an hour ago, had attempts, and lack complete tables.

    Tables that were computed during the day do not count: they lack its last hours.

    Args:
        connection: to the database, whose clock decides.
        first: the day before which nothing is computed.
        timezone: of the days.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        last = cursor.execute(_LAST_ENDED, {"grace": GRACE, "timezone": timezone}).fetchone()
        assert isinstance(last, date)  # noqa: S101 - it selects one
    today = last + timedelta(days=1)
    due = days_due(connection, today=today, look_back_days=DAYS_CHECKED, first=first, timezone=timezone)
    return [day for day in due if _has_attempts(connection, day, timezone)]
