"""Builds a report from the queue's counts and the daily tables, for the command line and for Dagster.

It alone imports both packages, which do not import each other.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import Connection

from notaflow_pipeline.job_queue import metrics, queries
from notaflow_pipeline.reporting.days import today_in
from notaflow_pipeline.settings import Settings
from notaflow_pipeline.worker.assembly import configured_terms

if TYPE_CHECKING:
    from notaflow_pipeline.reporting.report_data import ReportData


def today(connection: Connection, settings: Settings) -> date:
    """Return the database's date in the configured zone."""
    return today_in(connection, settings.timezone)


def report(connection: Connection, settings: Settings, *, since: date, until: date) -> "ReportData":
    """Return the figures from `since` to `until`, both included, with the queue of the enabled sources as it is now."""
    # imports pandas, which every command would wait for
    from notaflow_pipeline.reporting.report_data import QueueNow, read_report_data

    terms = configured_terms(settings, None)
    counts = queries.count_queue(
        connection,
        sources=terms.sources,
        stuck_after=terms.stuck_after,
        exhausted_status=terms.exhausted_status,
    )
    queue = QueueNow(
        ready=counts.ready,
        active=counts.active,
        stuck=counts.stuck,
        backing_off=counts.backing_off,
        exhausted=counts.exhausted,
        done=counts.done,
        oldest_waiting_seconds=metrics.oldest_waiting_seconds(connection, sources=terms.sources),
    )
    return read_report_data(connection, queue=queue, since=since, until=until, timezone=settings.timezone)


def days_up_to(until: date, days: int) -> date:
    """Return the first of so many days that end with `until`."""
    return until - timedelta(days=days - 1)


def page_path(settings: Settings) -> Path:
    """Return where the page that Dagster keeps up to date lies; the newest alone, as the tables hold the past."""
    return settings.home.absolute() / "reports" / "dashboard.html"
