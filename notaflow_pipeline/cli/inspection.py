"""Commands that show the queue and change nothing: `status`, `show`, `export`."""

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from psycopg import Connection
from rich.live import Live
from rich.table import Table

from notaflow_pipeline.cli.context import in_zone, open_database
from notaflow_pipeline.cli.output import Json, app, print_json, say, screen
from notaflow_pipeline.job_queue import metrics, queries
from notaflow_pipeline.job_queue.pause import paused
from notaflow_pipeline.reporting.locale_format import LocaleFormat
from notaflow_pipeline.settings import Settings, SettingsError, load_settings
from notaflow_pipeline.worker.assembly import configured_terms

WATCH_SECONDS = 2
"""The status is refreshed no more often."""

FORMAT = LocaleFormat("en")


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every few seconds until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """How many documents are ready, active, stuck, backing off, exhausted and done; the oldest waiting; today."""
    settings = load_settings()
    if watch and as_json:
        raise SettingsError("give one of --watch and --json: a script asks again when it wants to")
    with open_database(settings) as connection:
        if as_json:
            print_json(_status(connection, settings))
        elif watch:
            _watch(connection, settings)
        else:
            screen.print(_status_table(_status(connection, settings)))


def _watch(connection: Connection, settings: Settings) -> None:
    """Show the status again and again until the process is told to stop."""
    with Live(console=screen, refresh_per_second=4) as live:
        while True:
            began = time.monotonic()
            live.update(_status_table(_status(connection, settings)))
            time.sleep(pause_seconds(time.monotonic() - began))


def pause_seconds(taken_seconds: float) -> float:
    """Return how long to wait before the queue is counted again: counting reads all rows, and may be a tenth of the time."""
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
        "paused": stopped.reason if (stopped := paused(connection)) else None,
    }


def _status_table(figures: dict[str, Any]) -> Table:
    table = Table("state", "documents", title=f"OCR queue, {datetime.now(UTC).astimezone():%H:%M:%S}")
    for state in ("ready", "active", "stuck", "backing_off", "exhausted", "done", "to_reread"):
        table.add_row(state.replace("_", " "), str(figures[state]))
    waiting, rate = figures["oldest_waiting_seconds"], figures["failure_rate_today"]
    table.add_section()
    table.add_row("oldest waiting", "none" if waiting is None else FORMAT.seconds(waiting))
    table.add_row("today", f"{figures['succeeded_today']} read, {figures['pages_today']} pages")
    if figures["paused"] is not None:
        table.add_row("paused", figures["paused"])
    table.add_row("failure rate today", "none yet" if rate is None else f"{100 * rate:.1f} % of attempts")
    return table


@app.command()
def show(
    id_or_number: Annotated[str, typer.Argument(help="The row's id, or the document's number.")],
    as_json: Json = False,
) -> None:
    """Print a document's row, its attempts and its text."""
    with open_database(load_settings()) as connection:
        jobs = queries.find_jobs(connection, id_or_number)
        if not jobs:
            raise SettingsError(f"no document has the id or number {id_or_number!r}")
        for job in jobs:
            attempts = queries.attempts_of_document(connection, job.id)
            text = queries.text_of(connection, job.id)
            if as_json:
                print_json({**asdict(job), "attempts": [asdict(one) for one in attempts], "file_content": text})
                continue
            for name, value in asdict(job).items():
                say(f"{name:20} {'' if value is None else value}")
            table = Table()
            for name in ("claim", "attempt", "outcome", "claimed", "pages", "confidence", "coverage", "error"):
                table.add_column(name, overflow="fold", no_wrap=name == "outcome")
            for one in attempts:
                row = (
                    one.id,
                    one.attempt_number,
                    one.outcome,
                    f"{one.claimed_at:%Y-%m-%d %H:%M:%S%z}",
                    f"{one.pages - one.pages_failed} of {one.pages}" if one.pages and one.pages_failed else one.pages,
                    None if one.mean_confidence is None else round(one.mean_confidence, 1),
                    None if one.coverage is None else round(one.coverage, 2),
                    one.error,
                )
                table.add_row(*("" if value is None else str(value) for value in row))
            screen.print(table)
            screen.print(text or "", markup=False, highlight=False, soft_wrap=True)


@app.command()
def export(
    since: Annotated[
        datetime | None, typer.Option(help="Only what ended at or after this time (NOTAFLOW_TIMEZONE).")
    ] = None,
    _as_json: Json = True,
) -> None:
    """Print every document as a line of JSON, with its text."""
    settings = load_settings()
    with open_database(settings) as connection:
        for row in queries.export(connection, sources=settings.sources, since=in_zone(since, settings)):
            print_json(row)
