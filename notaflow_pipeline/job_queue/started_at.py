"""When a claim started that no lease covers, and whether a lease or a claim has ended, as SQL expressions."""

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

LEASE_ENDED = sql.SQL(
    """(a.lease_expires_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '2 days')"""
)
"""Whether the lease of the attempt `a` has ended.

A lease lasts at most a day (`OCR_LEASE_SECONDS`). One that ends later was taken while the server's clock was ahead: a live
worker renews it by the corrected clock, and a dead one would hold its document for as long as the clock was ahead.
"""

CLAIM_ENDED = sql.SQL(
    """(q.status_id IS DISTINCT FROM 6 AND (q.status_id IS DISTINCT FROM 5 OR q.file_content IS NOT NULL))"""
)
"""Whether the row `q` is as an update left it that ends a claim: no longer under OCR, and with a text if it is done.

A trigger of another program can keep the status or remove the text of an update that it accepts.
"""
