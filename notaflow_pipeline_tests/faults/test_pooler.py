"""The queue behind PgBouncer in transaction mode, as packaged by Debian, with two server connections."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import claims, lease_renewal, releases
from notaflow_pipeline.job_queue.claiming.lease_renewal import LeaseRenewal
from notaflow_pipeline.job_queue.database.connections import OutcomeRefused, connect, open_pool
from notaflow_pipeline.job_queue.database.sessions import short_transaction
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline_tests.cli import open_terminal
from notaflow_pipeline_tests.faults.pooler import pooler_before, unavailable
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
    READING,
    add_document,
    attempts,
    claim,
    claim_one,
    document,
    expire,
    fail,
    recover_all,
    repaired,
    succeed,
)
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until
from notaflow_pipeline_tests.worker.pipelines import pipeline_over, ready, ready_page, ready_pages

POOL_SIZE = 2


@pytest.fixture
def pooled_url(direct_url: str) -> Iterator[str]:
    """The way to this test's database through a PgBouncer of its own."""
    if missing := unavailable():
        pytest.skip(missing)
    with pooler_before(direct_url, pool_size=POOL_SIZE) as url:
        yield url


def on_every_server_connection(url: str, question: str) -> dict[int, object]:
    """The answer to a question on each of the pooler's server connections, as another client gets it, by process."""
    with ExitStack() as open_at_once:
        answers = {}
        for _ in range(POOL_SIZE):
            client = open_at_once.enter_context(psycopg.connect(url, prepare_threshold=None))
            row = client.execute(f"SELECT pg_backend_pid(), ({question})").fetchone()
            assert row is not None
            answers[row[0]] = row[1]
    assert len(answers) == POOL_SIZE
    return answers


LIMITS = "SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout')"
NO_LIMITS = "0 0"


class TestTransitions:
    def test_claims_and_outcomes_work_as_without_a_pooler(self, connection: Connection, pooled_url: str) -> None:
        documents = [add_document(connection, document_number=str(number)) for number in range(4)]
        with connect(pooled_url) as pooled:
            read, failed, released, left = claim(pooled, limit=4)
            held = {read.token, failed.token, released.token, left.token}
            assert lease_renewal.renew(pooled, held, timedelta(minutes=1)) == held
            assert succeed(pooled, read, READING)
            assert succeed(pooled, read, READING), "an answer that was lost is asked for again"
            assert fail(pooled, failed)
            assert not succeed(pooled, failed, READING), "it is too late"
            assert releases.release(pooled, [released.token], reason="stopped") == 1
            expire(connection, left)
            assert lease_renewal.renew(pooled, {read.token}, timedelta(minutes=1)) == set()
            assert recover_all(pooled) == repaired(expired_leases=1)
        assert [document(connection, one)["status_id"] for one in documents] == [5, 3, 3, 3]
        assert [document(connection, one)["ocr_attempts"] for one in documents] == [1, 1, 0, 1]
        assert [one["outcome"] for one in attempts(connection)] == ["succeeded", "failed", "released", "stuck"]
        assert violated_invariants(connection) == {}

    def test_nothing_is_prepared_however_often_a_statement_is_run(
        self, connection: Connection, pooled_url: str
    ) -> None:
        number = 15  # a driver left to itself prepares what it has run five times
        for _ in range(number):
            add_document(connection)

        def work(_: int) -> int:
            with open_pool(pooled_url, max_size=1) as pool:
                done = 0
                for _ in range(number):
                    with pool.connection() as pooled:
                        for held in claim(pooled):
                            lease_renewal.renew(pooled, {held.token}, timedelta(minutes=1))
                            done += succeed(pooled, held, READING)
                return done

        with ThreadPoolExecutor(3) as clients:
            assert sum(clients.map(work, range(3))) == number
        prepared = on_every_server_connection(pooled_url, "SELECT count(*) FROM pg_prepared_statements")
        assert set(prepared.values()) == {0}
        assert violated_invariants(connection) == {}


