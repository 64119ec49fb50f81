"""Commands that add documents and read them: `enqueue`, `work`."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress as Bar

from notaflow_pipeline.cli.context import local_time, open_database, ready_database_url
from notaflow_pipeline.cli.output import Json, app, print_json, print_line, progress_bar, warn
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, open_pool
from notaflow_pipeline.job_queue.pause import Pause, current_pause
from notaflow_pipeline.job_queue.queries import count_ready
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import Settings, SettingsError, SourceName, load_settings
from notaflow_pipeline.worker.progress import Progress

if TYPE_CHECKING:
    from notaflow_pipeline.worker.pipeline import Pipeline

NO_LIMIT = sys.maxsize

MAX_LIMIT = 1_000_000_000
WAIT_SECONDS = 1.0

MAX_COUNTED = 100_000
"""Ready documents are counted up to this number for the progress bar."""

MAX_IDLE_SECONDS = 600.0
"""After this time without a claim, `work --until-empty` ends if no document that is left will end by itself."""

WATCH_SECONDS = 5.0
"""How often `work --watch` tries to claim documents, which is one statement on an index."""


@app.command(rich_help_panel="Work")
def enqueue(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files, or folders with documents in them.")],
    source: Annotated[SourceName, typer.Option(help="Source of the documents; it selects the bucket.")] = "index",
    as_json: Json = False,
) -> None:
    """Store files and add their rows, ready for OCR.

    A file that cannot be enqueued is named and skipped; the exit code is then 1.
    """
    from notaflow_pipeline.local.ingest import UnusableFile, find_document_files, ingest_file
    from notaflow_pipeline.worker.assembly import configured_storage  # imports OCR, which slows the start of commands

    settings = load_settings()
    storage = configured_storage(settings)
    files = list(find_document_files(paths))
    unusable = 0
    with open_database(settings) as connection, progress_bar(as_json) as bar:
        task = bar.add_task("enqueue", total=len(files), rate="")
        for file in files:
            try:
                enqueued = ingest_file(connection, storage, file, source)
            except UnusableFile as error:
                unusable += 1
                warn(f"not enqueued: {error}")
                continue
            if as_json:
                print_json({"id": enqueued.id, "path": str(file), "supabase_path": enqueued.supabase_path})
            bar.advance(task)
    if not as_json:
        print_line(f"{count_of(len(files) - unusable, 'document')} enqueued.")
    if source not in settings.sources and unusable < len(files):
        warn(f"documents of {source} are not read, because OCR_SOURCES is {','.join(settings.sources)}")
    if unusable:
        raise typer.Exit(1)


@app.command(rich_help_panel="Work")
def work(
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="Return only when every document is done or exhausted.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep running and read new documents until Ctrl-C.")] = False,
    limit: Annotated[int | None, typer.Option(help="Read at most this many documents.", min=1, max=MAX_LIMIT)] = None,
    as_json: Json = False,
) -> None:
    """Read the ready documents here, without Dagster; ends when none is ready, unless --until-empty or --watch is given."""
    from notaflow_pipeline.worker.assembly import checked_pipeline  # imports OCR, which slows the start of commands

    settings = load_settings()
    if until_empty and watch:
        raise SettingsError("--until-empty and --watch cannot be combined")
    began = time.monotonic()
    with (
        ready_database_url(settings) as url,
        open_pool(url) as pool,
        checked_pipeline(settings, pool) as pipeline,
        progress_bar(as_json) as bar,
    ):
        if not as_json:
            with pool.connection() as connection:
                _warn_if_paused(current_pause(connection), settings)
        with pool.connection() as connection:
            expected = count_ready(connection, sources=settings.sources, at_most=min(limit or NO_LIMIT, MAX_COUNTED))
        total, blocked = _work_through(pipeline, limit or NO_LIMIT, bar, expected, until_empty=until_empty, watch=watch)
    seconds = time.monotonic() - began
    if as_json:
        print_json({**asdict(total), "failed": dict(total.failed), "seconds": round(seconds, 3)})
    else:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(total.failed.items()))
        print_line(
            f"{total.succeeded} read ({count_of(total.pages, 'page')}), {total.failed.total()} failed"
            + (f" ({kinds})" if kinds else "")
            + (f", {total.lost} lost to another worker" if total.lost else "")
            + f", in {seconds:.1f} s."
        )
    if blocked:
        warn(blocked)
        raise typer.Exit(1)


def _warn_if_paused(pause: Pause | None, settings: Settings) -> None:
    if pause is not None:
        since = local_time(pause.since, settings)
        warn(f"paused since {since} ({pause.reason}): nothing new is claimed until `notaflow resume`")


def _work_through(
    pipeline: "Pipeline", limit: int, bar: Bar, expected: int, *, until_empty: bool, watch: bool
) -> tuple[Progress, str]:
    """Read documents until none is ready; with `until_empty` until none is unfinished, with `watch` until a signal.

    Returns also why documents are left that cannot be claimed; empty if that is not so.
    """
    task = bar.add_task("OCR", total=expected, rate="")
    began = time.monotonic()
    total = Progress()

    def show(progress: Progress) -> None:
        pages = total.pages + progress.pages + progress.pages_in_progress
        elapsed = max(time.monotonic() - began, 0.1)
        together = total + progress
        _, _, left = together.describe(expected, elapsed).partition(", ")
        rate = f"{count_of(pages, 'page')}, {60 * pages / elapsed:.0f} a minute"
        documents = max(expected, together.claimed)
        bar.update(task, total=documents, completed=together.finished, rate=f"{left}; {rate}" if left else rate)

    idle_since = time.monotonic()
    while True:
        recovered = pipeline.queue.recover()
        try:
            claimed = pipeline.work(limit=limit - total.claimed, on_progress=show)
        except ClaimsRefused as refused:
            if not watch:
                return total, str(refused)
            warn(str(refused))
        else:
            total = total + claimed
            idle_since = time.monotonic() if claimed.claimed else idle_since
        must_recover_more = not recovered.complete and recovered.total > 0
        continues = must_recover_more or watch or (until_empty and pipeline.queue.has_unfinished())
        if total.claimed >= limit or not continues:
            return total, ""
        if until_empty and time.monotonic() - idle_since > MAX_IDLE_SECONDS:
            blocked = pipeline.queue.describe_blocked()
            if blocked:
                return total, f"no document was claimed for {MAX_IDLE_SECONDS:.0f} s, and these are left: {blocked}"
            idle_since = time.monotonic()
        if not must_recover_more:
            time.sleep(WATCH_SECONDS if watch else WAIT_SECONDS)
