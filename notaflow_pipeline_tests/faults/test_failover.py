"""A claim survives a failover of the database, and a server that is read-only for a while."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.database.connections import describe_database, open_pool
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline_tests.faults.servers import demote, promote, standby_of
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until
from notaflow_pipeline_tests.worker.pipelines import only_attempt, pipeline_over, ready_page, row

AT_6 = "SELECT FROM extraction_queue WHERE status_id = 6"

REPLAYED = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"


@contextmanager
def at_work(url: str, folder: Path, seconds: float) -> Iterator[list[Progress]]:
    """Read one document for so long, in a thread; the list has what became of it when the block has ended."""
    ended: list[Progress] = []
    with (
        open_pool(url) as pool,
        pipeline_over(pool, folder, engine=NullEngine(sleep_seconds=seconds), workers=1) as pipeline,
    ):
        worker = threading.Thread(target=lambda: ended.append(pipeline.work(limit=1)))
        worker.start()
        yield ended
        worker.join(timeout=HANG_SECONDS)


def is_true(connection: Connection, statement: str, *values: object) -> bool:
    return connection.execute(statement.encode(), values).fetchone() == (True,)


def test_outcome_is_recorded_on_the_new_primary(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="notaflow-failover-") as home, embedded_database(Path(home)) as old_url:
        migrate(old_url, sources=["index"])
        with psycopg.connect(old_url, autocommit=True) as old, standby_of(Path(home)) as standby:
            document = ready_page(old, folder, "page")
            new_url = f"postgresql://postgres@/notaflow?host={standby}"
            sockets = f"{old.info.host},{standby}"
            both = f"postgresql://postgres@/notaflow?host={sockets}&target_session_attrs=read-write"
            assert describe_database(both) == f"database notaflow at {sockets}"
            with at_work(both, folder, seconds=6) as ended, psycopg.connect(new_url, autocommit=True) as new:
                wait_until(lambda: old.execute(AT_6).fetchone() is not None)
                [(written,)] = old.execute("SELECT pg_current_wal_lsn()::text").fetchall()
                wait_until(lambda: is_true(new, REPLAYED, written))
                promote(Path(home), standby)
                wait_until(lambda: is_true(new, "SELECT NOT pg_is_in_recovery()"))
                demote(old)
            assert ended == [Progress(claimed=1, succeeded=1, pages=1)]
            with psycopg.connect(new_url, autocommit=True) as new:
                assert (row(new, document)["status_id"], row(new, document)["ocr_attempts"]) == (5, 1)
                assert only_attempt(new, document).outcome == "succeeded"
                assert violated_invariants(new) == {}
            assert row(old, document)["status_id"] == 6, "the old server never learned of it"


def test_outcome_is_recorded_when_the_server_is_writable_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory(prefix="notaflow-readonly-") as home, embedded_database(Path(home)) as url:
        migrate(url, sources=["index"])
        with psycopg.connect(url, autocommit=True) as operator:
            document = ready_page(operator, folder, "page")
            with at_work(url, folder, seconds=3) as ended:
                wait_until(lambda: operator.execute(AT_6).fetchone() is not None)
                demote(operator)
                wait_until(lambda: "the database is read-only" in caplog.text)
                operator.execute("SET default_transaction_read_only = off")
                operator.execute("ALTER SYSTEM RESET default_transaction_read_only")
                operator.execute("SELECT pg_reload_conf()")
            assert ended == [Progress(claimed=1, succeeded=1, pages=1)]
            assert (row(operator, document)["status_id"], row(operator, document)["ocr_attempts"]) == (5, 1)
