"""How finished documents are read again (another engine, another language); the old text stays until the new is there.

They stay at 5 until a worker claims them, go back to 5 whatever happens, and give way to documents that were never read.
What does not belong here: documents without a text (`retrying`).
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.queue.database import short_transaction
from notaflow_pipeline.queue.model import DEFAULT_MAX_ATTEMPTS

# only what this project read: another program's text has no attempt to go back to
_CHOOSE = """
SELECT q.id
FROM extraction_queue AS q
JOIN LATERAL (
    SELECT a.engine, a.mean_confidence
    FROM ocr_attempt AS a
    WHERE a.queue_id = q.id
      AND a.outcome = 'succeeded'
    ORDER BY a.id DESC
    LIMIT 1
) AS won ON TRUE
WHERE q.status_id = 5
  AND q.ocr_reread_requested_at IS NULL
  AND q.document_source = ANY(%(sources)s)
  AND (%(ids)s::uuid[] IS NULL OR q.id = ANY(%(ids)s))
  AND (%(before)s::timestamptz IS NULL OR q.ocr_completed_at < %(before)s)
  AND (%(not_engine)s::text IS NULL OR won.engine IS DISTINCT FROM %(not_engine)s)
  AND (%(confidence_below)s::real IS NULL OR won.mean_confidence < %(confidence_below)s)
ORDER BY q.created_at, q.id
"""

_LOCK = """
FOR UPDATE OF q SKIP LOCKED
"""

_REQUEST = """
UPDATE extraction_queue
SET ocr_reread_requested_at = clock_timestamp(),
    ocr_max_attempts = ocr_attempts + %(more_attempts)s,
    ocr_next_attempt_at = NULL,
    updated_at = clock_timestamp()
WHERE id = ANY(%(ids)s)
"""


def request_reread(
    connection: Connection,
    *,
    sources: Sequence[str],
    ids: Sequence[UUID] | None = None,
    before: datetime | None = None,
    not_engine: str | None = None,
    confidence_below: float | None = None,
    more_attempts: int = DEFAULT_MAX_ATTEMPTS,
    dry_run: bool = False,
) -> list[UUID]:
    """Have finished documents read again; return which. Every condition that is given must hold.

    Args:
        connection: outside any transaction.
        sources: enabled document sources.
        ids: only these.
        before: only those read before this time.
        not_engine: only those that another engine than this one read, as `ocr_attempt.engine` names it.
        confidence_below: only those with less mean confidence, 0 to 100.
        more_attempts: how often each is tried.
        dry_run: change nothing.
    """
    arguments = {
        "sources": list(sources),
        "ids": None if ids is None else list(ids),
        "before": before,
        "not_engine": not_engine,
        "confidence_below": confidence_below,
    }
    with short_transaction(connection), connection.cursor(row_factory=scalar_row) as cursor:
        chosen = cursor.execute(_CHOOSE + ("" if dry_run else _LOCK), arguments).fetchall()
        if chosen and not dry_run:
            cursor.execute(_REQUEST, {"ids": chosen, "more_attempts": more_attempts})
    return chosen
