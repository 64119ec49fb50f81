"""The search_path that finds this project's objects: the schema of extraction_queue comes first, pg_temp last.

A login's own path may name another schema before it (`public, app` with the queue in `app`, or `"$user", public` where a
schema has the login's name), and then objects are created and found there.
"""

from collections.abc import Iterable

from psycopg import Connection, sql
from psycopg.rows import scalar_row

_SCHEMAS = "SELECT current_schemas(FALSE)"

# views and temporary tables of that name do not count
_SCHEMA_OF_TABLE = """
SELECT listed.schema_name
FROM unnest(%(schemas)s::text[]) WITH ORDINALITY AS listed (schema_name, place)
JOIN pg_namespace AS n ON n.nspname = listed.schema_name
JOIN pg_class AS c ON c.relnamespace = n.oid
WHERE c.relname = %(table)s
  AND c.relkind IN ('r', 'p')
ORDER BY listed.place
LIMIT 1
"""

_SET_PATH = "SELECT set_config('search_path', %(path)s, FALSE)"


def queue_schema(connection: Connection) -> str | None:
    """Return the schema of the extraction_queue that this session works with; None where it finds no such table."""
    return _schema_of(connection, "extraction_queue", _session_schemas(connection))


def path_to_queue(connection: Connection) -> str | None:
    """Return the session's search_path with the queue's schema first; None where there is no queue.

    The rest of the path stays: triggers of other programs run in our sessions and may need it.
    """
    schemas = _session_schemas(connection)
    first = _schema_of(connection, "extraction_queue", schemas)
    return None if first is None else _as_path([first, *schemas])


def pin_for_migrating(connection: Connection) -> None:
    """Let this session find and make objects in the queue's schema alone; nothing where there is no queue.

    A statement such as DROP TABLE IF EXISTS must not find the objects of another queue further down the path. NotaFlow may
    keep extraction_status in another schema.
    """
    schemas = _session_schemas(connection)
    first = _schema_of(connection, "extraction_queue", schemas)
    if first is not None:
        statuses = _schema_of(connection, "extraction_status", [first, *schemas])
        connection.execute(_SET_PATH, {"path": _as_path([first] if statuses is None else [first, statuses])})


def login_schemas(connection: Connection) -> list[str]:
    """Return the schemas that this login's sessions search when they set nothing themselves, in order."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path TO DEFAULT")
        return _session_schemas(connection)


def _session_schemas(connection: Connection) -> list[str]:
    with connection.cursor(row_factory=scalar_row) as cursor:
        schemas: list[str] = cursor.execute(_SCHEMAS).fetchone() or []
    return [schema for schema in schemas if not schema.startswith("pg_temp")]


def _schema_of(connection: Connection, table: str, schemas: list[str]) -> str | None:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_SCHEMA_OF_TABLE, {"table": table, "schemas": schemas}).fetchone()


def _as_path(schemas: Iterable[str]) -> str:
    names = [sql.Identifier(schema).as_string(None) for schema in dict.fromkeys(schemas)]
    # a temporary table would otherwise be found before ours
    return ", ".join([*names, "pg_temp"])
