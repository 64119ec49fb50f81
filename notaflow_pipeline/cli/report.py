"""The command `report`: the daily tables in the terminal, as JSON, or as a page with charts."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from notaflow_pipeline.cli.context import open_database
from notaflow_pipeline.cli.output import Json, app, console, print_json, print_line, warn
from notaflow_pipeline.reporting.daily_tables.days import today_in
from notaflow_pipeline.reporting.report.locale_format import LocaleFormat
from notaflow_pipeline.settings import SettingsError, load_settings

if TYPE_CHECKING:
    import pandas as pd

    from notaflow_pipeline.report_service import MissingDays
    from notaflow_pipeline.reporting.report.report_data import ReportData

DAYS = 30
"""Days that are shown without --from."""

DAY_FORMATS = ["%Y-%m-%d"]

MAX_DAYS = 3660
"""Ten years. A longer range is a typing error, and a chart has a point for each day."""


MAX_DAYS_NAMED = 5
"""Days that a message names one by one."""


class PageLanguage(StrEnum):
    """The language in which a page opens."""

    FRENCH = "fr"
    ENGLISH = "en"


@app.command(rich_help_panel="Inspect")
def report(
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=DAY_FORMATS,
            metavar="DAY",
            help=f"First day, such as 2025-11-01; {DAYS} days if not given.",
        ),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=DAY_FORMATS, metavar="DAY", help="Last day, included; today if not given."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts to this file.", dir_okay=False)] = None,
    language: Annotated[
        PageLanguage | None,
        typer.Option(help="Language in which the page opens; the browser's if not given. The page contains both."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the daily tables, the queue and the documents that need attention; with --html as a page with charts."""
    # they import pandas and the charts, which would slow the start of every command
    from notaflow_pipeline import report_service
    from notaflow_pipeline.atomic_files import write_atomically
    from notaflow_pipeline.reporting.report.html_page import render_page
    from notaflow_pipeline.reporting.report.tables import missing_days_notice

    settings = load_settings()
    with open_database(settings) as connection:
        today = today_in(connection, settings.timezone)
        until = last.date() if last else today
        since = first.date() if first else report_service.first_day_of_period(until, DAYS)
        _require_range(since, until, today)
        days = report_service.compute_missing_days(connection, settings, since=since, until=until)
        figures = report_service.read_report(connection, settings, since=since, until=until)
    if html is not None:
        write_atomically(render_page(figures, language=None if language is None else language.value), html)
    if as_json:
        print_json({**_as_json(figures, html), "days_computed": days.computed})
    elif html is not None:
        print_line(f"Wrote {html}: {since} to {until}.")
    else:
        for table in _tables(figures):
            console.print(table)
        if figures.failure_rate.empty:
            print_line(f"No attempt ended from {since} to {until}, so there are no daily figures.")
    if not as_json:
        _print_days(days, missing_days_notice(figures, "en"))


def _print_days(days: "MissingDays", missing: str | None) -> None:
    """Print to stderr which days were computed now, which are still missing, and why."""
    if days.computed:
        warn(f"computed the daily tables of {_named(days.computed)}, which were missing or out of date")
    if missing:
        warn(f"{missing} {days.reason}".rstrip())


def _named(days: Sequence[date]) -> str:
    """Return a few days by name, or many by number and range."""
    if len(days) <= MAX_DAYS_NAMED:
        return ", ".join(map(str, days))
    return f"{len(days)} days from {days[0]} to {days[-1]}"


def _require_range(since: date, until: date, latest: date) -> None:
    if since > until:
        raise SettingsError(f"--from {since} is after --to {until}")
    if until > latest:
        raise SettingsError(f"--to {until} is in the future; the last day can be {latest}")
    if (until - since).days >= MAX_DAYS:
        raise SettingsError(f"--from {since} --to {until} are more than ten years")


