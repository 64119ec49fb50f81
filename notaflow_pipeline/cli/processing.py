"""Commands that bring documents in and read them: `enqueue`, `work`."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress as Bar

from notaflow_pipeline.cli.context import open_database, ready_database_url
from notaflow_pipeline.cli.output import Json, app, print_json, progress_bar, say, say_aside
from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.job_queue.pause import Pause, paused
from notaflow_pipeline.settings import SettingsError, SourceName, load_settings
from notaflow_pipeline.worker.assembly import checked_pipeline, configured_storage
from notaflow_pipeline.worker.pipeline import Pipeline
from notaflow_pipeline.worker.progress import Progress

NO_LIMIT = sys.maxsize
WAIT_SECONDS = 1.0

WATCH_SECONDS = 5.0
"""How often a worker that stays asks for new documents: one statement that walks an index of what is ready."""


@app.command()
def enqueue(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders whose documents are taken.")],
    source: Annotated[SourceName, typer.Option(help="The documents' source, which decides on their bucket.")] = "index",
    as_json: Json = False,
) -> None:
    """Put files into the storage and add their rows, ready for OCR.

    A file that cannot be enqueued is named, the others are; then the exit code is 1.
    """
    from notaflow_pipeline.local.ingest import UnusableFile, find_document_files, ingest_file

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
                say_aside(f"not enqueued: {error}")
                continue
            if as_json:
                print_json({"id": enqueued.id, "path": str(file), "supabase_path": enqueued.supabase_path})
            bar.advance(task)
    if not as_json:
        say(f"{len(files) - unusable} documents enqueued.")
    if unusable:
        raise typer.Exit(1)


@app.command()
def work(
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="Return only when every document is done or exhausted.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and read what comes, until told to stop.")] = False,
    limit: Annotated[int | None, typer.Option(help="At most so many documents.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Run the OCR job here, without daemon or UI; without --until-empty or --watch, return when nothing is ready any more."""
    settings = load_settings()
    if until_empty and watch:
        raise SettingsError("--until-empty and --watch exclude each other")
    began = time.monotonic()
    with (
        ready_database_url(settings) as url,
        open_pool(url) as pool,
        checked_pipeline(settings, pool) as pipeline,
        progress_bar(as_json) as bar,
    ):
        if not as_json:
            with pool.connection() as connection:
                _say_if_paused(paused(connection))
        total = _work_through(pipeline, limit or NO_LIMIT, bar, until_empty=until_empty, watch=watch)
    seconds = time.monotonic() - began
    if as_json:
        print_json({**asdict(total), "failed": dict(total.failed), "seconds": round(seconds, 3)})
    else:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(total.failed.items()))
        say(
            f"{total.succeeded} read ({total.pages} pages), {total.failed.total()} failed"
            + (f" ({kinds})" if kinds else "")
            + (f", {total.lost} lost to another worker" if total.lost else "")
            + f", in {seconds:.1f} s."
        )


def _say_if_paused(pause: Pause | None) -> None:
    if pause is not None:
        since = pause.since.astimezone().strftime("%Y-%m-%d %H:%M")
        say_aside(f"paused since {since} ({pause.reason}): nothing new is claimed until `notaflow resume`")


def _work_through(pipeline: Pipeline, limit: int, bar: Bar, *, until_empty: bool, watch: bool) -> Progress:
    """Work until nothing is ready, or until nothing is left to wait for either, or for ever."""
    task = bar.add_task("OCR", total=None, rate="")
    began = time.monotonic()
    total = Progress()

    def show(progress: Progress) -> None:
        pages = total.pages + progress.pages + progress.pages_in_progress
        rate = f"{pages} pages, {60 * pages / max(time.monotonic() - began, 0.1):.0f} a minute"
        bar.update(task, completed=total.finished + progress.finished, rate=rate)

    while True:
        recovered = pipeline.queue.recover()
        total = total + pipeline.work(limit=limit - total.claimed, on_progress=show)
        goes_on = not recovered.complete and recovered.total > 0
        stays = goes_on or watch or (until_empty and pipeline.queue.has_unfinished())
        if total.claimed >= limit or not stays:
            return total
        if not goes_on:
            time.sleep(WATCH_SECONDS if watch else WAIT_SECONDS)
