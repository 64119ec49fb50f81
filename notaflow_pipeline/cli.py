"""`notaflow`: what the Dagster UI does to the queue, for a terminal and for scripts.

What does not belong here: how anything is done. A command reads its arguments, calls a room, and prints.
"""

import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import UUID

import psycopg
import typer
from psycopg import Connection
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from notaflow_pipeline import __version__
from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.embedded import database_url
from notaflow_pipeline.ocr.failures import EngineUnavailable
from notaflow_pipeline.pipeline import Pipeline, Progress
from notaflow_pipeline.queue import monitoring
from notaflow_pipeline.queue.database import DatabaseUnavailable, connect, open_pool
from notaflow_pipeline.queue.migrating import MigrationFailed, migrate_down
from notaflow_pipeline.queue.migrating import migrate as apply_migrations
from notaflow_pipeline.queue.pausing import pause as pause_work
from notaflow_pipeline.queue.pausing import paused
from notaflow_pipeline.queue.pausing import resume as resume_work
from notaflow_pipeline.queue.recovery import recover as recover_rows
from notaflow_pipeline.queue.rereading import request_reread
from notaflow_pipeline.queue.retrying import NO_LIMIT as NO_ROUND_LIMIT
from notaflow_pipeline.queue.retrying import Choice, find_exhausted, send_round
from notaflow_pipeline.queue.schema import SchemaMismatch, find_differences, require_schema
from notaflow_pipeline.settings import Settings, SettingsError, SourceName, load_settings, origins
from notaflow_pipeline.worker import checked_pipeline, configured_storage, configured_terms

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
screen = Console()
aside = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

NO_LIMIT = sys.maxsize
WAIT_SECONDS = 1.0

EXPECTED_ERRORS = (
    SettingsError,
    DatabaseUnavailable,
    SchemaMismatch,
    MigrationFailed,
    StorageUnavailable,
    StorageMisconfigured,
    EngineUnavailable,
    DocumentUnavailable,
    psycopg.Error,
    OSError,
)


def main() -> NoReturn:
    """Run a command; say in one line why it could not be done, and exit with 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        app()
    except EXPECTED_ERRORS as error:
        message = getattr(error, "sentence", str(error)).strip().splitlines()
        aside.print(f"notaflow: {message[0] if message else type(error).__name__}", markup=False, soft_wrap=True)
        sys.exit(1)
    sys.exit(0)


def _stop(number: int, _frame: object) -> NoReturn:
    """End by unwinding, so that claims are given back; a second signal does not interrupt that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(128 + number)


@contextmanager
def _ready_database_url(settings: Settings) -> Iterator[str]:
    """Yield a database that has the schema: the embedded one is ours to migrate, a configured one is only checked."""
    with database_url(settings) as url:
        with connect(url) as connection:
            if settings.database_url is not None:
                require_schema(connection, settings.sources)
            elif next(find_differences(connection, settings.sources), None) is not None:
                apply_migrations(url, sources=settings.sources)
        yield url


@contextmanager
def _database(settings: Settings) -> Iterator[Connection]:
    with _ready_database_url(settings) as url, connect(url) as connection:
        yield connection


@app.command()
def dev(
    samples: Annotated[bool, typer.Option(help="Enqueue the sample documents on the first start.")] = True,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI on loopback.")] = 3000,
) -> None:
    """Embedded database (unless NOTAFLOW_DATABASE_URL is set), migrations, sample documents, then the Dagster UI."""
    from notaflow_pipeline.dev import run_dev

    sys.exit(run_dev(load_settings(), samples=samples, port=port))


