"""Adds a document's row, ready for OCR; for `notaflow enqueue` and the samples."""

from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import scalar_row


@dataclass(frozen=True)
class NewDocument:
    """A document whose extraction is complete."""

    document_source: str
    document_number: str
    supabase_path: str
    circonscription_fonciere: str | None = None
    cadastre: str | None = None
    acte_type: str | None = None


_INSERT = """
INSERT INTO extraction_queue (document_source, document_number, document_number_normalized, circonscription_fonciere,
                              cadastre, acte_type, status_id, supabase_path, created_at, updated_at)
VALUES (%(document_source)s, %(document_number)s, regexp_replace(%(document_number)s, '\\s', '', 'g'),
        %(circonscription_fonciere)s, %(cadastre)s, %(acte_type)s, 3, %(supabase_path)s,
        clock_timestamp(), clock_timestamp())
RETURNING id
"""

# where the database generates the normalized number itself
_INSERT_WITHOUT_NORMALIZED = """
INSERT INTO extraction_queue (document_source, document_number, circonscription_fonciere, cadastre, acte_type, status_id,
                              supabase_path, created_at, updated_at)
VALUES (%(document_source)s, %(document_number)s, %(circonscription_fonciere)s, %(cadastre)s, %(acte_type)s, 3,
        %(supabase_path)s, clock_timestamp(), clock_timestamp())
RETURNING id
"""


def enqueue_document(connection: Connection, document: NewDocument) -> UUID:
    """Add a row at status 3; return its id.

    Raises:
        psycopg.Error: the database refuses the row, or a trigger of another program drops it.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        try:
            with connection.transaction():
                document_id = cursor.execute(_INSERT, vars(document)).fetchone()
        except psycopg.errors.GeneratedAlways:
            document_id = cursor.execute(_INSERT_WITHOUT_NORMALIZED, vars(document)).fetchone()
    if document_id is None:
        raise psycopg.errors.IntegrityConstraintViolation(
            "a trigger of another program drops new rows of extraction_queue"
        )
    assert isinstance(document_id, UUID)  # noqa: S101 - RETURNING id
    return document_id


_IS_EMPTY = """
SELECT NOT EXISTS (
    SELECT
    FROM extraction_queue
)
"""


def is_empty(connection: Connection) -> bool:
    """Whether the queue has no row, of any source or status."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(_IS_EMPTY).fetchone())
