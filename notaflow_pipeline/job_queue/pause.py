"""The switch that stops new work: workers finish what they have and claim nothing more until it is lifted."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

_PAUSE = """
INSERT INTO ocr_pause (since, reason)
VALUES (clock_timestamp(), %(reason)s)
ON CONFLICT (only_row) DO UPDATE
SET reason = EXCLUDED.reason
"""

_RESUME = """
DELETE FROM ocr_pause
"""

_PAUSED = """
SELECT since, reason
FROM ocr_pause
"""


@dataclass(frozen=True)
class Pause:
    """Since when, and why, nothing new is claimed."""

    since: datetime
    reason: str


def pause(connection: Connection, reason: str) -> None:
    """Stop new work; a second pause changes the reason alone."""
    connection.execute(_PAUSE, {"reason": reason})


def resume(connection: Connection) -> bool:
    """Let work go on; False if it was not paused."""
    return connection.execute(_RESUME).rowcount > 0


def paused(connection: Connection) -> Pause | None:
    """Return the pause that holds, or None."""
    with connection.cursor(row_factory=class_row(Pause)) as cursor:
        return cursor.execute(_PAUSED).fetchone()
