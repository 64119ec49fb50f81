"""Converts the verdicts of `health_checks` into results of asset checks, with their figures as metadata."""

import dagster as dg

from notaflow_pipeline.alerting.thresholds import Verdict
from notaflow_pipeline.health_checks import Check


def spec_of(check: Check) -> dg.AssetCheckSpec:
    """Return what Dagster knows of a check before it is asked."""
    return dg.AssetCheckSpec(name=check.name, asset=dg.AssetKey(check.asset), description=check.description)


def result_of(check: Check, verdict: Verdict) -> dg.AssetCheckResult:
    """Return a verdict as the result of a run's check. It never blocks: a figure that alarms stops no work."""
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(check.asset),
        check_name=check.name,
        passed=not verdict.alarming,
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.sentence,
        metadata=dict(verdict.figures),
    )


def evaluation_of(check: Check, verdict: Verdict) -> dg.AssetCheckEvaluation:
    """Return a verdict as an event that needs no run."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(check.asset),
        check_name=check.name,
        passed=not verdict.alarming,
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.sentence,
        metadata=dict(verdict.figures),
    )
