"""Tests of hostile GraphQL requests to the Dagster UI: they are refused at once or by the run, and change nothing."""

from typing import Any

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.browser.dagster import Dagster, all_runs
from notaflow_pipeline_tests.defs.hostile_config import HOSTILE, HUGE, PATH, SQL, cancel, claim, page, retry
from notaflow_pipeline_tests.processes.dagster_runs import FINISHED
from notaflow_pipeline_tests.testing.waiting import wait_until

PARTITION, FIRST, LAST = "dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

LAUNCHED: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("ocr_job", {}, claim(limit=HUGE)),
    ("dashboard_job", {}, page(days=3661)),
    ("retry_exhausted_job", {PARTITION: "2026-11-01"}, retry(kinds=[f"timeout'{SQL}"])),
    ("retry_exhausted_job", {PARTITION: "2026-11-01"}, retry(more_attempts=101)),
    ("cancel_documents_job", {}, cancel(documents=[SQL])),
]
"""What Dagster's own validation lets through, so that the run itself must refuse it."""

REFUSED_TAGS = [
    ("ocr_daily_job", {PARTITION: SQL}),
    ("retry_exhausted_job", {PARTITION: SQL}),
    ("retry_exhausted_job", {PARTITION: PATH}),
    ("ocr_daily_job", {FIRST: "0001-01-01", LAST: "9999-12-31"}),
]
"""Dagster asks the days of assets before it launches anything."""

OF_QUEUE = "SELECT xmin::text, ctid::text, q.* FROM extraction_queue AS q ORDER BY id"

LAUNCHED_HERE = """
SELECT r.pipeline_name, r.status
FROM dagster.runs AS r
WHERE NOT r.run_id = ANY(%s)
  AND NOT EXISTS (SELECT FROM dagster.run_tags AS t WHERE t.run_id = r.run_id AND t.key = 'dagster/sensor_name')
ORDER BY r.id
"""


REFUSED_BY_RUN = ("greater than", "less than", "should match", "at most", "no document")
"""How the run itself refuses what is of the right type: Dagster's own validation checks types and names."""

REFUSED = [(job, config) for job, _, config, says in HOSTILE if config and not says.startswith(REFUSED_BY_RUN)]


def test_hostile_config_and_tags_are_refused_by_a_running_ui(idle: Dagster) -> None:
    ui, connection = idle.ui, idle.connection
    ui.stop_sensor("ocr_ready_sensor")
    ui.stop_schedules()
    wait_until(lambda: set(all_runs(idle).values()) <= FINISHED)
    earlier = list(all_runs(idle))
    enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    connection.execute(
        "UPDATE extraction_queue SET ocr_attempts = 3, ocr_error = 'x', ocr_last_error_at = '2026-11-01 12:00Z'"
    )
    enqueue_document(connection, NewDocument("index", "2", "index/2.pdf"))
    before = connection.execute(OF_QUEUE).fetchall()

    hostile: list[tuple[str, dict[str, str], dict[str, Any], str]]
    hostile = [(job, {}, config, "RunConfigValidationInvalid") for job, config in REFUSED]
    hostile += [(job, tags, {}, "PythonError") for job, tags in REFUSED_TAGS]
    hostile += [(*launched, "LaunchRunSuccess") for launched in LAUNCHED]
    answers = [(job, tags, config, ui.answer_to_launch(job, config, **tags)) for job, tags, config, _ in hostile]

    def launched() -> list[tuple[str, str]]:
        return connection.execute(LAUNCHED_HERE, [earlier]).fetchall()

    count = [answer for *_, answer in answers].count("LaunchRunSuccess")
    wait_until(lambda: len(launched()) >= count and {status for _, status in launched()} <= FINISHED)
    # together, so that a failure names everything that was accepted
    assert ([one for one in answers if one not in hostile], launched()) == (
        [],
        [(job, "FAILURE") for job, *_ in LAUNCHED],
    )
    assert connection.execute(OF_QUEUE).fetchall() == before
    assert connection.execute("SELECT count(*) FROM ocr_attempt").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM ocr_daily_performance").fetchone() == (0,)
    ui.start_sensor("ocr_ready_sensor")
