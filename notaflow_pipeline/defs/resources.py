"""Resources: the queue, the storage and the engine. Configured from the environment, so that no run config has secrets."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import dagster as dg
from psycopg import Connection
from psycopg_pool import ConnectionPool
from pydantic import Field, PrivateAttr, create_model

from notaflow_pipeline.defs.run_failures import INFRASTRUCTURE_ERRORS
from notaflow_pipeline.documents.location import buckets_of
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.job_queue.claiming.releases import release_run
from notaflow_pipeline.job_queue.database.connections import connect, describe_database, open_pool
from notaflow_pipeline.job_queue.schema.check import require_schema
from notaflow_pipeline.job_queue.schema.privileges import require_privileges
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import Settings, load_settings, setting_origins
from notaflow_pipeline.worker.assembly import configured_document_pool, configured_storage


class QueueResource(dg.ConfigurableResource["QueueResource"]):
    """The queue's database: a connection pool for one run. Its claims are released when the run ends."""

    _pool: ConnectionPool[Connection] | None = PrivateAttr(default=None)
    _error: Exception | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["QueueResource"]:
        """Open the pool and check the schema; the first op that uses the pool raises an error of this."""
        with ExitStack() as until_run_ends:
            try:
                self._pool = until_run_ends.enter_context(self._checked_pool())
            except INFRASTRUCTURE_ERRORS as error:
                # raised here, Dagster would wrap it, and the run's page would show no description of a failure
                self._error = error
            try:
                yield self
            finally:
                if context.run is not None and self._pool is not None:
                    released = self._release(context.run.run_id)
                    if released and context.log is not None:
                        context.log.info("Released %s; the attempts do not count.", count_of(released, "document"))

    @contextmanager
    def _checked_pool(self) -> Iterator[ConnectionPool[Connection]]:
        settings = load_settings()
        with open_pool(running_database_url(settings)) as pool:
            with pool.connection() as connection:
                require_schema(connection, settings.sources)
                require_privileges(connection)
            yield pool

    @property
    def pool(self) -> ConnectionPool[Connection]:
        """The open pool.

        Raises:
            DatabaseUnavailable, SchemaMismatch: with what to do; no row was changed.
        """
        if self._error is not None:
            raise self._error
        if self._pool is None:
            raise dg.DagsterInvariantViolationError("the queue's pool is open only while a run or a tick lasts")
        return self._pool

    @contextmanager
    def connection_for_a_day(self) -> Iterator[Connection]:
        """Connect without the pool's limits of short statements; functions that read a day's attempts set their own.

        Raises:
            DatabaseUnavailable, SchemaMismatch: as for the pool.
        """
        if self._error is not None:
            raise self._error
        with connect(running_database_url(load_settings()), limited=False) as connection:
            yield connection

    def _release(self, run_id: str) -> int:
        with self.pool.connection(timeout=5) as connection:
            return release_run(connection, run_id, reason="the run ended before this document was done")


class StorageResource(dg.ConfigurableResource["StorageResource"]):
    """The storage of the documents: a folder, Supabase Storage or an S3-compatible store."""

    def open(self) -> DocumentStorage:
        """Return the configured storage, checked.

        Raises:
            StorageMisconfigured, StorageUnavailable: with what to do.
        """
        settings = load_settings()
        storage = configured_storage(settings)
        storage.check(buckets_of(settings.sources))
        return storage


class EngineResource(dg.ConfigurableResource["EngineResource"]):
    """The OCR engine, on all cores."""

    def open(self) -> DocumentPool:
        """Return the pool of OCR processes, checked; its processes start when it is entered as a context manager.

        Raises:
            EngineUnavailable: Tesseract or one of its languages is missing.
        """
        document_pool = configured_document_pool(load_settings())
        document_pool.check()
        return document_pool


QUEUE_SETTINGS = ("NOTAFLOW_DATABASE_URL", "OCR_SOURCES", "OCR_WORKER_ID", "OCR_LEASE_SECONDS", "OCR_STUCK_MINUTES")
STORAGE_SETTINGS = ("NOTAFLOW_DOCUMENTS_URL", "NOTAFLOW_HOME", "OCR_MAX_FILE_BYTES")
ENGINE_SETTINGS = ("OCR_ENGINE", "OCR_LANGUAGES", "OCR_WORKERS", "OCR_MAX_PAGES", "OCR_PAGE_TIMEOUT_SECONDS", "OCR_DPI")


def configured_resources(settings: Settings) -> dict[str, "dg.ConfigurableResource[Any]"]:
    """Return the resources, each with the settings that it works with as config fields."""
    return {
        "queue": _with_settings(QueueResource, settings, QUEUE_SETTINGS),
        "storage": _with_settings(StorageResource, settings, STORAGE_SETTINGS),
        "engine": _with_settings(EngineResource, settings, ENGINE_SETTINGS),
    }


def _with_settings(
    resource: "type[dg.ConfigurableResource[Any]]", settings: Settings, variables: tuple[str, ...]
) -> "dg.ConfigurableResource[Any]":
    """Return a resource of this class that shows these settings, without secrets, as config fields.

    Each field takes no value but its own: run config may override every field of a resource, and the code reads the
    environment.
    """
    origins = {one.variable: one for one in setting_origins(settings)}
    shown = {name: origins[name].value for name in variables} | {
        name: write(settings) for name, write in WITHOUT_SECRETS.items() if name in variables
    }
    fields: dict[str, Any] = {
        name: (Literal[value], Field(default=value, description=f"from: {origins[name].origin}"))
        for name, value in shown.items()
    }
    model = create_model(
        resource.__name__, __base__=resource, __doc__=resource.__doc__, __module__=resource.__module__, **fields
    )
    # the UI marks every value as a default, however it is passed; the description says where it is from
    return model()


def _database(settings: Settings) -> str:
    if settings.database_url is None:
        return "the embedded PostgreSQL"
    return describe_database(settings.database_url.get_secret_value())


def _documents(settings: Settings) -> str:
    """Return where documents lie, without a login and without parameters of the URL."""
    return re.sub(r"//[^/]*@", "//***@", settings.documents).partition("?")[0]


WITHOUT_SECRETS = {"NOTAFLOW_DATABASE_URL": _database, "NOTAFLOW_DOCUMENTS_URL": _documents}
"""What is shown of settings that contain logins."""
