"""Determines the search_path: the schema of extraction_queue first, pg_temp last.

A login's own path may have another schema before it (`public, app` with the queue in `app`, or `"$user", public` with a
schema named like the login), in which objects would be created and found.
"""

from collections.abc import Iterable

from psycopg import Connection, sql
from psycopg.rows import scalar_row, tuple_row


def queue_schema(connection: Connection) -> str | None:
    """Return the schema of the extraction_queue that this session uses; None if it finds no such table."""
    _, schemas = _schemas_with(connection, "extraction_queue")
    return schemas[0] if schemas else None


def path_to_queue(connection: Connection) -> str | None:
    """Return the session's search_path with the queue's schema first; None if there is no queue.

    The rest of the path is kept: triggers of other programs run in our sessions and may need it.
    """
    listed, schemas = _schemas_with(connection, "extraction_queue")
    return _as_path([schemas[0], *listed]) if schemas else None


_SET_PATH = "SELECT set_config('search_path', %(path)s, FALSE)"


def pin_search_path_for_migrations(connection: Connection) -> None:
    """Restrict this session to the queue's schema; does nothing if there is no queue.

    A statement such as DROP TABLE IF EXISTS must not find the objects of another queue later in the path. extraction_status
    may be in another schema, which is kept.
    """
    first = queue_schema(connection)
    if first is not None:
        _, statuses = _schemas_with(connection, "extraction_status")
        path = [first] if first in statuses else [first, *statuses[:1]]
        connection.execute(_SET_PATH, {"path": _as_path(path)})


_LISTED = "SELECT current_schemas(FALSE)"


def login_schemas(connection: Connection) -> list[str]:
    """Return the schemas in the login's default search_path, in order."""
    with connection.transaction(force_rollback=True), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("SET LOCAL search_path TO DEFAULT")
        listed: list[str] = cursor.execute(_LISTED).fetchone() or []
    return listed


# the schemas of the session's path that have a table of this name, in order; views and temporary tables do not count
_SCHEMAS_WITH_TABLE = """
SELECT current_schemas(FALSE),
       ARRAY(
           SELECT n.nspname::text
           FROM unnest(current_schemas(FALSE)) WITH ORDINALITY AS listed (schema_name, place)
           JOIN pg_namespace AS n ON n.nspname = listed.schema_name
           JOIN pg_class AS c ON c.relnamespace = n.oid
           WHERE c.relname = %(table)s
             AND c.relkind IN ('r', 'p')
           ORDER BY listed.place
       )
"""


def _schemas_with(connection: Connection, table: str) -> tuple[list[str], list[str]]:
    """Return the schemas of the session's path, and those of them that have this table."""
    row = connection.cursor(row_factory=tuple_row).execute(_SCHEMAS_WITH_TABLE, {"table": table}).fetchone()
    listed, schemas = row or ([], [])
    return _without_temporary(listed), _without_temporary(schemas)


def _without_temporary(schemas: Iterable[str]) -> list[str]:
    return [schema for schema in schemas if not schema.startswith("pg_temp")]


def _as_path(schemas: Iterable[str]) -> str:
    names = [sql.Identifier(schema).as_string(None) for schema in dict.fromkeys(schemas)]
    # otherwise a temporary table would be found before ours
    return ", ".join([*names, "pg_temp"])
