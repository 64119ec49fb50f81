"""Converts the evaluations of `health_checks` into results of asset checks, with their figures as metadata."""

import dagster as dg

from notaflow_pipeline.alerting.thresholds import Evaluation
from notaflow_pipeline.health_checks import Check


def spec_of(check: Check) -> dg.AssetCheckSpec:
    """Return the definition of a check."""
    return dg.AssetCheckSpec(name=check.name, asset=dg.AssetKey(check.asset), description=check.description)


def result_of(check: Check, evaluation: Evaluation) -> dg.AssetCheckResult:
    """Return an evaluation as the result of a run's check. It never blocks: a failed check stops no work."""
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(check.asset),
        check_name=check.name,
        passed=not evaluation.alarming,
        severity=dg.AssetCheckSeverity.ERROR,
        description=evaluation.sentence,
        metadata=dict(evaluation.figures),
    )


def evaluation_of(check: Check, evaluation: Evaluation) -> dg.AssetCheckEvaluation:
    """Return an evaluation as an event that needs no run."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(check.asset),
        check_name=check.name,
        passed=not evaluation.alarming,
        severity=dg.AssetCheckSeverity.ERROR,
        description=evaluation.sentence,
        metadata=dict(evaluation.figures),
    )