@app.command()
def database() -> None:
    """Keep the embedded database running until Ctrl-C: for `dagster dev` or `dg dev` in another terminal."""
    settings = load_settings()
    with database_url(settings) as url:
        apply_migrations(url, sources=settings.sources)
        _say(f"NOTAFLOW_DATABASE_URL={url}")
        signal.pause()


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check database, schema, Tesseract and storage: each ok, or what to do; and print every setting."""
    from notaflow_pipeline.doctor import examine

    settings = load_settings()
    findings = list(examine(settings))
    if as_json:
        _print_json(
            {"checks": [asdict(one) for one in findings], "settings": [asdict(one) for one in origins(settings)]}
        )
    else:
        for one in findings:
            mark = "[green]ok[/]     " if one.ok else "[red]not ok[/] "
            screen.print(mark + one.subject.ljust(10), end="")
            _say(one.detail)
        table = Table("setting", "value", "from", title="settings")
        for setting in origins(settings):
            table.add_row(setting.variable, setting.value, setting.origin)
        screen.print(table)
    if not all(one.ok for one in findings):
        sys.exit(1)


@app.command()
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; say what is missing or differs.")] = False,
    to: Annotated[int | None, typer.Option("--to", help="Apply up to this number.")] = None,
    down_to: Annotated[int | None, typer.Option("--down-to", help="Take back what is above this number.")] = None,
    as_json: Json = False,
) -> None:
    """Apply the migrations that are missing; safe to run twice and beside live writers."""
    settings = load_settings()
    if sum([check, to is not None, down_to is not None]) > 1:
        raise SettingsError("--check, --to and --down-to exclude each other")
    with database_url(settings) as url:
        if check:
            _check_schema(url, settings, as_json)
        elif down_to is not None:
            _print_migrations(migrate_down(url, to=down_to), "taken back", as_json)
        else:
            _print_migrations(apply_migrations(url, sources=settings.sources, to=to), "applied", as_json)


def _check_schema(url: str, settings: Settings, as_json: bool) -> None:
    with connect(url) as connection:
        differences = list(find_differences(connection, settings.sources))
    if as_json:
        _print_json({"ready": not differences, "differences": differences})
    elif not differences:
        _say("The schema is as this version needs it.")
    else:
        for difference in differences:
            _say(f"- {difference}")
        aside.print(f"notaflow: {len(differences)} differences; `notaflow migrate` mends what is missing")
    if differences:
        sys.exit(1)


def _print_migrations(names: list[str], done: str, as_json: bool) -> None:
    if as_json:
        _print_json({done.replace(" ", "_"): names})
    else:
        for name in names:
            _say(f"{done} {name}")
        if not names:
            _say(f"Nothing to be {done}.")


@app.command()
def enqueue(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders whose documents are taken.")],
    source: Annotated[SourceName, typer.Option(help="The documents' source, which decides on their bucket.")] = "index",
    as_json: Json = False,
) -> None:
    """Put files into the storage and add their rows, ready for OCR."""
    from notaflow_pipeline.enqueueing import documents_in, put

    settings = load_settings()
    storage = configured_storage(settings)
    files = list(documents_in(paths))
    with _database(settings) as connection, _bar(as_json) as bar:
        task = bar.add_task("enqueue", total=len(files), rate="")
        for file in files:
            enqueued = put(connection, storage, file, source)
            if as_json:
                _print_json({"id": enqueued.id, "path": str(file), "supabase_path": enqueued.supabase_path})
            bar.advance(task)
    if not as_json:
        _say(f"{len(files)} documents enqueued.")


@app.command()
def work(
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="Return only when every document is done or exhausted.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="At most so many documents.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Run the OCR job here, without daemon or UI; without --until-empty, return when nothing is ready any more."""
    settings = load_settings()
    began = time.monotonic()
    with (
        _ready_database_url(settings) as url,
        open_pool(url) as pool,
        checked_pipeline(settings, pool) as pipeline,
        _bar(as_json) as bar,
    ):
        total = _work_through(pipeline, until_empty, limit or NO_LIMIT, bar)
    seconds = time.monotonic() - began
    if as_json:
        _print_json({**asdict(total), "failed": dict(total.failed), "seconds": round(seconds, 3)})
    else:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(total.failed.items()))
        _say(
            f"{total.succeeded} read ({total.pages} pages), {total.failed.total()} failed"
            + (f" ({kinds})" if kinds else "")
            + (f", {total.lost} lost to another worker" if total.lost else "")
            + f", in {seconds:.1f} s."
        )


