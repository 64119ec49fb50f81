"""Evaluates the checks of queue and daily tables by the settings' thresholds, for Dagster and `notaflow alert --check`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import Connection

from notaflow_pipeline.alerting import thresholds
from notaflow_pipeline.alerting.daily_metrics import read_daily_measures, read_daily_rates
from notaflow_pipeline.alerting.thresholds import Evaluation
from notaflow_pipeline.job_queue import metrics
from notaflow_pipeline.job_queue.claiming.claim_check import find_refusal
from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.database.chunks import describe_error
from notaflow_pipeline.job_queue.pause import current_pause
from notaflow_pipeline.reporting.daily_tables.days import today_in
from notaflow_pipeline.reporting.daily_tables.due_days import DAYS_CHECKED, days_missed
from notaflow_pipeline.settings import Settings


@dataclass(frozen=True)
class Check:
    """A check of an asset."""

    asset: str
    name: str
    description: str


PROGRESS = Check(
    "extraction_queue",
    "queue_progress",
    "Documents that are ready are claimed soon. If not, the daemon, the sensor or the workers do not run, and this check may "
    "not run either, so `notaflow alert --check` evaluates it from outside.",
)
STUCK = Check(
    "extraction_queue",
    "stuck_documents",
    "A document whose worker is gone is recovered within minutes.",
)
WAITING = Check("extraction_queue", "waiting_time", "The queue is read faster than it grows.")
EXHAUSTED = Check(
    "extraction_queue",
    "exhausted_acknowledged",
    "Documents that are still exhausted after the nightly retry were acknowledged by a person (`notaflow alert --seen`).",
)
COMPLETENESS = Check(
    "ocr_daily_failure_rate",
    "daily_tables_complete",
    "An hour after a day has ended, the daily tables count all of it. If not, the night's run was missed: the asset's "
    "freshness does not show that, because today's tables are computed soon after midnight.",
)
ATTEMPTS = Check(
    "ocr_daily_failure_rate",
    "attempt_failure_rate_high",
    "Few attempts fail or get stuck. Alarming only when the lower end of the 95 % interval is above the threshold. Evaluates "
    "today, or yesterday while today has too few.",
)
DOCUMENTS = Check(
    "ocr_daily_failure_rate",
    "document_failure_rate_high",
    "Few documents are exhausted. Alarming only when the lower end of the 95 % interval is above the threshold. Evaluates "
    "today, or yesterday while today has too few.",
)
SLOWNESS = Check(
    "ocr_daily_performance",
    "duration_anomaly",
    "The slowest twentieth of documents (p95) takes no longer than on the fourteen days before: median and median absolute "
    "deviation.",
)
CONFIDENCE = Check(
    "ocr_daily_performance",
    "confidence_anomaly",
    "Words are read with no less confidence than on the fourteen days before: median and median absolute deviation.",
)
COVERAGE = Check(
    "ocr_daily_performance",
    "coverage_anomaly",
    "Words account for no less of the pages' ink than on the fourteen days before: median and median absolute deviation.",
)

QUEUE_CHECKS = (PROGRESS, STUCK, WAITING, EXHAUSTED)
COMPLETENESS_CHECKS = (COMPLETENESS,)
RATE_CHECKS = (ATTEMPTS, DOCUMENTS)
PERFORMANCE_CHECKS = (SLOWNESS, CONFIDENCE, COVERAGE)

ATTEMPTS_ADVICE = "`ocr_daily_failures_by_kind` shows the kinds; `notaflow doctor` checks database, storage and engine."
DOCUMENTS_ADVICE = (
    "`notaflow list --state exhausted` lists them with their kinds of failure, and `notaflow retry` requeues those that "
    "another attempt can help."
)


def evaluate_queue(connection: Connection, settings: Settings) -> Iterator[tuple[Check, Evaluation]]:
    """Yield an evaluation for each check of the queue; cheap enough for every minute."""
    sources = settings.sources
    limit = timedelta(minutes=settings.alert_stuck_minutes)
    under_ocr = metrics.count_under_ocr(
        connection, sources=sources, stuck_after=timedelta(minutes=settings.stuck_minutes), longer_than=limit
    )
    pause = current_pause(connection)
    progress = metrics.measure_progress(connection, sources=sources, active=under_ocr.active, paused=pause is not None)
    idle_limit = 60 * settings.alert_idle_minutes
    is_idle = progress.ready > 0 and progress.idle_seconds > idle_limit and not progress.refused
    yield (
        PROGRESS,
        thresholds.evaluate_progress(
            ready=progress.ready,
            idle_seconds=progress.idle_seconds,
            limit_seconds=idle_limit,
            paused=pause.reason if pause else None,
            refusal=_refusal(connection, settings) if is_idle else progress.refusal,
            refused=progress.refused,
        ),
    )
    yield STUCK, thresholds.evaluate_stuck(stuck=under_ocr.stuck, limit_seconds=limit.total_seconds())
    yield (
        WAITING,
        thresholds.evaluate_waiting(
            oldest_seconds=metrics.oldest_waiting_seconds(connection, sources=sources),
            limit_seconds=3600 * settings.alert_waiting_hours,
        ),
    )
    grace = timedelta(hours=settings.alert_exhausted_hours)
    yield (
        EXHAUSTED,
        thresholds.evaluate_exhausted(
            unacknowledged=metrics.count_unacknowledged_exhausted(
                connection, sources=sources, grace=grace, exhausted_status=settings.exhausted_status
            ),
            limit=settings.alert_exhausted_documents,
            grace_seconds=grace.total_seconds(),
        ),
    )


def _refusal(connection: Connection, settings: Settings) -> str | None:
    """Return why no document can be claimed, or None if one can."""
    try:
        return find_refusal(connection, settings.sources, ClaimPosition())
    except psycopg.Error as error:
        return f"it fails with {describe_error(error)}"


def evaluate_completeness(connection: Connection, settings: Settings) -> Iterator[tuple[Check, Evaluation]]:
    """Yield an evaluation of whether ended days were counted completely."""
    missed = days_missed(connection, first=settings.partitions_start, timezone=settings.timezone)
    yield COMPLETENESS, thresholds.evaluate_completeness(missed, days_checked=DAYS_CHECKED)


def evaluate_rates(connection: Connection, settings: Settings) -> Iterator[tuple[Check, Evaluation]]:
    """Yield an evaluation of each daily failure rate."""
    today = today_in(connection, settings.timezone)
    rates = read_daily_rates(connection, today)
    yield (
        ATTEMPTS,
        thresholds.evaluate_share(
            [day.failed_attempts for day in rates],
            today,
            what="attempts",
            threshold=settings.alert_attempt_failure_rate,
            minimum=settings.alert_min_documents,
            advice=ATTEMPTS_ADVICE,
        ),
    )
    yield (
        DOCUMENTS,
        thresholds.evaluate_share(
            [day.exhausted_documents for day in rates],
            today,
            what="documents",
            threshold=settings.alert_document_failure_rate,
            minimum=settings.alert_min_documents,
            advice=DOCUMENTS_ADVICE,
        ),
    )


def evaluate_performance(connection: Connection, settings: Settings) -> Iterator[tuple[Check, Evaluation]]:
    """Yield evaluations of the day's durations, confidence and coverage against the days before."""
    today = today_in(connection, settings.timezone)
    measures = read_daily_measures(connection, today)
    for check, comparison, days in (
        (SLOWNESS, thresholds.SLOWNESS, [day.duration for day in measures]),
        (CONFIDENCE, thresholds.CONFIDENCE, [day.confidence for day in measures]),
        (COVERAGE, thresholds.COVERAGE, [day.coverage for day in measures]),
    ):
        evaluation = thresholds.evaluate_against_usual(
            comparison,
            days,
            today,
            deviations=settings.alert_deviations,
            minimum=settings.alert_min_documents,
        )
        yield check, evaluation


def evaluate_all(connection: Connection, settings: Settings) -> Iterator[tuple[Check, Evaluation]]:
    """Yield every evaluation that needs only the database."""
    yield from evaluate_queue(connection, settings)
    yield from evaluate_completeness(connection, settings)
    yield from evaluate_rates(connection, settings)
    yield from evaluate_performance(connection, settings)
