"""A claim survives a restart of the database server without a shutdown."""

import tempfile
import threading
from pathlib import Path

import psycopg

from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline_tests.faults.servers import crash_and_restart
from notaflow_pipeline_tests.ocr.failing_engines import FAILING_WIDTH, WaitingEngine
from notaflow_pipeline_tests.ocr.processes import mark_of_this_process, with_argument
from notaflow_pipeline_tests.testing.ending import kill
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until
from notaflow_pipeline_tests.worker.pipelines import only_attempt, pipeline_over, ready_page, row


def test_claim_survives_an_immediate_restart_of_the_server(folder: Path) -> None:
    # a server of its own, and not in pytest's folder: as root, PostgreSQL runs as another user
    with (
        tempfile.TemporaryDirectory(prefix="notaflow-restart-") as home,
        embedded_database(Path(home)) as url,
    ):
        migrate(url, sources=["index"])
        with psycopg.connect(url, autocommit=True) as connection:
            document = ready_page(connection, folder, "page", (FAILING_WIDTH, 20))
        ended: list[Progress] = []
        engine = WaitingEngine(mark=mark_of_this_process(86500))
        with open_pool(url) as pool, pipeline_over(pool, folder, engine=engine, workers=1) as pipeline:
            worker = threading.Thread(target=lambda: ended.append(pipeline.work(limit=1)))
            worker.start()
            with psycopg.connect(url, autocommit=True) as connection:
                wait_until(lambda: with_argument(engine.mark))
                crash_and_restart(Path(home))
            with psycopg.connect(url, autocommit=True) as connection:
                assert row(connection, document)["status_id"] == 6, "it was restarted while the document was in hand"
            kill(with_argument(engine.mark))  # its engine waits for that process, and goes on
            worker.join(timeout=HANG_SECONDS)
        assert ended == [Progress(claimed=1, succeeded=1, pages=1)]
        with psycopg.connect(url, autocommit=True) as connection:
            found = row(connection, document)
            assert (found["status_id"], found["ocr_attempts"]) == (5, 1)
            attempt = only_attempt(connection, document)
            assert (attempt.attempt_number, attempt.outcome) == (1, "succeeded")
            assert violated_invariants(connection) == {}
