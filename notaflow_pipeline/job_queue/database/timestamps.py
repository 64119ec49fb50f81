"""Loads every timestamp that PostgreSQL can hold, also those that Python cannot represent.

Other programs write the queue's rows too. `infinity`, or a date before year 1 or after year 9999, in one row would
otherwise make the statements fail that return that row among others.
"""

from datetime import UTC, datetime

import psycopg
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
"""Stands for all that is earlier; a day from Python's limit, so that it can be shown in every time zone."""

LATEST = datetime(9999, 12, 30, tzinfo=UTC)
"""Stands for all that is later."""


class ClampingTimestampLoader(TimestamptzLoader):
    """Loads what Python cannot represent as the earliest or the latest time that it can."""

    def load(self, data: Buffer) -> datetime:
        """Return the time in the session's zone, or one of the two limits."""
        try:
            return min(max(super().load(data), EARLIEST), LATEST)
        except psycopg.DataError:
            text = bytes(data)
            return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST


def clamp_timestamps(connection: Connection) -> None:
    """Have a connection load timestamps in this way."""
    connection.adapters.register_loader("timestamptz", ClampingTimestampLoader)