def _as_json(figures: "ReportData", html: Path | None) -> dict[str, Any]:
    return {
        "from": figures.since,
        "to": figures.until,
        "timezone": figures.timezone,
        "written_at": figures.written_at,
        "queue": asdict(figures.queue),
        "days_not_computed": figures.days_not_computed,
        "totals": dict(figures.totals()),
        "ocr_daily_performance": _records(figures.performance),
        "ocr_daily_failure_rate": _records(figures.failure_rate),
        "ocr_daily_failures_by_kind": _records(figures.failures_by_kind),
        "failing_documents": [asdict(one) for one in figures.failing_documents],
        "lowest_confidence_documents": [asdict(one) for one in figures.lowest_confidence_documents],
        "html": html,
    }


def _records(frame: "pd.DataFrame") -> Any:
    """Return rows with null for absent figures, because JSON has no NaN."""
    dated = frame.convert_dtypes().assign(day=frame["day"].astype(str))  # days without attempts have made counts floats
    return json.loads(dated.to_json(orient="records", double_precision=15))


def _tables(figures: "ReportData") -> Sequence[Table]:
    """Return the tables for a terminal; values from rows are text, never markup."""
    queue = _table("Queue now", "state", "documents")
    for state, count in asdict(figures.queue).items():
        if state != "oldest_waiting_seconds":
            _add(queue, state.replace("_", " "), _FORMAT.number(count))
    _add(queue, "oldest waiting", _FORMAT.seconds(figures.queue.oldest_waiting_seconds))

    read = _table("Read", "day", "source", "documents", "pages", "confidence", "coverage")
    times = _table("Time and waiting time per document", "day", "source", "median", "p95", "wait median", "wait p95")
    for row in figures.performance.to_dict("records"):
        day = (row["day"], row["document_source"])
        quality = (_FORMAT.number(row["mean_confidence"], 1), _FORMAT.percent(row["mean_coverage"]))
        _add(read, *day, _FORMAT.number(row["documents"]), _FORMAT.number(row["pages"]), *quality)
        durations = ("duration_seconds_p50", "duration_seconds_p95", "wait_seconds_p50", "wait_seconds_p95")
        _add(times, *day, *(_FORMAT.seconds(row[name]) for name in durations))

    failed = _table(
        "Failure rate", "day", "source", "attempts", "failed", "stuck", "rate", "95 % interval", "exhausted"
    )
    for row in figures.failure_rate.to_dict("records"):
        low, high = _FORMAT.percent(row["failure_rate_low"]), _FORMAT.percent(row["failure_rate_high"])
        interval = f"{low.removesuffix('%')}\N{EN DASH}{high}" if row["attempts"] else ""
        counts = ("attempts", "attempts_failed", "attempts_stuck")
        _add(
            failed,
            *(row["day"], row["document_source"], *(_FORMAT.number(row[name]) for name in counts)),
            *(_FORMAT.percent(row["attempt_failure_rate"]), interval),
            _FORMAT.number(row["documents_exhausted"]),
        )

    kinds = _table("Failures by kind", "kind", "attempts", "documents")
    for kind, attempts, documents in figures.kinds():
        _add(kinds, kind, attempts, documents)

    failing = _table(
        f"Failing documents since {figures.documents_since}", "document", "failures", "last kind", "state now"
    )
    for one in figures.failing_documents:
        _add(failing, one.document_number, one.failures, one.failure_kind, one.state)

    since = figures.documents_since
    lowest_confidence = _table(f"Lowest confidence since {since}", "document", "confidence", "coverage", "pages")
    for other in figures.lowest_confidence_documents:
        quality = (_FORMAT.number(other.mean_confidence, 1), _FORMAT.percent(other.coverage))
        _add(lowest_confidence, other.document_number, *quality, other.pages)
    lowest_confidence.caption = "notaflow view NUMBER shows the scan and the text side by side"
    return [queue, *(table for table in (read, times, failed, kinds, failing, lowest_confidence) if table.row_count)]


def _table(title: str, first: str, *others: str) -> Table:
    # one blank beside each figure instead of two, so that the widest table fits into 80 columns
    table = Table(title=title, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=first == "day")
    for name in others:
        table.add_column(name, justify="left" if name in {"source", "last kind", "state now"} else "right")
    for column in table.columns:
        column.overflow = "fold"  # a narrow terminal shows every digit
    return table


def _add(table: Table, *cells: object) -> None:
    table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells))


_FORMAT = LocaleFormat("en")
