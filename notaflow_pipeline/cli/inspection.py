"""Commands that read the queue and change nothing: `status`, `show`, `export`."""

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from psycopg import Connection
from rich.live import Live
from rich.table import Table

from notaflow_pipeline.cli.context import TIME_FORMATS, in_zone, local_time, open_database
from notaflow_pipeline.cli.output import Json, app, console, print_json, print_line
from notaflow_pipeline.job_queue import metrics, queries
from notaflow_pipeline.job_queue.model import Attempt
from notaflow_pipeline.job_queue.named_documents import find_documents
from notaflow_pipeline.job_queue.pause import current_pause
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.reporting.report.locale_format import LocaleFormat
from notaflow_pipeline.settings import Settings, SettingsError, load_settings
from notaflow_pipeline.worker.claim_terms import configured_terms

WATCH_SECONDS = 2
"""Minimum time between two refreshes."""

FORMAT = LocaleFormat("en")


@app.command(rich_help_panel="Inspect")
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every few seconds until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Count the documents in each state, with the oldest waiting one and today's figures."""
    settings = load_settings()
    if watch and as_json:
        raise SettingsError("--watch and --json cannot be combined")
    with open_database(settings) as connection:
        if as_json:
            print_json(_status(connection, settings))
        elif watch:
            _watch(connection, settings)
        else:
            console.print(_status_table(_status(connection, settings), settings))


def _watch(connection: Connection, settings: Settings) -> None:
    """Refresh the status until a signal ends the process."""
    with Live(console=console, refresh_per_second=4) as live:
        while True:
            began = time.monotonic()
            live.update(_status_table(_status(connection, settings), settings))
            time.sleep(pause_seconds(time.monotonic() - began))


def pause_seconds(taken_seconds: float) -> float:
    """Return the pause before the next count: counting reads all rows, so it may take a tenth of the time."""
    return max(WATCH_SECONDS, 9 * taken_seconds)


def _status(connection: Connection, settings: Settings) -> dict[str, Any]:
    terms = configured_terms(settings, None)
    counts = queries.count_queue(
        connection,
        sources=terms.sources,
        stuck_after=terms.stuck_after,
        exhausted_status=terms.exhausted_status,
    )
    today = queries.count_today(connection, sources=terms.sources, timezone=settings.timezone)
    ended = today["succeeded_today"] + today["failed_today"]
    return {
        **asdict(counts),
        "oldest_waiting_seconds": metrics.oldest_waiting_seconds(connection, sources=terms.sources),
        **today,
        "failure_rate_today": today["failed_today"] / ended if ended else None,
        "paused": pause.reason if (pause := current_pause(connection)) else None,
    }


def _status_table(figures: dict[str, Any], settings: Settings) -> Table:
    table = Table("state", "documents", title=f"OCR queue, {local_time(datetime.now(UTC), settings, seconds=True)}")
    for state in ("ready", "refused", "active", "stuck", "backing_off", "exhausted", "done", "to_reread"):
        table.add_row(state.replace("_", " "), FORMAT.number(figures[state]))
    waiting, rate = figures["oldest_waiting_seconds"], figures["failure_rate_today"]
    table.add_section()
    table.add_row("oldest waiting", "none" if waiting is None else FORMAT.seconds(waiting))
    table.add_row(
        "today", f"{FORMAT.number(figures['succeeded_today'])} read, {count_of(figures['pages_today'], 'page')}"
    )
    if figures["paused"] is not None:
        table.add_row("paused", figures["paused"])
    table.add_row("failure rate today", "none yet" if rate is None else f"{100 * rate:.1f} % of attempts")
    return table


@app.command(rich_help_panel="Inspect")
def show(
    id_or_number: Annotated[
        str, typer.Argument(metavar="ID-or-number", help="The row's id, or the document's number.")
    ],
    as_json: Json = False,
) -> None:
    """Print a document's row, its attempts and its text."""
    settings = load_settings()
    with open_database(settings) as connection:
        for job in find_documents(connection, id_or_number):
            attempts = queries.attempts_of_document(connection, job.id)
            text = queries.text_of(connection, job.id)
            if as_json:
                print_json({**asdict(job), "attempts": [asdict(one) for one in attempts], "file_content": text})
                continue
            for name, value in asdict(job).items():
                shown = local_time(value, settings, seconds=True) if isinstance(value, datetime) else value
                print_line(f"{name:20} {'' if shown is None else shown}")
            print_line("")
            for one in attempts:
                _print_attempt(one, settings)
            console.print(text or "", markup=False, highlight=False, soft_wrap=True)


def _print_attempt(one: Attempt, settings: Settings) -> None:
    """Print an attempt in two or three lines, so that its error has the terminal's whole width."""
    state = one.outcome or "active"
    held = "" if one.outcome else f", lease until {local_time(one.lease_expires_at, settings)}"
    claimed = f"claimed {local_time(one.claimed_at, settings, seconds=True)} by {one.worker_id}"
    print_line(f"attempt {one.attempt_number} (claim {one.id}): {state}, {claimed}{held}")
    read = f"{one.pages - (one.pages_failed or 0)} of " if one.pages and one.pages_failed else ""
    figures = [] if one.pages is None else [f"{read}{count_of(one.pages, 'page')}"]
    if one.mean_confidence is not None:
        figures.append(f"confidence {one.mean_confidence:.1f}")
    if one.coverage is not None:
        figures.append(f"coverage {one.coverage:.2f}")
    if figures:
        print_line(f"    {', '.join(figures)}")
    if one.error:
        kind = "" if one.failure_kind is None or one.error.startswith(one.failure_kind) else f"{one.failure_kind}: "
        print_line(f"    {kind}{one.error}")


@app.command(rich_help_panel="Inspect")
def export(
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=TIME_FORMATS,
            metavar="TIME",
            help="Only documents that ended at or after this time (NOTAFLOW_TIMEZONE), such as 2025-11-01.",
        ),
    ] = None,
    _as_json: Json = True,
) -> None:
    """Print every document as a line of JSON, with its text."""
    settings = load_settings()
    with open_database(settings) as connection:
        for row in queries.export(connection, sources=settings.sources, since=in_zone(since, settings)):
            print_json(row)