class TestSession:
    def test_limits_of_a_transaction_are_not_left_to_the_next_client(self, pooled_url: str) -> None:
        before = on_every_server_connection(pooled_url, LIMITS)
        assert set(before.values()) == {NO_LIMITS}
        used = set()
        # both at once, so that each has a server connection to itself
        with connect(pooled_url) as one, connect(pooled_url) as another, ExitStack() as transactions:
            for client in (one, another):
                transactions.enter_context(short_transaction(client))
                assert client.execute(LIMITS).fetchone() == ("30s 10s",)
                row = client.execute("SELECT pg_backend_pid()").fetchone()
                assert row is not None
                used.add(row[0])
        after = on_every_server_connection(pooled_url, LIMITS)
        assert set(after.values()) == {NO_LIMITS}
        assert used & after.keys(), "a connection that had the limits is among them"

    def test_refused_outcome_leaves_no_session_state_to_the_next_client(
        self, connection: Connection, pooled_url: str
    ) -> None:
        connection.execute("ALTER TABLE extraction_queue ADD CHECK (file_content IS NULL)")
        add_document(connection)
        with connect(pooled_url) as pooled:
            held = claim_one(pooled)
            with pytest.raises(OutcomeRefused):
                succeed(pooled, held, READING)
            assert set(on_every_server_connection(pooled_url, LIMITS).values()) == {NO_LIMITS}
            assert fail(pooled, held), "the connection is as good as new"

    def test_client_that_has_done_its_work_keeps_no_server_connection(
        self, connection: Connection, pooled_url: str
    ) -> None:
        number = 20
        for _ in range(number):
            add_document(connection)
        with connect(pooled_url) as pooled:
            for _ in range(number):
                held = claim_one(pooled)
                assert lease_renewal.renew(pooled, {held.token}, timedelta(minutes=1)) == {held.token}
                on_every_server_connection(pooled_url, LIMITS)
                assert succeed(pooled, held, READING)
                on_every_server_connection(pooled_url, LIMITS)

    def test_no_lock_and_no_temporary_table_outlives_its_transaction(
        self, connection: Connection, pooled_url: str, folder: Path
    ) -> None:
        ready_pages(connection, folder, 3)
        with open_pool(pooled_url) as pool, pipeline_over(pool, folder, workers=1) as pipeline:
            pipeline.check()
            pipeline.queue.recover()
            assert pipeline.work(limit=10).succeeded == 3
        own = on_every_server_connection(
            pooled_url,
            "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
            " + (SELECT count(*) FROM pg_class WHERE relpersistence = 't')"
            " + (SELECT count(*) FROM pg_cursors WHERE is_holdable)",
        )
        assert set(own.values()) == {0}


class TestWork:
    def test_two_workers_with_few_server_connections_read_everything_once(
        self, connection: Connection, pooled_url: str, folder: Path
    ) -> None:
        ready_pages(connection, folder, 20)
        ready(connection, "index/missing.pdf")
        engine = NullEngine(sleep_seconds=0.1)

        def work(_: int) -> Progress:
            with open_pool(pooled_url) as pool, pipeline_over(pool, folder, engine=engine, lease_seconds=20) as one:
                together.wait(timeout=HANG_SECONDS)
                return one.work(limit=100)

        together = threading.Barrier(2)
        with ThreadPoolExecutor(2) as workers:
            one, another = workers.map(work, range(2))
        total = one + another
        assert (total.succeeded, total.failed, total.lost) == (20, {"not_found": 1}, 0)
        outcomes = connection.execute("SELECT outcome, count(*), count(DISTINCT queue_id) FROM ocr_attempt GROUP BY 1")
        assert sorted(outcomes.fetchall()) == [("failed", 1, 1), ("succeeded", 20, 20)]
        assert violated_invariants(connection) == {}

    def test_lease_is_kept_while_other_clients_keep_the_pooler_busy(
        self, connection: Connection, pooled_url: str, folder: Path
    ) -> None:
        ready_page(connection, folder, "page")
        lost: list[int] = []
        lease = timedelta(seconds=6)
        over = threading.Event()

        def keep_busy() -> None:
            with connect(pooled_url) as other:
                while not over.is_set():
                    other.execute("SELECT pg_sleep(0.1)")

        with (
            ThreadPoolExecutor(3) as others,
            open_pool(pooled_url) as pool,
            LeaseRenewal(pool, lease, lost.append) as renewal,
        ):
            for _ in range(3):
                others.submit(keep_busy)
            try:
                with pool.connection() as pooled:
                    [held] = claims.claim_documents(
                        pooled, limit=1, sources=["index"], worker_id="test", run_id=None, lease=lease
                    )
                renewal.hold(held.token)
                kept = "SELECT lease_expires_at > claimed_at + 2 * %s FROM ocr_attempt"
                wait_until(lambda: connection.execute(kept, [lease]).fetchone() == (True,))
                assert recover_all(connection).total == 0
                with pool.connection() as pooled:
                    assert succeed(pooled, held, READING)
            finally:
                over.set()
        assert lost == []
        assert violated_invariants(connection) == {}

    def test_commands_work_through_it(self, connection: Connection, pooled_url: str, tmp_path: Path) -> None:
        terminal = open_terminal(tmp_path, pooled_url)
        page = terminal.documents / "index" / "page.png"
        samples.png(page, "Vente du lot 3 770 292")
        for _ in range(6):
            ready(connection, "index/page.png")
        (summary,) = terminal.json("work", "--until-empty")
        assert (summary["claimed"], summary["succeeded"], summary["lost"]) == (6, 6, 0)
        (status,) = terminal.json("status")
        assert status["done"] == 6
        done = terminal.run("doctor")
        assert done.returncode == 0, done.stdout + done.stderr
        assert set(on_every_server_connection(pooled_url, LIMITS).values()) == {NO_LIMITS}
        assert violated_invariants(connection) == {}
