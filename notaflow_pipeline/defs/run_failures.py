"""Turns infrastructure errors into `dg.Failure`, whose description the run's page and the alerts show."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from notaflow_pipeline.documents.failures import StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, DatabaseUnavailable
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch
from notaflow_pipeline.ocr.failures import EngineUnavailable

INFRASTRUCTURE_ERRORS = (
    StorageUnavailable,
    StorageMisconfigured,
    DatabaseUnavailable,
    ClaimsRefused,
    SchemaMismatch,
    EngineUnavailable,
)
"""Errors whose messages say what to do, and hold no text of a document and no secret."""


@contextmanager
def described_failures() -> Iterator[None]:
    """Raise `dg.Failure` with the message of an infrastructure error that ends an op."""
    try:
        yield
    except INFRASTRUCTURE_ERRORS as error:
        raise dg.Failure(str(error), metadata={"error": type(error).__name__}) from error
