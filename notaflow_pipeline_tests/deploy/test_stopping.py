"""Tests of stopping a code server's container while runs are active: their claims are released at once."""

import signal

import psycopg

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.deploy.installation import Installation
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.processes import violated_invariants
from notaflow_pipeline_tests.testing.ending import all_gone, children_of
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

DOCUMENTS = 200


def test_stopping_the_code_server_releases_the_claims_of_its_runs(installation: Installation) -> None:
    samples.png(installation.documents / "page.png", "Vente du lot 3 770 292\nHypothèque 75 000,00 $")
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        for number in range(DOCUMENTS):
            enqueue_document(connection, NewDocument("index", f"2 784 {number}", "index/page.png"))

        def count(condition: str) -> int:
            row = connection.execute(f"SELECT count(*) FROM extraction_queue WHERE {condition}".encode()).fetchone()  # noqa: S608
            assert row is not None
            return int(row[0])

        wait_until(lambda: count("status_id = 5") >= 2)
        assert count("status_id = 6") > 0
        family = children_of(installation.code_server.pid)
        installation.code_server.send_signal(signal.SIGTERM)
        assert installation.code_server.wait(timeout=HANG_SECONDS) == 0
        wait_until(lambda: all_gone(family))  # what belonged to a run ends a moment after it
        assert count("status_id = 6") == 0
        assert count("status_id = 3 AND ocr_attempts = 0") == DOCUMENTS - count("status_id = 5") > 0
        assert violated_invariants(connection) == []
