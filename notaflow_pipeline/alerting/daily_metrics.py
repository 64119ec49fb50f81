"""Reads the figures of the last days from the daily tables, for the checks."""

from dataclasses import dataclass
from datetime import date

from psycopg import Connection
from psycopg.rows import class_row

from notaflow_pipeline.alerting.thresholds import TRAILING_DAYS, Measure, Share

DAYS_READ = TRAILING_DAYS + 2
"""The evaluated day, today or yesterday, and the days that it is compared with."""

_RATES = """
SELECT day, attempts, attempts_failed + attempts_stuck AS attempts_failed, documents_finished, documents_exhausted
FROM ocr_daily_failure_rate
WHERE document_source = 'all'
  AND day > %(today)s - %(days)s::integer
"""

_MEASURES = """
SELECT day, documents, duration_seconds_p95, mean_confidence, mean_coverage
FROM ocr_daily_performance
WHERE document_source = 'all'
  AND day > %(today)s - %(days)s::integer
"""


@dataclass(frozen=True)
class DailyRates:
    """How many attempts and documents ended on a day over all sources, and how many failed."""

    day: date
    attempts: int
    attempts_failed: int
    documents_finished: int
    documents_exhausted: int

    @property
    def failed_attempts(self) -> Share:
        """Failed and stuck attempts of all that count."""
        return Share(self.day, self.attempts_failed, self.attempts)

    @property
    def exhausted_documents(self) -> Share:
        """Exhausted documents of all that finished."""
        return Share(self.day, self.documents_exhausted, self.documents_finished)


@dataclass(frozen=True)
class DailyMeasures:
    """Duration, confidence and coverage of a day's documents over all sources."""

    day: date
    documents: int
    duration_seconds_p95: float | None
    mean_confidence: float | None
    mean_coverage: float | None

    @property
    def duration(self) -> Measure:
        """The 95th percentile of seconds from claim to end."""
        return Measure(self.day, self.duration_seconds_p95, self.documents)

    @property
    def confidence(self) -> Measure:
        """The mean confidence, 0 to 100."""
        return Measure(self.day, self.mean_confidence, self.documents)

    @property
    def coverage(self) -> Measure:
        """The mean coverage, in percent."""
        percent = None if self.mean_coverage is None else 100 * self.mean_coverage
        return Measure(self.day, percent, self.documents)


def read_daily_rates(connection: Connection, today: date) -> list[DailyRates]:
    """Return the failure rates of the last days that have any."""
    with connection.cursor(row_factory=class_row(DailyRates)) as cursor:
        return cursor.execute(_RATES, {"today": today, "days": DAYS_READ}).fetchall()


def read_daily_measures(connection: Connection, today: date) -> list[DailyMeasures]:
    """Return durations, confidence and coverage of the last days that have any."""
    with connection.cursor(row_factory=class_row(DailyMeasures)) as cursor:
        return cursor.execute(_MEASURES, {"today": today, "days": DAYS_READ}).fetchall()
