"""Prepares database sessions for migrations: without timeouts, and with the queue's schema first in the search_path.

A role may have a statement_timeout (Supabase sets one), but index builds on large tables take long, and the session that
holds the migration lock is idle meanwhile.
"""

from urllib.parse import quote, urlencode

from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from yoyo.backends import DatabaseBackend
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table

from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, connect, describe_database
from notaflow_pipeline.job_queue.database.search_path import pin_search_path_for_migrations

# only those that the server has: transaction_timeout exists since PostgreSQL 17
_LIFT_LIMITS = """
SELECT set_config(name, '0', FALSE)
FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
               'transaction_timeout')
"""


def prepare_session(connection: Connection) -> None:
    """Remove timeouts of the role or the database, and set the search_path; migrations set their own timeouts."""
    connection.execute(_LIFT_LIMITS)
    connection.execute("SET DateStyle = 'ISO'")  # psycopg reads no other
    pin_search_path_for_migrations(connection)


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """Yoyo's backend with prepared sessions."""

    def init_connection(self, connection: Connection) -> None:
        """Prepare a new connection, or one whose transaction was rolled back."""
        prepare_session(connection)


_OBSTACLES = """
SELECT CASE
    WHEN current_setting('transaction_read_only') = 'on' THEN 'it is read-only'
    WHEN current_schema() IS NULL THEN 'the search_path of this login names no schema that it may use'
END
"""


def open_backend(url: str) -> DatabaseBackend:
    """Return yoyo's backend for the database of `url`; the caller closes its connection.

    Raises:
        DatabaseUnavailable: nothing can be created in it, which yoyo would report as a missing table of its own.
    """
    with connect(url, limited=False) as connection:
        prepare_session(connection)
        [(obstacle,)] = connection.execute(_OBSTACLES).fetchall()
    if obstacle:
        raise DatabaseUnavailable(f"{describe_database(url)} cannot be migrated: {obstacle}. Nothing was changed.")
    backend = _Backend(parse_uri(yoyo_url(url)), default_migration_table)
    backend.init_database()
    return backend


def yoyo_url(url: str) -> str:
    """Return the URL in yoyo's form for psycopg 3, with every libpq parameter."""
    parameters = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    user, password = parameters.pop("user", ""), parameters.pop("password", "")
    database = parameters.pop("dbname", "")
    # host and port stay parameters: yoyo's address has no place for a socket's port or for several hosts
    credentials = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    address = f"{credentials}@" if credentials else ""
    return f"postgresql+psycopg://{address}/{quote(database)}" + (f"?{urlencode(parameters)}" if parameters else "")
