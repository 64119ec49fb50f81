"""Finds rows of the queue that this login may read and a row-level security policy hides from its updates.

An update and `SELECT … FOR UPDATE SKIP LOCKED` do not see them, as if another session had locked them; no error says so.
"""

from collections.abc import Sequence
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.database.sessions import short_statement

HIDDEN = "a row-level security policy keeps this login from changing it"

# FOR KEY SHARE hinders no claim, and is subject to the policies for UPDATE
_LOCKABLE = """
SELECT id
FROM extraction_queue
WHERE id = ANY(%(ids)s)
FOR KEY SHARE SKIP LOCKED
"""

_LOCK_ONE = """
SELECT id
FROM extraction_queue
WHERE id = %(id)s
FOR KEY SHARE NOWAIT
"""

_EXISTING = """
SELECT id
FROM extraction_queue
WHERE id = ANY(%(ids)s)
"""


def hidden_among(connection: Connection, documents: Sequence[UUID]) -> list[UUID]:
    """Return those of these documents that a policy hides from updates of this login, not those that are locked."""
    if not documents:
        return []
    lockable = set(_ids(connection, _LOCKABLE, {"ids": list(documents)}))
    hidden = [one for one in documents if one not in lockable and _is_hidden(connection, one)]
    return _ids(connection, _EXISTING, {"ids": hidden}) if hidden else []


def _is_hidden(connection: Connection, document: UUID) -> bool:
    try:
        return not _ids(connection, _LOCK_ONE, {"id": document})
    except psycopg.errors.LockNotAvailable:
        return False


def _ids(connection: Connection, statement: str, arguments: dict[str, object]) -> list[UUID]:
    with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(statement, arguments).fetchall()
