"""Counts exhausted documents by the day on which they were exhausted."""

from collections.abc import Sequence
from datetime import date

from psycopg import Connection, sql

from notaflow_pipeline.job_queue.maintenance.requeue import EXHAUSTED_AT_4

# the conditions of the index of exhausted documents
_DAYS = sql.SQL("""
SELECT (q.ocr_last_error_at AT TIME ZONE %(timezone)s)::date AS day, count(*)
FROM extraction_queue AS q
WHERE q.ocr_attempts >= q.ocr_max_attempts
  AND q.file_content IS NULL
  AND q.status_id IN (3, 4)
  AND q.document_source = ANY(%(sources)s)
  AND isfinite(q.ocr_last_error_at)
  AND q.ocr_last_error_at < clock_timestamp() + interval '1 day'
  AND q.ocr_last_error_at > '0001-01-02'
  AND (q.status_id = 3 OR {exhausted_at_4})
GROUP BY day
ORDER BY day DESC
LIMIT %(days)s
""")


def exhausted_by_day(
    connection: Connection, *, sources: Sequence[str], timezone: str, days: int, exhausted_status: int
) -> dict[date, int]:
    """Return the last days with exhausted documents and how many they are, the newest day first.

    Args:
        connection: to the queue.
        sources: enabled document sources.
        timezone: of the days.
        days: how many days at most.
        exhausted_status: where this installation puts exhausted documents (`OCR_EXHAUSTED_STATUS`).
    """
    arguments = {
        "sources": list(sources),
        "timezone": timezone,
        "days": days,
        "exhausted_status": exhausted_status,
    }
    statement = _DAYS.format(exhausted_at_4=EXHAUSTED_AT_4)
    return dict(connection.execute(statement, arguments).fetchall())
