"""Loads timestamps that Python cannot represent as the earliest or latest time that it can.

Other programs also write the queue's rows. `infinity`, or a date before year 1 or after year 9999, in one row would otherwise
make every statement fail that returns the row.
"""

from datetime import UTC, datetime

import psycopg
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
"""Replaces all earlier times; a day after Python's limit, so that it can be shown in every time zone."""

LATEST = datetime(9999, 12, 30, tzinfo=UTC)
"""Replaces all later times."""


class ClampingTimestampLoader(TimestamptzLoader):
    """Loads timestamps, limited to `EARLIEST` and `LATEST`."""

    def load(self, data: Buffer) -> datetime:
        """Return the time in the session's time zone, or one of the two limits."""
        try:
            return min(max(super().load(data), EARLIEST), LATEST)
        except psycopg.DataError:
            text = bytes(data)
            return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST


def clamp_timestamps(connection: Connection) -> None:
    """Have a connection load timestamps with `ClampingTimestampLoader`, and the server write them in ISO style.

    psycopg reads no other style, and a database or a role may have another default. PgBouncer keeps the style of each client.
    """
    connection.adapters.register_loader("timestamptz", ClampingTimestampLoader)
    if not (connection.info.parameter_status("DateStyle") or "").startswith("ISO"):
        connection.execute("SET DateStyle = 'ISO'")
