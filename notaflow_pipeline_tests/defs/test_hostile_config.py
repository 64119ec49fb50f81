"""Tests of hostile run config: a job refuses what it does not declare, and changes nothing."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, configure, defs, errors_of
from notaflow_pipeline_tests.defs.hostile_config import (
    HOSTILE,
)

pytestmark = pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")


def refusal(job: str, partition: str | None, config: dict[str, Any], instance: dg.DagsterInstance) -> str:
    """Launch as GraphQL would, and return what the job says."""
    definition = defs.resolve_job_def(job)
    try:
        dg.validate_run_config(definition, config)  # the first thing that GraphQL does; it knows the job's own executor
        result = definition.execute_in_process(
            run_config=config, partition_key=partition, instance=instance, raise_on_error=False
        )
    except dg.DagsterError as refused:
        return str(refused)
    assert not result.success, f"{job} took {partition} {config}"
    return errors_of(result)


def test_invalid_run_config_is_refused_and_nothing_is_changed(
    connection: Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, tmp_path, database_url)
    enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    connection.execute(
        "UPDATE extraction_queue SET ocr_attempts = 3, ocr_error = 'x', ocr_last_error_at = '2026-11-01 12:00Z'"
    )
    enqueue_document(connection, NewDocument("index", "2", "index/2.pdf"))
    versions = "SELECT xmin::text, ctid::text, q.* FROM extraction_queue AS q ORDER BY id"
    before = connection.execute(versions).fetchall()
    with dg.DagsterInstance.ephemeral() as instance:
        for job, partition, config, says in HOSTILE:
            said = refusal(job, partition, config, instance)
            assert says.lower() in said.lower(), (job, partition, config, said[:500])
    assert connection.execute(versions).fetchall() == before
    assert connection.execute("SELECT count(*) FROM ocr_attempt").fetchone() == (0,)
    assert not (tmp_path / "home" / "reports").exists()
