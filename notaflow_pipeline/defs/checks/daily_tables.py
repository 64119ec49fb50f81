"""The checks of the daily tables: completeness, failure rates, and anomalies of duration, confidence and coverage.

They run after the assets without blocking anything, and `health_sensor` evaluates them between runs. They evaluate today, or
yesterday while today has too few documents.
"""

from collections.abc import Iterator

import dagster as dg

from notaflow_pipeline.defs.checks.results import results_of, spec_of
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.health_checks import (
    COMPLETENESS_CHECKS,
    PERFORMANCE_CHECKS,
    RATE_CHECKS,
    evaluate_completeness,
    evaluate_performance,
    evaluate_rates,
)


@dg.multi_asset_check(specs=[spec_of(check) for check in COMPLETENESS_CHECKS], name="daily_completeness_checks")
def daily_completeness_checks(queue: QueueResource) -> Iterator[dg.AssetCheckResult]:
    """Check that the tables of every past day were computed after its end."""
    yield from results_of(queue, evaluate_completeness)


@dg.multi_asset_check(specs=[spec_of(check) for check in RATE_CHECKS], name="daily_failure_rate_checks")
def daily_failure_rate_checks(queue: QueueResource) -> Iterator[dg.AssetCheckResult]:
    """Evaluate the newest failure rates by the lower end of their intervals."""
    yield from results_of(queue, evaluate_rates)


@dg.multi_asset_check(specs=[spec_of(check) for check in PERFORMANCE_CHECKS], name="daily_performance_checks")
def daily_performance_checks(queue: QueueResource) -> Iterator[dg.AssetCheckResult]:
    """Evaluate the newest durations, confidence and coverage against the fourteen days before."""
    yield from results_of(queue, evaluate_performance)
