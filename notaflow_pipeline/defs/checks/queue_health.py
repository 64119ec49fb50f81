"""Is the queue worked on? Four checks beside `extraction_queue`, asked every minute without a run.

A run for each look would cost some seconds of processor and some 25 events. The sensor asks the database itself, and writes
an event when an answer changes, and once an hour. It asks the checks of the daily tables too (`checks.daily_health`), which
would otherwise wait for the night's run. All can be run from the UI as well. What does not belong here: the figures and what
is alarming (`health_checks`).
"""

import json
import time
from collections.abc import Iterator, Mapping

import dagster as dg

from notaflow_pipeline.defs.checks.results import evaluation_of, result_of, spec_of
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.health_checks import OF_QUEUE, judge_everything, judge_queue
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.local.embedded import running_database_url
from notaflow_pipeline.settings import load_settings

SHOWN_EVERY_SECONDS = 3600
"""An answer that does not change is written this often, so that the UI shows that somebody still asks."""


@dg.multi_asset_check(specs=[spec_of(check) for check in OF_QUEUE], name="queue_health")
def queue_health(queue: QueueResource) -> Iterator[dg.AssetCheckResult]:
    """Ask whether documents are worked on, stuck, waiting for too long, or failed for good without anybody looking."""
    settings = load_settings()
    with queue.pool.connection() as connection:
        verdicts = list(judge_queue(connection, settings))
    for check, verdict in verdicts:
        yield result_of(check, verdict)


@dg.sensor(
    minimum_interval_seconds=load_settings().alert_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks the checks of the queue and of the daily tables without a run, and writes down answers that change.",
)
def health_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Judge the queue and the daily tables; report what changed, or was reported an hour ago."""
    settings = load_settings()
    with connect(running_database_url(settings)) as connection:
        verdicts = list(judge_everything(connection, settings))
    answers = {check.name: verdict.alarming for check, verdict in verdicts}
    names, cursor = news(answers, context.cursor, now=time.time())
    alarming = [name for name, alarm in answers.items() if alarm]
    if not names:
        return dg.SkipReason(f"Nothing new; alarming: {', '.join(alarming) or 'nothing'}.")
    return dg.SensorResult(
        asset_events=[evaluation_of(check, verdict) for check, verdict in verdicts if check.name in names],
        cursor=cursor,
    )


def news(answers: Mapping[str, bool], cursor: str | None, *, now: float) -> tuple[set[str], str]:
    """Return which answers are to be reported, and the cursor after that.

    Args:
        answers: of each check, whether it alarms.
        cursor: what this function returned before; None at first.
        now: seconds since the epoch.
    """
    known: dict[str, tuple[bool, float]] = json.loads(cursor) if cursor else {}
    names = {
        name
        for name, alarming in answers.items()
        if name not in known or known[name][0] != alarming or now - known[name][1] >= SHOWN_EVERY_SECONDS
    }
    after = {name: (answers[name], now) if name in names else known[name] for name in answers}
    return names, json.dumps(after)
