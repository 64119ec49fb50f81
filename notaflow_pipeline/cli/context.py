"""What a command needs from outside: a database that has the schema, and ids that are ids.

What does not belong here: what is done with them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg import Connection

from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.schema.check import find_schema_differences, require_schema
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import database_url
from notaflow_pipeline.settings import Settings, SettingsError


@contextmanager
def ready_database_url(settings: Settings) -> Iterator[str]:
    """Yield a database that has the schema: the embedded one is ours to migrate, a configured one is only checked."""
    with database_url(settings) as url:
        with connect(url) as connection:
            if settings.database_url is not None:
                require_schema(connection, settings.sources)
            elif next(find_schema_differences(connection, settings.sources), None) is not None:
                migrate(url, sources=settings.sources)
        yield url


@contextmanager
def open_database(settings: Settings) -> Iterator[Connection]:
    """Yield a connection to the database that the settings name, its schema checked.

    Raises:
        DatabaseUnavailable, SchemaMismatch: with what to do.
    """
    with ready_database_url(settings) as url, connect(url) as connection:
        yield connection


def in_zone(typed: datetime | None, settings: Settings) -> datetime | None:
    """Return the time that a person typed, which is one of `NOTAFLOW_TIMEZONE` as every day is."""
    return None if typed is None else typed.replace(tzinfo=ZoneInfo(settings.timezone))


def document_id(text: str) -> UUID:
    """Return the row's id that a person typed.

    Raises:
        SettingsError: it is no id.
    """
    try:
        return UUID(text)
    except ValueError:
        raise SettingsError(f"--id takes a row's id, and {text!r} is none; `notaflow show NUMBER` prints it") from None
