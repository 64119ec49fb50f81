"""Tests of the check `queue_invariants`: it passes on a valid queue, and names the rows of an invalid one."""

from datetime import timedelta

import dagster as dg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming import claims
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.model import OcrResult
from notaflow_pipeline_tests.defs import defs
from notaflow_pipeline_tests.testing.job_queue import succeed

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

SECRET = "Marie-Fictive Untelle"


def evaluated() -> dg.AssetCheckEvaluation:
    result = defs.resolve_job_def("queue_invariants_job").execute_in_process()
    [evaluation] = result.get_asset_check_evaluations()
    return evaluation


def test_check_passes_on_a_sound_queue_and_names_what_is_broken(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", database_url)
    document = enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    [claim] = claims.claim_documents(
        connection, limit=1, sources=["index"], worker_id="test", run_id=None, lease=timedelta(minutes=1)
    )
    assert succeed(connection, claim, OcrResult(SECRET, 1, 90.0, 0, 0, 1, "test"))
    assert evaluated().passed

    connection.execute("UPDATE extraction_queue SET file_content = file_content || '!'")
    assert evaluated().passed, "another program may do so, and a trigger notes it"
    connection.execute("UPDATE extraction_queue SET ocr_changed_elsewhere_at = NULL")
    broken = evaluated()
    assert not broken.passed
    assert broken.severity is dg.AssetCheckSeverity.ERROR
    assert "file_content is the text of the last succeeded attempt" in (broken.description or "")
    assert str(document) in repr(broken.metadata)
    assert SECRET not in repr(broken)

    connection.execute("UPDATE ocr_attempt SET finished_at = finished_at - interval '3 days'")
    assert evaluated().passed, "what ended before the look-back is not looked at every hour"
