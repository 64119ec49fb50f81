"""Splits a report into the periods that a reader can choose, and each period into days or, when it is long, weeks.

Charts, tables and sums of a period are computed from the same rows, so they agree.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pandas as pd

from notaflow_pipeline.proportions import wilson_interval
from notaflow_pipeline.reporting.report.report_data import ReportData, weighted_mean

SPANS = (7, 30, 90, 365)
"""Numbers of days that a reader can choose, if the report has more."""

WHOLE_RANGE = 0
"""The span of the period that shows every day of the report."""

MAX_DAYS_SHOWN_DAILY = 92
"""Longer periods are shown by weeks: weekdays and weekends of a year are too close together to be told apart."""

MIN_ATTEMPTS_FOR_RATE = 20
"""With fewer attempts no rate is shown: the 95 % interval of 0 failures in 20 already reaches 16 %."""

_SUMS = (
    "documents",
    "pages",
    "low_confidence_documents",
    "low_coverage_documents",
    "attempts",
    "attempts_failed",
    "attempts_stuck",
)

_MEANS = (
    "wait_seconds_p50",
    "wait_seconds_p95",
    "duration_seconds_p50",
    "duration_seconds_p95",
    "attempts_avg",
    "mean_confidence",
    "mean_coverage",
)
"""Weeks show the mean of their days, each weighted by its documents; the tables do not suffice for percentiles of a week."""


@dataclass(frozen=True)
class Period:
    """The last days of a report.

    Attributes:
        span: how many days, or `WHOLE_RANGE`.
        report: these days only.
        bin_days: 1 or 7, how many days a point of a chart stands for.
    """

    span: int
    report: ReportData
    bin_days: int

    def bin_start(self, day: date) -> date:
        """Return the day, or the first day of its week that is in the period; weeks begin on Monday."""
        if self.bin_days == 1:
            return day
        return max(self.report.since, day - timedelta(days=day.weekday()))

    def bin_end(self, start: date) -> date:
        """Return the day after the last one of a bin, as far as it is in the period."""
        if self.bin_days == 1:
            return start + timedelta(days=1)
        return min(self.report.until, start + timedelta(days=6 - start.weekday())) + timedelta(days=1)


def periods_of(report: ReportData) -> list[Period]:
    """Return the periods that are shorter than the report, shortest first, then the whole range."""
    days = (report.until - report.since).days + 1
    shorter = [_period(report, span, report.until - timedelta(days=span - 1)) for span in SPANS if span < days]
    return [*shorter, whole_range(report)]


def whole_range(report: ReportData) -> Period:
    """Return the period that shows every day of a report."""
    return _period(report, WHOLE_RANGE, report.since)


def rows_of_period(period: Period) -> pd.DataFrame:
    """Return a row per bin and source with every figure, bins without any included, so that gaps are seen as gaps."""
    report = period.report
    keys = ["day", "document_source"]
    rows = report.performance.merge(report.failure_rate, on=keys, how="outer")
    rows["minutes"] = rows["pages"] / rows["pages_per_minute"]
    if period.bin_days > 1:
        rows["day"] = [period.bin_start(day) for day in rows["day"]]
        rows = pd.DataFrame([_combined(key, part) for key, part in rows.groupby(keys)], columns=rows.columns)
    every = pd.MultiIndex.from_product([pd.Index(_bins(period), dtype="object"), report.sources], names=keys)
    rows = rows.set_index(keys).reindex(every).reset_index()
    rows["attempts_succeeded"] = rows["attempts"] - rows["attempts_failed"] - rows["attempts_stuck"]
    rows.loc[
        ~(rows["attempts"] >= MIN_ATTEMPTS_FOR_RATE),
        ["attempt_failure_rate", "failure_rate_low", "failure_rate_high"],
    ] = float("nan")
    return rows


def _period(report: ReportData, span: int, since: date) -> Period:
    days = (report.until - since).days + 1
    restricted = replace(
        report,
        since=since,
        performance=report.performance[report.performance["day"] >= since],
        failure_rate=report.failure_rate[report.failure_rate["day"] >= since],
        failures_by_kind=report.failures_by_kind[report.failures_by_kind["day"] >= since],
        days_not_computed=[day for day in report.days_not_computed if day >= since],
    )
    return Period(span, restricted, 7 if days > MAX_DAYS_SHOWN_DAILY else 1)


def _bins(period: Period) -> list[date]:
    days = (period.report.until - period.report.since).days + 1
    return list(dict.fromkeys(period.bin_start(period.report.since + timedelta(days=n)) for n in range(days)))


def _combined(key: tuple[Any, ...], rows: pd.DataFrame) -> dict[str, object]:
    """Return one row for the days of a week."""
    sums = {name: float(rows[name].sum(min_count=1)) for name in _SUMS}
    means = {name: weighted_mean(rows, name) for name in _MEANS}
    minutes = float(rows["minutes"].sum())
    attempts, failed = sums["attempts"], sums["attempts_failed"] + sums["attempts_stuck"]
    interval = wilson_interval(int(failed), int(attempts)) if attempts > 0 else None
    return {
        "day": key[0],
        "document_source": key[1],
        **sums,
        **means,
        "pages_per_minute": sums["pages"] / minutes if minutes > 0 else None,
        "attempt_failure_rate": failed / attempts if attempts > 0 else None,
        "failure_rate_low": interval[0] if interval else None,
        "failure_rate_high": interval[1] if interval else None,
    }
