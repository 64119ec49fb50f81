"""Reads what a report shows of a range of days: the daily tables, and documents that failed or were read with low confidence.

The queue's counts are passed in, because `reporting` does not import `job_queue`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from psycopg import Connection
from psycopg.rows import class_row, scalar_row, tuple_row

from notaflow_pipeline.proportions import wilson_interval
from notaflow_pipeline.reporting.daily_tables.daily import ALL

DOCUMENTS_SHOWN = 15
"""The maximum of documents in a list, because a person looks at each."""

DOCUMENTS_LOOK_BACK = timedelta(days=30)
"""Lists of documents cover the last days of a range, so that their cost does not grow with the range."""

_PERFORMANCE = """
SELECT day, document_source, documents, pages, characters, duration_seconds_avg, duration_seconds_min,
       duration_seconds_p50, duration_seconds_p95, duration_seconds_max, wait_seconds_p50, wait_seconds_p95,
       attempts_avg, pages_per_minute, mean_confidence, low_confidence_documents, mean_coverage, low_coverage_documents
FROM ocr_daily_performance
WHERE day BETWEEN %(since)s AND %(until)s
ORDER BY day, document_source
"""

_FAILURE_RATE = """
SELECT day, document_source, attempts, attempts_failed, attempts_stuck, attempt_failure_rate, documents_finished,
       documents_exhausted, document_failure_rate, failure_rate_low, failure_rate_high
FROM ocr_daily_failure_rate
WHERE day BETWEEN %(since)s AND %(until)s
ORDER BY day, document_source
"""

_FAILURES_BY_KIND = """
SELECT day, document_source, failure_kind, attempts, documents
FROM ocr_daily_failures_by_kind
WHERE day BETWEEN %(since)s AND %(until)s
ORDER BY day, document_source, failure_kind
"""

# the index on finished_at bounds the work; the queue's rows are fetched for the few that are shown
_FAILING_DOCUMENTS = """
WITH failing AS (
    SELECT queue_id,
           count(*) AS failures,
           (array_agg(failure_kind ORDER BY id DESC))[1] AS failure_kind,
           max(finished_at) AS last_failed_at
    FROM ocr_attempt
    WHERE finished_at >= %(since)s::date::timestamp AT TIME ZONE %(timezone)s
      AND finished_at < (%(until)s::date + 1)::timestamp AT TIME ZONE %(timezone)s
      AND outcome IN ('failed', 'stuck')
    GROUP BY queue_id
    ORDER BY failures DESC, last_failed_at DESC, queue_id
    LIMIT %(at_most)s
)
SELECT COALESCE(q.document_number, f.queue_id::text) AS document_number,
       q.document_source,
       f.failures,
       COALESCE(f.failure_kind, 'stuck') AS failure_kind,
       f.last_failed_at,
       CASE
           WHEN q.id IS NULL THEN 'deleted'
           WHEN q.file_content IS NOT NULL THEN 'read'
           WHEN q.status_id = 6 THEN 'active'
           WHEN q.ocr_attempts >= COALESCE(q.ocr_max_attempts, 3) THEN 'exhausted'
           ELSE 'waiting'
       END AS state
FROM failing AS f
LEFT JOIN extraction_queue AS q ON q.id = f.queue_id
ORDER BY f.failures DESC, f.last_failed_at DESC, f.queue_id
"""

_LOWEST_CONFIDENCE_DOCUMENTS = """
WITH lowest_confidence AS (
    SELECT a.id, a.queue_id, a.mean_confidence, a.coverage, a.pages, a.finished_at
    FROM ocr_attempt AS a
    WHERE a.finished_at >= %(since)s::date::timestamp AT TIME ZONE %(timezone)s
      AND a.finished_at < (%(until)s::date + 1)::timestamp AT TIME ZONE %(timezone)s
      AND a.outcome = 'succeeded'
      AND a.mean_confidence IS NOT NULL
      AND NOT EXISTS (
          SELECT
          FROM ocr_attempt AS later
          WHERE later.queue_id = a.queue_id
            AND later.id > a.id
            AND later.outcome = 'succeeded'
      )
    ORDER BY a.mean_confidence, a.id
    LIMIT %(at_most)s
)
SELECT COALESCE(q.document_number, u.queue_id::text) AS document_number,
       q.document_source,
       u.mean_confidence,
       u.coverage,
       u.pages,
       u.finished_at AS read_at
