"""No document is lost or read twice when the network to the database breaks, at any moment."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming.lease_renewal import LeaseRenewal
from notaflow_pipeline.job_queue.claiming.releases import release
from notaflow_pipeline.job_queue.database import connections, sessions
from notaflow_pipeline.job_queue.database.connections import connect, open_pool
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.maintenance.recovery_poll import count_needing_recovery
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, find_exhausted, requeue_results
from notaflow_pipeline.job_queue.metrics import measure_progress
from notaflow_pipeline.job_queue.pause import current_pause, pause
from notaflow_pipeline.job_queue.queries import attempts_of_document, count_queue, count_ready
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.worker.pipeline import Pipeline
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline_tests.cli import open_terminal
from notaflow_pipeline_tests.faults.proxy import Proxy, proxy_before
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until
from notaflow_pipeline_tests.worker.pipelines import (
    once,
    only_attempt,
    pipeline_over,
    ready,
    ready_page,
    ready_pages,
    row,
)

SUCCEEDS = "outcome = 'succeeded'"
FAILS = "outcome = 'failed'"
CLAIMS = "INSERT INTO ocr_attempt"

TEN_MINUTES = timedelta(minutes=10)

SILENCE_SECONDS = 120
"""Far more than a check, a statement and a retry take under the bounds of these tests: what lasts longer waits for ever."""


@pytest.fixture
def network(database_url: str) -> Iterator[Proxy]:
    """The way to this test's database, to be broken."""
    with proxy_before(database_url) as proxy:
        yield proxy


