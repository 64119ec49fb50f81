"""Pauses and resumes claims: while paused, workers finish their documents and claim no more."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row


@dataclass(frozen=True)
class Pause:
    """Since when and why claims are paused."""

    since: datetime
    reason: str


_PAUSE = """
INSERT INTO ocr_pause (since, reason)
VALUES (clock_timestamp(), %(reason)s)
ON CONFLICT (only_row) DO UPDATE
SET reason = EXCLUDED.reason
"""


def pause(connection: Connection, reason: str) -> None:
    """Pause claims; a second pause only changes the reason."""
    connection.execute(_PAUSE, {"reason": reason})


_RESUME = """
DELETE FROM ocr_pause
"""


def resume(connection: Connection) -> bool:
    """Resume claims; return False if they were not paused."""
    return connection.execute(_RESUME).rowcount > 0


_CURRENT = """
SELECT since, reason
FROM ocr_pause
"""


def current_pause(connection: Connection) -> Pause | None:
    """Return the current pause, or None."""
    with connection.cursor(row_factory=class_row(Pause)) as cursor:
        return cursor.execute(_CURRENT).fetchone()