def _work_through(pipeline: Pipeline, until_empty: bool, limit: int, bar: Bar) -> Progress:
    """Work until nothing is ready, or until nothing is left to wait for either."""
    task = bar.add_task("OCR", total=None, rate="")
    began = time.monotonic()
    total = Progress()

    def show(progress: Progress) -> None:
        pages = total.pages + progress.pages
        rate = f"{pages} pages, {60 * pages / max(time.monotonic() - began, 0.1):.0f} a minute"
        bar.update(task, completed=total.finished + progress.finished, rate=rate)

    while True:
        pipeline.recover()
        total = total + pipeline.work(limit=limit - total.claimed, on_progress=show)
        if not until_empty or total.claimed >= limit:
            return total
        if not pipeline.has_unfinished():
            return total
        time.sleep(WAIT_SECONDS)


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every two seconds until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """How many documents are ready, active, stuck, backing off, exhausted and done; the oldest waiting; today."""
    settings = load_settings()
    with _database(settings) as connection:
        if as_json:
            _print_json(_status(connection, settings))
        elif watch:
            with Live(console=screen, refresh_per_second=4) as live:
                while True:
                    live.update(_status_table(_status(connection, settings)))
                    time.sleep(2)
        else:
            screen.print(_status_table(_status(connection, settings)))