class TestCutBetweenCommitAndItsAnswer:
    def test_text_is_stored_once_and_its_document_counts_as_succeeded(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        document = ready_page(connection, folder, "page")
        network.lose_answer_to_commit(after=SUCCEEDS)
        with open_pool(network.url) as pool, pipeline_over(pool, folder) as pipeline:
            progress = pipeline.work(limit=10)
        assert network.answers_lost == 1
        found = row(connection, document)
        assert (found["status_id"], found["ocr_attempts"]) == (5, 1)
        assert found["file_content"] == "--- Page 1 ---\npage of 60x40"
        assert only_attempt(connection, document).outcome == "succeeded"
        assert progress == Progress(claimed=1, succeeded=1, pages=1)
        assert violated_invariants(connection) == {}

    def test_failure_is_recorded_once_and_counts_as_that_failure(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        document = ready(connection, "index/missing.pdf")
        network.lose_answer_to_commit(after=FAILS)
        with open_pool(network.url) as pool, pipeline_over(pool, folder) as pipeline:
            progress = pipeline.work(limit=10)
        assert network.answers_lost == 1
        found = row(connection, document)
        assert (found["status_id"], found["ocr_attempts"]) == (3, 1)
        attempt = only_attempt(connection, document)
        assert (attempt.outcome, attempt.failure_kind) == ("failed", "not_found")
        assert (progress.claimed, progress.failed, progress.lost) == (1, {"not_found": 1}, 0)
        assert violated_invariants(connection) == {}

    def test_documents_of_an_unnoticed_claim_are_read_after_the_lease(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        documents = ready_pages(connection, folder, 3)
        network.lose_answer_to_commit(after=CLAIMS)
        with open_pool(network.url) as pool, pipeline_over(pool, folder, lease_seconds=5) as pipeline:
            assert pipeline.work(limit=10) == Progress(), "nobody knows of them"
            assert network.answers_lost == 1
            assert {row(connection, one)["status_id"] for one in documents} == {6}
            assert violated_invariants(connection) == {}
            recovered: list[int] = []  # their leases end a moment apart

            def all_are_recovered() -> bool:
                recovered.append(pipeline.queue.recover().expired_leases)
                return sum(recovered) == 3

            wait_until(all_are_recovered)
            progress = pipeline.work(limit=10)
        assert (progress.succeeded, progress.lost) == (3, 0)
        for document in documents:
            assert [one.outcome for one in attempts_of_document(connection, document)] == ["stuck", "succeeded"]
            assert row(connection, document)["status_id"] == 5
        assert violated_invariants(connection) == {}

    def test_released_claim_stays_released_and_counts_no_attempt(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        document = ready_page(connection, folder, "page")
        with open_pool(network.url) as pool, pipeline_over(pool, folder) as pipeline:
            [claim] = pipeline.queue.claim(1)
            network.lose_answer_to_commit(after="outcome = 'released'")
            with pytest.raises(psycopg.OperationalError), pool.connection() as cut:
                release(cut, [claim.token], reason="stopped")
            assert network.answers_lost == 1
            with pool.connection() as new:
                assert release(new, [claim.token], reason="stopped") == 0, "it is done"
        found = row(connection, document)
        assert (found["status_id"], found["ocr_attempts"]) == (3, 0)
        assert violated_invariants(connection) == {}

    def test_command_goes_on_when_the_answer_to_its_recovery_is_lost(
        self, connection: Connection, network: Proxy, tmp_path: Path
    ) -> None:
        terminal = open_terminal(tmp_path, network.url)
        document = ready_page(connection, terminal.documents, "page")
        connection.execute("UPDATE extraction_queue SET status_id = 6")  # by a program that is gone
        network.lose_answer_to_commit(after="no_lease")
        done = terminal.run("work", "--until-empty", "--json")
        assert network.answers_lost == 1
        assert done.returncode == 0, done.stderr
        assert '"succeeded": 1' in done.stdout
        assert [one.outcome for one in attempts_of_document(connection, document)] == ["stuck", "succeeded"]
        assert violated_invariants(connection) == {}


class TestCutWhileGivingBack:
    @pytest.mark.parametrize("answer_lost", [True, False])
    def test_all_claims_are_released_over_another_connection(
        self, connection: Connection, network: Proxy, folder: Path, *, answer_lost: bool
    ) -> None:
        documents = ready_pages(connection, folder, 6)

        def stop() -> None:
            if answer_lost:
                network.lose_answer_to_commit(after="outcome = 'released'")
            else:
                network.cut_at("outcome = 'released'")
            raise KeyboardInterrupt

        with (
            open_pool(network.url) as pool,
            pipeline_over(pool, folder, engine=NullEngine(sleep_seconds=0.2), lease_seconds=600) as pipeline,
            pytest.raises(KeyboardInterrupt),
        ):
            pipeline.work(limit=10, on_progress=once(stop))
        assert network.answers_lost + network.cuts == 1
        states = {row(connection, one)["status_id"] for one in documents}
        assert states == {3, 5}
        assert violated_invariants(connection) == {}


def _work_through_cuts(pipeline: Pipeline, connection: Connection) -> int:
    """Work as `notaflow work --until-empty` does, until every document is done; return how many it counts as read."""
    succeeded = 0
    while connection.execute("SELECT id FROM extraction_queue WHERE status_id <> 5 LIMIT 1").fetchone():
        with suppress(psycopg.OperationalError):
            pipeline.queue.recover()
        succeeded += pipeline.work(limit=100).succeeded
    return succeeded


class TestConnectionsCutAgainAndAgain:
    def test_every_document_is_read_exactly_once_and_none_is_lost(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        documents = succeeded = 0
        with open_pool(network.url) as pool, pipeline_over(pool, folder, lease_seconds=60) as pipeline:
            # how often it strikes depends on how the work happens to fall into statements
            while network.cuts < 4:
                documents += len(ready_pages(connection, folder, 20))
                # a claim whose answer is lost costs an attempt
                connection.execute("UPDATE extraction_queue SET ocr_max_attempts = 20 WHERE status_id = 3")
                network.cut_one_in(20)
                succeeded += _work_through_cuts(pipeline, connection)
                network.cut_one_in(0)
        states = connection.execute("SELECT status_id, count(*) FROM extraction_queue GROUP BY 1").fetchall()
        assert states == [(5, documents)]
        successes = connection.execute(
            "SELECT count(*), count(DISTINCT queue_id) FROM ocr_attempt WHERE outcome = 'succeeded'"
        ).fetchone()
        assert successes == (documents, documents)
        assert succeeded == documents, "whoever recorded it knows"
        assert violated_invariants(connection) == {}


class TestSilence:
    @pytest.fixture(autouse=True)
    def impatience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The bounds are what is tested, not their length."""
        monkeypatch.setattr(sessions, "RESPONSE_TIMEOUT_SECONDS", 4, raising=False)
        monkeypatch.setattr(connections, "CHECK_SECONDS", 3, raising=False)

    def test_work_goes_on_when_its_idle_connections_have_gone_silent(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        ready_pages(connection, folder, 6)
        silenced: list[int] = []

        disturb = once(lambda: silenced.append(network.go_silent()))
        self.assert_work_ends_with_everything_read(connection, network, folder, disturb)
        assert silenced[0] > 0

    def test_work_goes_on_when_its_connection_goes_silent_in_a_transaction(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        ready_pages(connection, folder, 6)

        disturb = once(lambda: network.go_silent_at(SUCCEEDS))
        self.assert_work_ends_with_everything_read(connection, network, folder, disturb)

    def test_lease_is_renewed_over_another_connection_without_a_response(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        ready_page(connection, folder, "page")
        lost: list[int] = []
        with (
            open_pool(network.url) as pool,
            pipeline_over(pool, folder, workers=1, lease_seconds=24) as pipeline,
            LeaseRenewal(pool, pipeline.queue.terms.lease, lost.append) as renewal,
        ):
            [claim] = pipeline.queue.claim(1)

            def held_until() -> datetime:
                [(until,)] = connection.execute("SELECT lease_expires_at FROM ocr_attempt").fetchall()
                assert isinstance(until, datetime)
                return until

            before = held_until()
            network.go_silent_at("SET lease_expires_at")
            renewal.hold(claim.token)
            wait_until(lambda: held_until() != before)
            assert held_until() - pipeline.queue.terms.lease < before, "it was renewed before it ran out"
            recovered = pipeline.queue.recover().total
            network.cut()
        assert recovered == 0
        assert lost == []

    @pytest.mark.parametrize(
        ("statement", "query"),
        [
            ("FROM job", lambda one: count_queue(one, sources=["index"], stuck_after=TEN_MINUTES)),
            ("AS ready", lambda one: count_ready(one, sources=["index"], at_most=10)),
            ("FROM ocr_pause", current_pause),
            ("INSERT INTO ocr_pause", lambda one: pause(one, "why")),
            ("b.queue_id = q.id", lambda one: count_needing_recovery(one, sources=["index"], stuck_after=TEN_MINUTES)),
            ("q.ocr_last_error_at::text", lambda one: list(find_exhausted(one, ExhaustedFilter(sources=("index",))))),
            ("FROM ocr_round AS r", lambda one: requeue_results(one, "run")),
            (
                "INSERT INTO ocr_progress_watch",
                lambda one: measure_progress(one, sources=["index"], active=0, paused=False),
            ),
            ("HAVING count(*) > 1", lambda one: list(find_violations(one, sources=["index"]))),
        ],
    )
    def test_query_of_a_sensor_or_command_ends_without_a_response(
        self,
        network: Proxy,
        monkeypatch: pytest.MonkeyPatch,
        statement: str,
        query: Callable[[Connection], object],
    ) -> None:
        monkeypatch.setattr(sessions, "RESPONSE_TIMEOUT_SECONDS", 1)
        monkeypatch.setattr(sessions, "SCAN_SECONDS", sessions.STATEMENT_SECONDS)
        with connect(network.url) as one:
            network.go_silent_at(statement)
            cut: list[int] = []
            ended = threading.Timer(
                SILENCE_SECONDS, lambda: cut.append(network.cut())
            )  # or this test would hang with it
            ended.start()
            with pytest.raises(psycopg.OperationalError):
                query(one)
            ended.cancel()
            assert cut == [], "it ended by itself"

    @staticmethod
    def assert_work_ends_with_everything_read(
        connection: Connection,
        network: Proxy,
        folder: Path,
        disturb: Callable[[Progress], None],
    ) -> None:
        ended: list[Progress] = []
        engine = NullEngine(sleep_seconds=0.2)
        with (
            open_pool(network.url) as pool,
            pipeline_over(pool, folder, engine=engine, lease_seconds=60, pages_ahead=3) as pipeline,
        ):
            worker = threading.Thread(target=lambda: ended.append(pipeline.work(limit=100, on_progress=disturb)))
            worker.start()
            worker.join(timeout=SILENCE_SECONDS)
            in_time = not worker.is_alive()
            # otherwise it would wait for ever, and this test with it
            network.cut()
            worker.join(timeout=HANG_SECONDS)
        assert in_time, f"no end after {SILENCE_SECONDS} s of silence"
        assert (ended[0].succeeded, ended[0].lost) == (6, 0)
        assert violated_invariants(connection) == {}

    def test_lost_peer_is_noticed_by_the_kernel_within_a_minute(self, network: Proxy) -> None:
        with (
            connect(network.url) as connected,
            open_pool(network.url) as pool,
            pool.connection() as pooled,
        ):
            for one in (connected, pooled):
                with socket.socket(fileno=socket.dup(one.fileno())) as end:
                    assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                    idle, interval, count, unanswered = (
                        end.getsockopt(socket.IPPROTO_TCP, option)
                        for option in (
                            socket.TCP_KEEPIDLE,
                            socket.TCP_KEEPINTVL,
                            socket.TCP_KEEPCNT,
                            socket.TCP_USER_TIMEOUT,
                        )
                    )
                    assert 0 < idle + interval * count <= 60
                    assert 0 < unanswered <= 60_000


class TestLeaseRenewal:
    def test_leases_are_renewed_over_new_connections_after_a_cut(
        self, connection: Connection, network: Proxy, folder: Path
    ) -> None:
        ready_page(connection, folder, "page")
        lost: list[int] = []
        lease = timedelta(seconds=12)
        with (
            open_pool(network.url) as pool,
            pipeline_over(pool, folder, workers=1, lease_seconds=12) as pipeline,
            LeaseRenewal(pool, lease, lost.append) as renewal,
        ):
            [claim] = pipeline.queue.claim(1)
            renewal.hold(claim.token)

            def held_until() -> object:
                return connection.execute("SELECT lease_expires_at FROM ocr_attempt").fetchone()

            for _ in range(2):
                before = held_until()
                assert network.cut() > 0
                wait_until(lambda before=before: held_until() != before)  # type: ignore[misc]
            assert pipeline.queue.recover().total == 0
        assert lost == []
        assert violated_invariants(connection) == {}
