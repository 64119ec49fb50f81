"""Locks and compares rows of the queue."""

from typing import Any
from uuid import UUID

from psycopg import Connection


def lock(locker: Connection, document_id: UUID) -> None:
    """Lock a row in another session, the fixture `locker`, until its transaction ends."""
    assert locker.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [document_id]).rowcount == 1


def row_versions(connection: Connection) -> list[tuple[Any, ...]]:
    """Return every row with its physical version: equal before and after only if nothing has written it."""
    return connection.execute("SELECT xmin::text, ctid::text, q.* FROM extraction_queue AS q ORDER BY id").fetchall()
