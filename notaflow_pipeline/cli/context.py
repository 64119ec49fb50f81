"""Opens the database for a command with its schema checked, and converts times that a person typed or reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg import Connection

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.schema.check import find_schema_differences, require_schema
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import database_url
from notaflow_pipeline.settings import Settings

TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
"""How a time can be typed. Without formats, Typer takes a number too, as seconds since 1970."""

ONE_OF_KINDS = ", ".join(FailureKind)
"""For help, which would break the names of kinds in the column of types."""


@contextmanager
def ready_database_url(settings: Settings) -> Iterator[str]:
    """Yield a database that has the schema: the embedded one is migrated, a configured one is only checked."""
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
    """Return a typed time as a time in `NOTAFLOW_TIMEZONE`."""
    return None if typed is None else typed.replace(tzinfo=ZoneInfo(settings.timezone))


def local_time(time: datetime | None, settings: Settings, *, seconds: bool = False) -> str:
    """Return a time in `NOTAFLOW_TIMEZONE` to the minute, or to the second with the zone's name; empty for none."""
    if time is None:
        return ""
    return time.astimezone(ZoneInfo(settings.timezone)).strftime(
        "%Y-%m-%d %H:%M:%S %Z" if seconds else "%Y-%m-%d %H:%M"
    )
