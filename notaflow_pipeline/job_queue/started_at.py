"""The start of a claim that no lease covers, as an SQL expression."""

from psycopg import sql

STARTED_AT = sql.SQL("""CASE
        WHEN q.ocr_started_at BETWEEN '0001-01-02' AND clock_timestamp() + interval '1 day'
        THEN GREATEST(q.ocr_started_at, {last_end})
    END""")
"""When the row `q` was claimed; NULL if that is unknown.

Another program may have set the status alone and left the start of an earlier attempt, so the start is not before
`{last_end}`, the end of the last known attempt. A time in the future, or infinity, counts as unknown: the row would
otherwise never be stuck.
"""

STARTED_AT_OF_ROW = STARTED_AT.format(
    last_end=sql.SQL("(SELECT max(COALESCE(b.finished_at, 'infinity')) FROM ocr_attempt AS b WHERE b.queue_id = q.id)")
)
"""The same for statements that do not join the row's attempts; infinite while one of them is open."""
