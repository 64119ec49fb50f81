"""Assembles a worker's pipeline from the settings, for Dagster and for the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.documents.storage import DocumentStorage, open_storage
from notaflow_pipeline.ocr.engines.interface import Engine
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.settings import Settings
from notaflow_pipeline.worker.claim_terms import configured_terms
from notaflow_pipeline.worker.pipeline import Pipeline
from notaflow_pipeline.worker.queue_client import QueueClient

PAGES_AHEAD_PER_WORKER = 3
"""Enough that the next documents are claimed and fetched before a core is free, and few enough that leases stay short."""


def configured_storage(settings: Settings) -> DocumentStorage:
    """Return the storage that the settings name, without contacting it; the default folder in the home is created.

    Raises:
        StorageMisconfigured: the settings contradict each other or lack the key.
    """
    if settings.documents_url is None:
        Path(settings.documents).mkdir(parents=True, exist_ok=True)
    key = settings.supabase_service_key
    return open_storage(settings.documents, supabase_service_key=key.get_secret_value() if key else None)


def configured_engine(settings: Settings) -> Engine:
    """Return the OCR engine that the settings name, or the faster available one; it is not started."""
    return select_engine(EngineName(settings.engine), settings.languages)


def configured_document_pool(settings: Settings) -> DocumentPool:
    """Return the pool of OCR processes that the settings describe; it starts when entered as a context manager."""
    limits = Limits(
        file_bytes=settings.max_file_bytes,
        pages=settings.max_pages,
        page_pixels=settings.max_page_pixels,
        page_seconds=settings.page_timeout_seconds,
        document_seconds=settings.document_timeout_seconds,
        worker_bytes=settings.max_worker_bytes,
    )
    return DocumentPool(configured_engine(settings), workers=settings.workers, limits=limits, dpi=settings.dpi)


def assemble(
    settings: Settings,
    *,
    pool: ConnectionPool[Connection],
    storage: DocumentStorage,
    document_pool: DocumentPool,
    run_id: str | None,
) -> Pipeline:
    """Return a pipeline; the caller opens and closes both pools and the storage."""
    return Pipeline(
        queue=QueueClient(pool, configured_terms(settings, run_id)),
        storage=storage,
        document_pool=document_pool,
        engine_name=configured_engine(settings).name,
        max_file_bytes=settings.max_file_bytes,
        pages_ahead=settings.workers * PAGES_AHEAD_PER_WORKER,
    )


@contextmanager
def checked_pipeline(settings: Settings, pool: ConnectionPool[Connection]) -> Iterator[Pipeline]:
    """Check database, storage and engine, and yield the pipeline while its OCR processes run.

    Raises:
        SchemaMismatch, DatabaseUnavailable, StorageUnavailable, EngineUnavailable: no row was changed.
    """
    document_pool = configured_document_pool(settings)
    pipeline = assemble(
        settings, pool=pool, storage=configured_storage(settings), document_pool=document_pool, run_id=None
    )
    pipeline.check()
    with document_pool:
        yield pipeline
