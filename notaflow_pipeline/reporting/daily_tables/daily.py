"""Computes the three daily tables from a day's attempts, by source and for `all`. Pure functions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from notaflow_pipeline.proportions import wilson_interval

ALL = "all"
"""The source of the row with the sum, which each table has even on a day without attempts."""


@dataclass(frozen=True)
class DailyTables:
    """The rows of a day in `ocr_daily_performance`, `ocr_daily_failure_rate` and `ocr_daily_failures_by_kind`."""

    performance: pd.DataFrame
    failure_rate: pd.DataFrame
    failures_by_kind: pd.DataFrame


def daily_tables(attempts: pd.DataFrame, *, low_confidence: float, low_coverage: float) -> DailyTables:
    """Count the attempts that finished on a day.

    Args:
        attempts: as `attempts.read_attempts` returns them: released and superseded ones do not count.
        low_confidence: below how much mean confidence, 0 to 100, a document counts as one of low confidence.
        low_coverage: below how much coverage, 0 to 1, a document counts as one with possible gaps.
    """
    return DailyTables(
        performance=_by_source(attempts, lambda part: _performance(part, low_confidence, low_coverage)),
        failure_rate=_by_source(attempts, _failure_rate),
        failures_by_kind=_failures_by_kind(attempts),
    )


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows as plain values; missing values are None."""
    records = table.astype(object).to_dict("records")
    return [{str(name): None if pd.isna(value) else value for name, value in record.items()} for record in records]


def _performance(attempts: pd.DataFrame, low_confidence: float, low_coverage: float) -> dict[str, object]:
    """Return a row of `ocr_daily_performance`; every column is of succeeded attempts.

    A document that was read twice on the day counts once in `documents`. `pages_per_minute` divides the pages by the sum of
    the durations, `mean_confidence` is the mean of the attempts' own means, `mean_coverage` that of their coverage.
    """
    read = attempts[attempts["outcome"] == "succeeded"]
    durations, waits = read["duration_seconds"], read["wait_seconds"]
    pages, minutes = int(read["pages"].sum()), durations.sum() / 60
    return {
        "documents": read["document"].nunique(),
        "pages": pages,
        "characters": int(read["characters"].sum()),
        "duration_seconds_avg": durations.mean(),
        "duration_seconds_min": durations.min(),
        "duration_seconds_p50": durations.quantile(0.5),
        "duration_seconds_p95": durations.quantile(0.95),
        "duration_seconds_max": durations.max(),
        "wait_seconds_p50": waits.quantile(0.5),
        "wait_seconds_p95": waits.quantile(0.95),
        "attempts_avg": read["attempt_number"].mean(),
        "pages_per_minute": pages / minutes if minutes > 0 else None,
        "mean_confidence": read["mean_confidence"].mean(),
        "low_confidence_documents": read.loc[read["mean_confidence"] < low_confidence, "document"].nunique(),
        "mean_coverage": read["coverage"].mean(),
        "low_coverage_documents": read.loc[read["coverage"] < low_coverage, "document"].nunique(),
    }


def _failure_rate(attempts: pd.DataFrame) -> dict[str, object]:
    """Return a row of `ocr_daily_failure_rate`.

    A document *finished* on the day when one of its attempts succeeded or exhausted it; it was *exhausted* on the day when a
    failed or stuck attempt used up its maximum and left it without a text. One that was exhausted in the morning, requeued
    and read in the afternoon is both. A document that failed and will be tried again is neither.
    """
    outcomes = attempts["outcome"]
    failed, stuck = int((outcomes == "failed").sum()), int((outcomes == "stuck").sum())
    interval = wilson_interval(failed + stuck, len(attempts))
    exhausted = attempts.loc[attempts["exhausted"], "document"].nunique()
    finished = attempts.loc[attempts["exhausted"] | (outcomes == "succeeded"), "document"].nunique()
    return {
        "attempts": len(attempts),
        "attempts_failed": failed,
        "attempts_stuck": stuck,
        "attempt_failure_rate": (failed + stuck) / len(attempts) if len(attempts) else None,
        "documents_finished": finished,
        "documents_exhausted": exhausted,
        "document_failure_rate": exhausted / finished if finished else None,
        "failure_rate_low": interval[0] if interval else None,
        "failure_rate_high": interval[1] if interval else None,
    }


def _failures_by_kind(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `ocr_daily_failures_by_kind`: failed and stuck attempts, and the documents that they concern."""
    failures = attempts[attempts["outcome"] != "succeeded"]
    counted = [
        part.groupby("failure_kind", observed=True)["document"]
        .agg(attempts="size", documents="nunique")
        .reset_index()
        .assign(document_source=source)
        for source, part in _parts(failures)
    ]
    return pd.concat(counted)[["document_source", "failure_kind", "attempts", "documents"]].reset_index(drop=True)


def _by_source(attempts: pd.DataFrame, row_of: Callable[[pd.DataFrame], dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{"document_source": source, **row_of(part)} for source, part in _parts(attempts)])


def _parts(attempts: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the attempts of each source that has any, then all of them."""
    for source in sorted(attempts["document_source"].unique()):
        yield str(source), attempts[attempts["document_source"] == source]
    yield ALL, attempts
