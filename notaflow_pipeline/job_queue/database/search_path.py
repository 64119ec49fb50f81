"""The search_path that finds this project's objects: the schema of extraction_queue comes first, pg_temp last.

A login's own path may name another schema before it (`public, app` with the queue in `app`, or `"$user", public` where a
schema has the login's name), and then objects are created and found there.
"""

from collections.abc import Iterable

from psycopg import Connection, sql
from psycopg.rows import scalar_row, tuple_row

_LISTED = "SELECT current_schemas(FALSE)"

# the schemas of the session's path that hold such a table, in order; views and temporary tables of that name do not count
_HOLDERS = """
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

_SET_PATH = "SELECT set_config('search_path', %(path)s, FALSE)"


def queue_schema(connection: Connection) -> str | None:
    """Return the schema of the extraction_queue that this session works with; None where it finds no such table."""
    _, holders = _holders(connection, "extraction_queue")
    return holders[0] if holders else None


def path_to_queue(connection: Connection) -> str | None:
    """Return the session's search_path with the queue's schema first; None where there is no queue.

    The rest of the path stays: triggers of other programs run in our sessions and may need it.
    """
    listed, holders = _holders(connection, "extraction_queue")
    return _as_path([holders[0], *listed]) if holders else None


def pin_search_path_for_migrations(connection: Connection) -> None:
    """Let this session find and make objects in the queue's schema alone; nothing where there is no queue.

    A statement such as DROP TABLE IF EXISTS must not find the objects of another queue further down the path. NotaFlow may
    keep extraction_status in another schema.
    """
    first = queue_schema(connection)
    if first is not None:
        _, statuses = _holders(connection, "extraction_status")
        path = [first] if first in statuses else [first, *statuses[:1]]
        connection.execute(_SET_PATH, {"path": _as_path(path)})


def login_schemas(connection: Connection) -> list[str]:
    """Return the schemas that this login's sessions search when they set nothing themselves, in order."""
    with connection.transaction(force_rollback=True), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("SET LOCAL search_path TO DEFAULT")
        listed: list[str] = cursor.execute(_LISTED).fetchone() or []
    return listed


def _holders(connection: Connection, table: str) -> tuple[list[str], list[str]]:
    """Return the session's schemas, and those of them that hold this table."""
    row = connection.cursor(row_factory=tuple_row).execute(_HOLDERS, {"table": table}).fetchone()
    listed, holders = row or ([], [])
    return _lasting(listed), _lasting(holders)


def _lasting(schemas: Iterable[str]) -> list[str]:
    return [schema for schema in schemas if not schema.startswith("pg_temp")]


def _as_path(schemas: Iterable[str]) -> str:
    names = [sql.Identifier(schema).as_string(None) for schema in dict.fromkeys(schemas)]
    # a temporary table would otherwise be found before ours
    return ", ".join([*names, "pg_temp"])