FROM lowest_confidence AS u
LEFT JOIN extraction_queue AS q ON q.id = u.queue_id
ORDER BY u.mean_confidence, u.id
"""

# A day that is over is computed when its tables were written after its end; rows from before migration 018 have no time. Days
# whose attempts were deleted cannot be computed any more.
_DAYS_NOT_COMPUTED = """
SELECT day
FROM (
    SELECT day,
           day::timestamp AT TIME ZONE %(timezone)s AS starts_at,
           (day + 1)::timestamp AT TIME ZONE %(timezone)s AS ends_at
    FROM (
        SELECT %(since)s::date + number AS day
        FROM generate_series(0, %(until)s::date - %(since)s::date) AS number
    ) AS numbered
) AS days
WHERE NOT EXISTS (
    SELECT
    FROM ocr_daily_failure_rate AS written
    WHERE written.day = days.day
      AND written.document_source = 'all'
      AND (written.computed_at IS NULL OR days.ends_at > clock_timestamp()
           OR written.computed_at >= days.ends_at)
)
  AND EXISTS (
    SELECT
    FROM ocr_attempt
    WHERE finished_at >= days.starts_at
      AND finished_at < days.ends_at
      AND outcome IN ('succeeded', 'failed', 'stuck')
)
  AND NOT EXISTS (
    SELECT
    FROM ocr_attempts_pruned AS pruned
    WHERE pruned.finished_before > days.starts_at
)
ORDER BY day
"""

_CLOCK = "SELECT clock_timestamp()"


@dataclass(frozen=True)
class QueueSnapshot:
    """The queue at the moment of the report; ages in seconds, None when nothing waits."""

    ready: int
    active: int
    stuck: int
    backing_off: int
    exhausted: int
    done: int
    oldest_waiting_seconds: float | None
    refused: int = 0


@dataclass(frozen=True)
class FailingDocument:
    """A document with its failed attempts in the range; `state` is read, active, exhausted, waiting or deleted."""

    document_number: str
    document_source: str | None
    failures: int
    failure_kind: str
    last_failed_at: datetime
    state: str


@dataclass(frozen=True)
class LowConfidenceDocument:
    """A document whose text was recognised with little confidence (0 to 100), and its coverage (0 to 1)."""

    document_number: str
    document_source: str | None
    mean_confidence: float
    coverage: float | None
    pages: int | None
    read_at: datetime


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows, from `since` to `until`, both included, days of `timezone`.

    The three frames have the columns of the daily tables, and a row wherever those have one.
    """

    since: date
    until: date
    timezone: str
    written_at: datetime
    queue: QueueSnapshot
    performance: pd.DataFrame
    failure_rate: pd.DataFrame
    failures_by_kind: pd.DataFrame
    failing_documents: Sequence[FailingDocument]
    lowest_confidence_documents: Sequence[LowConfidenceDocument]
    days_not_computed: Sequence[date]
    """Days with attempts that the daily tables lack, or of which they have only a part."""

    @property
    def sources(self) -> list[str]:
        """The sources that the tables name, the sum first."""
        named = {*self.performance["document_source"], *self.failure_rate["document_source"]}
        return sorted(named | {ALL}, key=lambda source: (source != ALL, source))

    @property
    def documents_since(self) -> date:
        """The first day in which single documents were looked for."""
        return _documents_since(self.since, self.until)

    def totals(self, source: str = ALL) -> Mapping[str, float | None]:
        """Return the sums of the range; rates and means are None where nothing was counted."""
        read = self.performance[self.performance["document_source"] == source]
        tried = self.failure_rate[self.failure_rate["document_source"] == source]
        attempts = float(tried["attempts"].sum())
        failed = float(tried["attempts_failed"].sum() + tried["attempts_stuck"].sum())
        low, high = wilson_interval(int(failed), int(attempts)) or (None, None)
        return {
            "documents": float(read["documents"].sum()),
            "pages": float(read["pages"].sum()),
            "low_confidence_documents": float(read["low_confidence_documents"].sum()),
            "mean_confidence": weighted_mean(read, "mean_confidence"),
            "low_coverage_documents": float(read["low_coverage_documents"].sum()),
            "mean_coverage": weighted_mean(read, "mean_coverage"),
            "attempts": attempts,
            "attempts_failed": failed,
            "attempt_failure_rate": failed / attempts if attempts else None,
            "failure_rate_low": low,
            "failure_rate_high": high,
            "documents_exhausted": float(tried["documents_exhausted"].sum()),
        }

    def kinds(self, source: str = ALL) -> list[tuple[str, int, int]]:
        """Return each kind of failure with its attempts and documents over the range, the most frequent first."""
        rows = self.failures_by_kind[self.failures_by_kind["document_source"] == source]
        sums = rows.groupby("failure_kind")[["attempts", "documents"]].sum().reset_index()
        sums = sums.sort_values(["attempts", "failure_kind"], ascending=[False, True])
        columns = (sums["failure_kind"], sums["attempts"], sums["documents"])
        return [(str(kind), int(attempts), int(documents)) for kind, attempts, documents in zip(*columns, strict=True)]


