"""`notaflow work` with the chaos engine in a loop; the chaos run starts, kills, freezes and stops it."""

import logging
import signal
import sys
import time
from typing import NoReturn

import psycopg
from psycopg_pool import PoolTimeout

from notaflow_pipeline.documents.failures import StorageUnavailable
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, open_pool
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline.worker.assembly import assemble, configured_storage
from notaflow_pipeline_tests.chaos.engine import WORKER_BYTES, ChaosEngine

log = logging.getLogger(__name__)


def main() -> None:
    """Work until told to stop; after an outage, come back as a supervisor's restart would."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    signal.signal(signal.SIGTERM, _stop)
    while True:
        try:
            work()
        except (DatabaseUnavailable, StorageUnavailable, psycopg.OperationalError, PoolTimeout) as failed:
            log.warning("infrastructure failure: %s", failed)
            time.sleep(0.5)


def work() -> None:
    """Work until the infrastructure fails."""
    settings = load_settings()
    if settings.database_url is None:
        sys.exit("NOTAFLOW_DATABASE_URL is not set")
    with (
        open_pool(settings.database_url.get_secret_value()) as pool,
        DocumentPool(
            ChaosEngine(), workers=settings.workers, limits=Limits(worker_bytes=WORKER_BYTES)
        ) as document_pool,
    ):
        pipeline = assemble(
            settings, pool=pool, storage=configured_storage(settings), document_pool=document_pool, run_id=None
        )
        while True:
            pipeline.queue.recover()
            pipeline.work(limit=25)
            time.sleep(0.2)


def _stop(number: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
