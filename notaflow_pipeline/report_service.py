"""Builds a report from the queue's counts and the daily tables, for the command line and for Dagster.

Both packages are independent; only this module imports both.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import Connection
from psycopg.errors import InsufficientPrivilege, LockNotAvailable, ReadOnlySqlTransaction

from notaflow_pipeline.job_queue import metrics, queries
from notaflow_pipeline.reporting.daily_tables.days import today_in
from notaflow_pipeline.reporting.daily_tables.due_days import days_not_computed
from notaflow_pipeline.settings import Settings
from notaflow_pipeline.worker.claim_terms import configured_terms

if TYPE_CHECKING:
    from notaflow_pipeline.reporting.report.report_data import ReportData

MAX_COMPUTED_DAYS = 31
"""Days that the report computes at once: a month, which takes some seconds."""


@dataclass(frozen=True)
class MissingDays:
    """Days whose tables were missing or out of date: those that were computed now, and those that still are missing."""

    computed: tuple[date, ...]
    missing: tuple[date, ...]
    reason: str = ""
    """Why some are still missing."""


def compute_missing_days(connection: Connection, settings: Settings, *, since: date, until: date) -> MissingDays:
    """Compute the daily tables that are missing or out of date, newest first; at most 31, the others are named.

    Days without attempts that ended are not missing. Nothing is raised when this login may not write the tables, or another
    process is writing them: the days are then named as missing.

    Args:
        connection: outside any transaction.
        settings: time zone, first day, and limits of confidence and coverage.
        since: the first day.
        until: the last day, included.
    """
    from notaflow_pipeline.reporting.daily_tables.daily_storage import (
        write_day,  # imports pandas, which slows the start of commands
    )

    now = today_in(connection, settings.timezone)
    first, zone = max(since, settings.partitions_start), settings.timezone
    days = days_not_computed(connection, today=now, first=first, last=until, timezone=zone)
    computed: list[date] = []
    reason = f"Only the last {MAX_COMPUTED_DAYS} are computed at once; the next report computes more."
    for day in reversed(days[-MAX_COMPUTED_DAYS:]):
        try:
            write_day(
                connection,
                day,
                timezone=zone,
                low_confidence=settings.low_confidence,
                low_coverage=settings.low_coverage,
            )
        except (InsufficientPrivilege, ReadOnlySqlTransaction):
            reason = "This login may not write the daily tables."
            break
        except LockNotAvailable:
            reason = "Another process is writing the daily tables."
            break
        computed.append(day)
    missing = tuple(day for day in days if day not in computed)
    return MissingDays(tuple(sorted(computed)), missing, reason if missing else "")


def read_report(connection: Connection, settings: Settings, *, since: date, until: date) -> "ReportData":
    """Return the figures from `since` to `until`, both included, with the queue of the enabled sources as it is now."""
    # imports pandas, which every command would wait for
    from notaflow_pipeline.reporting.report.report_data import QueueSnapshot, read_report_data

    terms = configured_terms(settings, None)
    counts = queries.count_queue(
        connection,
        sources=terms.sources,
        stuck_after=terms.stuck_after,
        exhausted_status=terms.exhausted_status,
    )
    queue = QueueSnapshot(
        ready=counts.ready,
        refused=counts.refused,
        active=counts.active,
        stuck=counts.stuck,
        backing_off=counts.backing_off,
        exhausted=counts.exhausted,
        done=counts.done,
        oldest_waiting_seconds=metrics.oldest_waiting_seconds(connection, sources=terms.sources),
    )
    return read_report_data(connection, queue=queue, since=since, until=until, timezone=settings.timezone)


def first_day_of_period(until: date, days: int) -> date:
    """Return the first day of the period of this many days whose last day is `until`."""
    return until - timedelta(days=days - 1)


def dashboard_path(settings: Settings) -> Path:
    """Return the path of the page that Dagster writes; each page replaces the one before, and the tables keep all days."""
    return settings.home.absolute() / "reports" / "dashboard.html"
