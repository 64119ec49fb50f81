"""The checks of the daily tables: completeness, failure rates, and anomalies of duration, confidence and coverage.

They run after the assets without blocking anything, and `health_sensor` evaluates them between runs. They judge today, or
yesterday while today has too few documents.
"""

from collections.abc import Iterator

import dagster as dg

from notaflow_pipeline.defs.checks.results import result_of, spec_of
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.health_checks import (
    OF_COUNTING,
    OF_PERFORMANCE,
    OF_RATES,
    judge_counting,
    judge_performance,
    judge_rates,
)
from notaflow_pipeline.settings import load_settings


@dg.multi_asset_check(specs=[spec_of(check) for check in OF_COUNTING], name="daily_completeness_checks")
def daily_completeness_checks(queue: QueueResource) -> Iterator[dg.AssetCheckResult]:
    """Check that every day that ended was computed since."""
    with queue.pool.connection() as connection:
        verdicts = list(judge_counting(connection, load_settings()))
    for check, verdict in verdicts:
        yield result_of(check, verdict)


@dg.multi_asset_check(specs=[spec_of(check) for check in OF_RATES], name="daily_failure_rate_checks")
def daily_failure_rate_checks(queue: QueueResource) -> Iterator[dg.AssetCheckResult]:
    """Judge the newest failure rates by the lower end of their intervals."""
    with queue.pool.connection() as connection:
        verdicts = list(judge_rates(connection, load_settings()))
    for check, verdict in verdicts:
        yield result_of(check, verdict)


@dg.multi_asset_check(specs=[spec_of(check) for check in OF_PERFORMANCE], name="daily_performance_checks")
def daily_performance_checks(queue: QueueResource) -> Iterator[dg.AssetCheckResult]:
    """Judge the newest durations, confidence and coverage against the fourteen days before."""
    with queue.pool.connection() as connection:
        verdicts = list(judge_performance(connection, load_settings()))
    for check, verdict in verdicts:
        yield result_of(check, verdict)
