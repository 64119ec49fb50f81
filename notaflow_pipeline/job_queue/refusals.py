"""Records which ready documents the database refused to claim, because of a constraint, trigger or policy.

Such a row cannot be marked itself. It stays ready, and is tried again every minute.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import class_row

IS_REFUSED = sql.SQL("""EXISTS (
        SELECT
        FROM ocr_refusal AS r
        WHERE r.queue_id = q.id
          AND NOT EXISTS (SELECT FROM ocr_attempt AS later WHERE later.queue_id = q.id AND later.claimed_at >= r.refused_at)
    )""")
"""Whether the row `q` was refused since its last attempt. A refusal is not removed, so that a claim need not look for one."""


@dataclass(frozen=True)
class Refusal:
    """A ready document that the database refused to claim, and why; the reason contains no values of the row."""

    document_id: UUID
    reason: str


_RECORD = """
WITH deleted AS (
    DELETE FROM ocr_refusal AS r
    WHERE NOT EXISTS (SELECT FROM extraction_queue AS q WHERE q.id = r.queue_id)
)
INSERT INTO ocr_refusal (queue_id, refused_at, reason)
SELECT DISTINCT id, now(), %(reason)s
FROM unnest(%(documents)s::uuid[]) AS id
ORDER BY id
ON CONFLICT (queue_id) DO UPDATE
SET refused_at = EXCLUDED.refused_at,
    reason = EXCLUDED.reason
"""


def record_refusals(connection: Connection, documents: Collection[UUID], reason: str) -> None:
    """Record that the database refused to claim these documents, and remove the records of deleted rows."""
    connection.execute(_RECORD, {"documents": list(documents), "reason": reason})


_FIND = sql.SQL("""
SELECT q.id AS document_id, refusal.reason
FROM ocr_refusal AS refusal
JOIN extraction_queue AS q ON q.id = refusal.queue_id
WHERE (q.status_id = 3 AND q.file_content IS NULL OR q.status_id = 5 AND q.ocr_reread_requested_at IS NOT NULL)
  AND COALESCE(q.ocr_attempts, 0) < COALESCE(q.ocr_max_attempts, 3)
  AND q.document_source = ANY(%(sources)s)
  AND {is_refused}
ORDER BY refusal.refused_at DESC, q.id
""").format(is_refused=IS_REFUSED)


def find_refusals(connection: Connection, sources: Sequence[str]) -> list[Refusal]:
    """Return the documents that were refused since their last attempt, the latest refusal first."""
    with connection.cursor(row_factory=class_row(Refusal)) as cursor:
        return cursor.execute(_FIND, {"sources": list(sources)}).fetchall()
