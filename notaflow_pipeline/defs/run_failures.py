"""Turns infrastructure errors into `dg.Failure`, which run pages and alerts describe, and interruptions into cancellations.

Every op and check runs under `described_failures`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg

from notaflow_pipeline.documents.failures import StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, DatabaseUnavailable, OutcomeRefused
from notaflow_pipeline.job_queue.named_documents import NoSuchDocument
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch
from notaflow_pipeline.ocr.failures import EngineUnavailable
from notaflow_pipeline.reporting.daily_tables.days import AttemptsPruned
from notaflow_pipeline.settings import SettingsError

INFRASTRUCTURE_ERRORS = (
    StorageUnavailable,
    StorageMisconfigured,
    DatabaseUnavailable,
    ClaimsRefused,
    OutcomeRefused,
    SchemaMismatch,
    EngineUnavailable,
    AttemptsPruned,
    SettingsError,
    NoSuchDocument,
    psycopg.Error,
    OSError,
)
"""Errors that say what to do, and errors of PostgreSQL and of the operating system."""

WITH_VALUES = ("22", "23", "P0")
"""Classes of PostgreSQL's errors whose messages can contain values of rows: data, constraints, triggers."""


@contextmanager
def described_failures() -> Iterator[None]:
    """Raise `dg.Failure` with the message of an infrastructure error that ends an op; an interrupted run is cancelled."""
    try:
        yield
    except dg.DagsterExecutionInterruptedError:
        # Dagster records an interrupted run as failed unless its cancellation was requested before
        context = dg.OpExecutionContext.get()
        context.instance.report_run_canceling(context.run, "The run was interrupted, as when Dagster is stopped.")
        raise
    except INFRASTRUCTURE_ERRORS as error:
        raise dg.Failure(_description(error), metadata={"error": type(error).__name__}) from error


def _description(error: Exception) -> str:
    """Return what the error says, without text of a document and without a secret."""
    if isinstance(error, psycopg.Error):
        # DETAIL and CONTEXT can contain a row
        return f"PostgreSQL: {_primary_message(error)}"
    if isinstance(error, OSError):
        return f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}"
    return str(error)


def _primary_message(error: psycopg.Error) -> str:
    if error.sqlstate is None or error.sqlstate.startswith(WITH_VALUES):
        return f"{type(error).__name__} (SQLSTATE {error.sqlstate or 'none'})"
    return error.diag.message_primary or type(error).__name__