def _status(connection: Connection, settings: Settings) -> dict[str, Any]:
    terms = configured_terms(settings, None)
    counts = monitoring.count_queue(connection, sources=terms.sources, stuck_after=terms.stuck_after)
    today = monitoring.count_today(connection, sources=terms.sources, timezone=settings.timezone)
    ended = today["succeeded_today"] + today["failed_today"]
    return {
        **asdict(counts),
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
    table.add_row("oldest waiting", "none" if waiting is None else f"{waiting:.0f} s")
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
    with _database(load_settings()) as connection:
        jobs = monitoring.find_jobs(connection, id_or_number)
        if not jobs:
            raise SettingsError(f"no document has the id or number {id_or_number!r}")
        for job in jobs:
            attempts = monitoring.attempts_of_document(connection, job.id)
            text = monitoring.text_of(connection, job.id)
            if as_json:
                _print_json({**asdict(job), "attempts": [asdict(one) for one in attempts], "file_content": text})
                continue
            for name, value in asdict(job).items():
                _say(f"{name:20} {'' if value is None else value}")
            table = Table("claim", "attempt", "outcome", "claimed", "pages", "confidence", "error")
            for one in attempts:
                row = (
                    one.id,
                    one.attempt_number,
                    one.outcome,
                    one.claimed_at,
                    f"{one.pages - one.pages_failed} of {one.pages}" if one.pages and one.pages_failed else one.pages,
                    None if one.mean_confidence is None else round(one.mean_confidence, 1),
                    one.error,
                )
                table.add_row(*("" if value is None else str(value) for value in row))
            screen.print(table)
            screen.print(text or "", markup=False, highlight=False, soft_wrap=True)


@app.command()
def recover(as_json: Json = False) -> None:
    """Send stuck and inconsistent rows back to ready, now."""
    settings = load_settings()
    terms = configured_terms(settings, None)
    with _database(settings) as connection:
        recovered = recover_rows(
            connection,
            sources=terms.sources,
            stuck_after=terms.stuck_after,
            mirror_errors=terms.mirror_errors,
            exhausted_status=terms.exhausted_status,
        )
    if as_json:
        _print_json(asdict(recovered))
    else:
        for what, count in asdict(recovered).items():
            _say(f"{what.replace('_', ' '):20} {count}")


@app.command()
def retry(
    ids: Annotated[list[str] | None, typer.Option("--id", help="This document; may be given again.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only what was exhausted at or after this time.")] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind of failure; may be repeated.")
    ] = None,
    max_rounds: Annotated[int | None, typer.Option(help="Leave out what went round so often before.", min=1)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which documents it would be.")] = False,
    as_json: Json = False,
) -> None:
    """Send exhausted documents round again: ready, with three more attempts, and their history kept."""
    settings = load_settings()
    choice = Choice(
        sources=settings.sources,
        ids=None if not ids else tuple(_document_id(one) for one in ids),
        since=since.astimezone() if since else None,
        kinds=tuple(kinds) if kinds else None,
        max_rounds=max_rounds or NO_ROUND_LIMIT,
    )
    with _database(settings) as connection:
        chosen = find_exhausted(connection, choice) if dry_run else send_round(connection, choice)
    if as_json:
        for one in chosen:
            _print_json({**asdict(one), "sent": not dry_run})
        return
    table = Table("document", "number", "failed with", "attempts", "rounds before")
    for one in chosen:
        table.add_row(str(one.id), one.document_number, one.failure_kind, str(one.ocr_attempts), str(one.rounds))
    if chosen:
        screen.print(table)
    screen.print(f"{len(chosen)} documents " + ("would be sent round." if dry_run else "sent round."))


@app.command()
def reread(
    ids: Annotated[list[str] | None, typer.Option("--id", help="This document; may be given again.")] = None,
    before: Annotated[datetime | None, typer.Option(help="Only what was read before this time.")] = None,
    not_engine: Annotated[str | None, typer.Option(help="Only what another engine than this one read.")] = None,
    confidence_below: Annotated[float | None, typer.Option(help="Only what was read with less confidence.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which documents it would be.")] = False,
    as_json: Json = False,
) -> None:
    """Read finished documents again (new engine, new language); the old text stays until the new one is there."""
    settings = load_settings()
    if not any((ids, before, not_engine, confidence_below)):
        raise SettingsError("say which documents: --id, --before, --not-engine or --confidence-below")
    with _database(settings) as connection:
        chosen = request_reread(
            connection,
            sources=settings.sources,
            ids=[_document_id(one) for one in ids] if ids else None,
            before=before.astimezone() if before else None,
            not_engine=not_engine,
            confidence_below=confidence_below,
            dry_run=dry_run,
        )
    if as_json:
        for document_id in chosen:
            _print_json({"id": document_id, "asked": not dry_run})
    else:
        _say(f"{len(chosen)} documents " + ("would be read again." if dry_run else "will be read again."))


def _document_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise SettingsError(f"--id takes a row's id, and {text!r} is none; `notaflow show NUMBER` prints it") from None


@app.command()
def pause(reason: Annotated[str, typer.Argument(help="Why; the sensor and `status` show it.")]) -> None:
    """Begin nothing new, anywhere, until `notaflow resume`; what is in hand is finished."""
    with _database(load_settings()) as connection:
        pause_work(connection, reason)
    _say("Paused: what is in hand is finished, nothing new is claimed until `notaflow resume`.")


@app.command()
def resume() -> None:
    """Let work go on."""
    with _database(load_settings()) as connection:
        was_paused = resume_work(connection)
    screen.print("Work goes on." if was_paused else "It was not paused.")


@app.command()
def export(
    since: Annotated[datetime | None, typer.Option(help="Only what ended at or after this time.")] = None,
    _as_json: Json = True,
) -> None:
    """Print every document as a line of JSON, with its text."""
    settings = load_settings()
    start = since.astimezone() if since else None
    with _database(settings) as connection:
        for row in monitoring.export(connection, sources=settings.sources, since=start):
            _print_json(row)


@app.command()
def version() -> None:
    """Print the version."""
    screen.print(__version__)


@contextmanager
def _bar(as_json: bool) -> Iterator[Bar]:
    """Yield a progress bar that shows only when a person is watching."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} documents"))
    with Bar(
        *columns,
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=aside,
        disable=as_json or not aside.is_terminal,
        transient=True,
    ) as bar:
        yield bar


def _say(text: str) -> None:
    """Print a line as it is: nothing in it is markup, and a terminal may break it where it likes."""
    screen.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
