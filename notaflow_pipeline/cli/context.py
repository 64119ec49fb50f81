"""Opens the database for a command with its schema checked, and finds the documents and times that a person typed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg import Connection

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue import queries
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.model import ExtractionQueueJob
from notaflow_pipeline.job_queue.schema.check import find_schema_differences, require_schema
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import database_url
from notaflow_pipeline.settings import Settings, SettingsError

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


def find_documents(connection: Connection, id_or_number: str) -> list[ExtractionQueueJob]:
    """Return the rows with this id or document number.

    Raises:
        SettingsError: there is none.
    """
    if jobs := queries.find_jobs(connection, id_or_number):
        return jobs
    raise SettingsError(f"no document has the id or number {id_or_number!r}")


def find_document(connection: Connection, id_or_number: str) -> ExtractionQueueJob:
    """Return the row with this id, or with this document number, which no other may have.

    Raises:
        SettingsError: there is none, or several have the number.
    """
    jobs = find_documents(connection, id_or_number)
    if len(jobs) > 1:
        rows = ", ".join(f"{job.id} ({job.document_source})" for job in jobs)
        raise SettingsError(
            f"{len(jobs)} documents have the number {id_or_number!r}; give the id of one of them: {rows}"
        )
    return jobs[0]


def document_ids(connection: Connection, typed: Iterable[str]) -> list[UUID]:
    """Return the ids of the documents that a person named, each once; an id is returned whether or not a row has it.

    Raises:
        SettingsError: no document has a number, or several have it.
    """
    return list(dict.fromkeys(_id_of(connection, one) for one in typed))


def _id_of(connection: Connection, id_or_number: str) -> UUID:
    try:
        return UUID(id_or_number)
    except ValueError:
        return find_document(connection, id_or_number).id
