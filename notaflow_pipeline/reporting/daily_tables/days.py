"""Computes when a day begins and ends in a time zone (after 23, 24 or 25 hours), and which day it is."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.rows import scalar_row

_TODAY = """
SELECT (clock_timestamp() AT TIME ZONE %(timezone)s)::date
"""


class AttemptsPruned(Exception):
    """Some attempts of a day were deleted, so its tables cannot be computed again."""


@dataclass(frozen=True)
class Window:
    """A day with its start and its exclusive end, in UTC because Python subtracts times of one zone as wall-clock times."""

    day: date
    start: datetime
    end: datetime


def window_of(day: date, timezone: str) -> Window:
    """Return the day's window; where clocks skip or repeat midnight, the day begins at the first instant of its date."""
    return Window(day, _first_instant(day, timezone), _first_instant(day + timedelta(days=1), timezone))


def day_of(instant: datetime, timezone: str) -> date:
    """Return the date that an aware `instant` has in `timezone`."""
    return instant.astimezone(ZoneInfo(timezone)).date()


def today_in(connection: Connection, timezone: str) -> date:
    """Return the database's date in this zone."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        today = cursor.execute(_TODAY, {"timezone": timezone}).fetchone()
    assert isinstance(today, date)  # noqa: S101 - it selects one
    return today


def _first_instant(day: date, timezone: str) -> datetime:
    # fold 0 means the first of two midnights, and for a skipped one the instant of the change
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
