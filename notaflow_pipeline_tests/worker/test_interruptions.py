"""Lost leases and interruptions leave no claim, process, file or text behind."""

import logging
import threading
import traceback
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from PIL import Image
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.worker.pipeline import Pipeline
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline_tests.ocr import processes
from notaflow_pipeline_tests.ocr.failing_engines import FAILING_WIDTH, WaitingEngine
from notaflow_pipeline_tests.processes import violated_invariants
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until
from notaflow_pipeline_tests.worker.pipelines import (
    assert_released,
    once,
    only_attempt,
    pipeline_over,
    ready,
    ready_page,
    row,
    small_pdf,
)

SECRET_SIZE = (1234, 321)
SECRET = "1234x321"
"""`NullEngine` reads a page's size off it, so this is the text of such a page."""


class TestLeases:
    def test_claim_that_is_lost_during_ocr_writes_nothing(
        self, connection: Connection, database_url: str, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready_page(connection, folder, "page")

        def take_away() -> None:
            with psycopg.connect(database_url, autocommit=True) as other_program:

                def taken() -> bool:
                    statement = "UPDATE extraction_queue SET status_id = 3 WHERE status_id = 6"
                    return other_program.execute(statement).rowcount == 1

                wait_until(taken)

        other = threading.Thread(target=take_away)
        other.start()
        # the page ends long after this test has to: a page that is read to its end here would hang the test
        hour, endless = NullEngine(sleep_seconds=3600), Limits(idle_seconds=3600)
        with pipeline_over(pool, folder, engine=hour, limits=endless, lease_seconds=1) as pipeline:
            progress = pipeline.work(limit=1)
            other.join()
            assert (progress.claimed, progress.lost, progress.finished) == (1, 1, 1)
            found = row(connection, document)
            assert (found["status_id"], found["file_content"], found["ocr_error"]) == (3, None, None)
            wait_until(lambda: pipeline.queue.recover().orphaned_attempts == 1)
        assert only_attempt(connection, document).outcome == "superseded"

    def test_claim_on_a_long_document_of_a_healthy_worker_is_never_lost(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready(connection, small_pdf(folder, "long.pdf", pages=8))
        recovered, over = [], threading.Event()

        def recover_all_the_time(pipeline: Pipeline) -> None:
            while not over.wait(0.05):
                recovered.append(pipeline.queue.recover().total)

        engine = NullEngine(sleep_seconds=2)
        with pipeline_over(pool, folder, engine=engine, workers=1, lease_seconds=5) as pipeline:
            recovering = threading.Thread(target=recover_all_the_time, args=[pipeline])
            recovering.start()
            try:
                progress = pipeline.work(limit=1)
            finally:
                over.set()
                recovering.join()
        assert len(recovered) > 20
        assert sum(recovered) == 0
        assert (progress.succeeded, progress.lost) == (1, 0)
        attempt = only_attempt(connection, document)
        assert attempt.outcome == "succeeded"
        assert attempt.finished_at is not None
        assert attempt.finished_at - attempt.claimed_at > timedelta(seconds=15), "it has to outlast several leases"


class TestInterruption:
    def test_all_claims_are_released_and_no_process_or_file_is_left(
        self,
        connection: Connection,
        pool: ConnectionPool[Connection],
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fetched = tmp_path / "fetched"
        fetched.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(fetched))
        # all but the first are read for a day: however late the interruption comes, some are in hand
        documents = [ready_page(connection, folder, "page")]
        documents += [ready_page(connection, folder, f"long{number}", (FAILING_WIDTH, 40)) for number in range(11)]

        def interrupt() -> None:
            assert processes.workers(), "the test looks for processes in the wrong place"
            raise KeyboardInterrupt

        engine = WaitingEngine(mark=processes.mark_of_this_process(86510))
        with pytest.raises(KeyboardInterrupt):  # noqa: SIM117 - the reader has to see it too
            # as many workers as documents: none waits behind a long one
            with pipeline_over(pool, folder, engine=engine, workers=3, pages_ahead=3) as pipeline:
                pipeline.work(limit=100, on_progress=once(interrupt))
        done = [one for one in documents if row(connection, one)["status_id"] == 5]
        assert done
        for document in set(documents) - set(done):
            assert_released(connection, document)
        released = connection.execute("SELECT count(*) FROM ocr_attempt WHERE outcome = 'released'").fetchone()
        assert released is not None
        assert released[0] > 0
        assert violated_invariants(connection) == []
        wait_until(lambda: not processes.workers())
        wait_until(lambda: not any(fetched.iterdir()))


class TestPrivacy:
    def test_progress_is_reported_page_by_page(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready(connection, small_pdf(folder, "long.pdf", 3))
        told = []
        with pipeline_over(pool, folder) as pipeline:
            total = pipeline.work(
                limit=1, on_progress=lambda one: told.append((one.finished, one.pages_in_progress, one.pages))
            )
        *in_progress, last = told
        assert last == (1, 0, 3)
        # pages that end at the same moment are reported at once
        assert in_progress
        assert in_progress == sorted(set(in_progress) & {(0, 1, 0), (0, 2, 0), (0, 3, 0)})
        assert total == Progress(claimed=1, succeeded=1, pages=3)

    def test_text_of_documents_is_in_the_row_and_in_no_log_error_or_repr(
        self,
        connection: Connection,
        pool: ConnectionPool[Connection],
        folder: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        documents = [ready_page(connection, folder, f"secret{number}", SECRET_SIZE) for number in range(3)]
        ready(connection, "index/missing.pdf")
        seen = []
        with pipeline_over(pool, folder) as pipeline:
            seen.append(repr(pipeline))
            claimed = pipeline.queue.claim(2)
            seen.append(repr(claimed))
            connection.execute("UPDATE extraction_queue SET status_id = 3 WHERE id = %s", [documents[0]])
            progress = pipeline.work(claimed, limit=10, on_progress=lambda one: seen.append(repr(one)))
        assert SECRET in row(connection, documents[1])["file_content"]
        assert progress.lost == 1, "the late outcome is logged, and must be without its text"
        assert "too late" in caplog.text
        attempts = connection.execute("SELECT to_jsonb(a)::text FROM ocr_attempt AS a").fetchall()
        others = connection.execute("SELECT (to_jsonb(q) - 'file_content')::text FROM extraction_queue AS q").fetchall()
        assert SECRET not in caplog.text
        assert SECRET not in repr([seen, attempts, others])

    def test_text_that_the_database_refuses_is_not_in_the_error(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        # PostgreSQL tells the failing row in the detail of its message
        connection.execute("ALTER TABLE extraction_queue ADD CHECK (file_content NOT LIKE '%page of%')")
        document = ready_page(connection, folder, "secret", SECRET_SIZE)
        message = ""
        with pipeline_over(pool, folder) as pipeline:
            try:
                pipeline.work(limit=1)
            except Exception as error:  # noqa: BLE001 - whichever it is
                message = "".join(traceback.format_exception(error))
        assert row(connection, document)["status_id"] == 3
        assert SECRET not in message

    def test_repr_of_recognised_text_does_not_show_it(self, folder: Path) -> None:
        Image.new("L", SECRET_SIZE, "white").save(folder / "page.png")
        with DocumentPool(NullEngine(), workers=1) as document_pool:
            text = document_pool.start(folder / "page.png").result(timeout=HANG_SECONDS)
        assert SECRET in text.text
        assert SECRET not in repr(text)
