"""Converts the evaluations of `health_checks` into results of asset checks, with their figures as metadata."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from psycopg import Connection

from notaflow_pipeline.alerting.thresholds import Evaluation
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.health_checks import Check
from notaflow_pipeline.settings import Settings, load_settings


def spec_of(check: Check) -> dg.AssetCheckSpec:
    """Return the definition of a check."""
    return dg.AssetCheckSpec(name=check.name, asset=dg.AssetKey(check.asset), description=check.description)


def evaluation_of(check: Check, evaluation: Evaluation) -> dg.AssetCheckEvaluation:
    """Return an evaluation as an event that needs no run."""
    return dg.AssetCheckEvaluation(**_values(check, evaluation))


def _values(check: Check, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "asset_key": dg.AssetKey(check.asset),
        "check_name": check.name,
        "passed": not evaluation.alarming,
        "severity": dg.AssetCheckSeverity.ERROR,
        "description": evaluation.sentence,
        "metadata": dict(evaluation.figures),
    }


def results_of(
    queue: QueueResource, evaluate: Callable[[Connection, Settings], Iterator[tuple[Check, Evaluation]]]
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of the checks that `evaluate` evaluates. They never block: a failed check stops no work."""
    with described_failures(), queue.pool.connection() as connection:
        evaluations = list(evaluate(connection, load_settings()))
    for check, evaluation in evaluations:
        yield dg.AssetCheckResult(**_values(check, evaluation))