def read_report_data(
    connection: Connection,
    *,
    queue: QueueSnapshot,
    since: date,
    until: date,
    timezone: str,
) -> ReportData:
    """Read what a report shows.

    Args:
        connection: to the database with the daily tables.
        queue: the queue's counts, from `job_queue`.
        since: first day.
        until: last day, included.
        timezone: in which the daily tables were computed.
    """
    days = {"since": since, "until": until}
    lists = {
        "since": _documents_since(since, until),
        "until": until,
        "timezone": timezone,
        "at_most": DOCUMENTS_SHOWN,
    }
    with connection.cursor(row_factory=class_row(FailingDocument)) as cursor:
        failing = cursor.execute(_FAILING_DOCUMENTS, lists).fetchall()
    with connection.cursor(row_factory=class_row(LowConfidenceDocument)) as cursor:
        lowest_confidence = cursor.execute(_LOWEST_CONFIDENCE_DOCUMENTS, lists).fetchall()
    with connection.cursor(row_factory=scalar_row) as cursor:
        days_not_computed = cursor.execute(_DAYS_NOT_COMPUTED, days | {"timezone": timezone}).fetchall()
        now = cursor.execute(_CLOCK).fetchone()
    assert isinstance(now, datetime)  # noqa: S101 - a clock always answers
    return ReportData(
        since=since,
        until=until,
        timezone=timezone,
        written_at=now,
        queue=queue,
        performance=_table(connection, _PERFORMANCE, days),
        failure_rate=_table(connection, _FAILURE_RATE, days),
        failures_by_kind=_table(connection, _FAILURES_BY_KIND, days),
        failing_documents=failing,
        lowest_confidence_documents=lowest_confidence,
        days_not_computed=days_not_computed,
    )


def weighted_mean(rows: pd.DataFrame, name: str) -> float | None:
    """Return the mean of a figure of days, each weighted by its documents; None where no day has it."""
    # a page of a year has ten thousand of these means, for which pandas took 7 s of CPU time
    figures, documents = (rows[column].to_numpy(dtype="float64") for column in (name, "documents"))
    known = ~(np.isnan(figures) | np.isnan(documents))
    weight = float(documents[known].sum())
    return float((figures[known] * documents[known]).sum()) / weight if weight else None


def _documents_since(since: date, until: date) -> date:
    return max(since, until - DOCUMENTS_LOOK_BACK + timedelta(days=1))


def _table(connection: Connection, statement: str, days: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows with every figure as a float, NaN where the table has NULL."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(statement, days)
        names = [column.name for column in cursor.description or ()]
        frame = pd.DataFrame(cursor.fetchall(), columns=names)
    words = ["day", "document_source", "failure_kind"]
    return frame.astype({name: "float64" for name in names if name not in words})
