"""Commands by which a person changes what the queue does: `recover`, `retry`, `reread`, `pause`, `resume`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer
from rich.table import Column, Table

from notaflow_pipeline.cli.context import document_id, in_zone, open_database
from notaflow_pipeline.cli.output import Json, app, print_json, progress_bar, say, say_aside, screen
from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.invariants import LOOK_BACK, accept, find_violations
from notaflow_pipeline.job_queue.maintenance.recovery import recover as recover_rows
from notaflow_pipeline.job_queue.maintenance.requeue import NO_LIMIT as NO_REQUEUE_LIMIT
from notaflow_pipeline.job_queue.maintenance.requeue import (
    Exhausted,
    ExhaustedFilter,
    find_exhausted,
    requeue_exhausted,
)
from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline.job_queue.pause import pause as pause_work
from notaflow_pipeline.job_queue.pause import resume as resume_work
from notaflow_pipeline.settings import SettingsError, load_settings
from notaflow_pipeline.worker.assembly import configured_terms

ID_WIDTH = 36
"""Columns that a row's id takes, which `--id` wants whole."""

ROWS_SHOWN = 200
"""Documents that a table names; `--json` names them all."""


@app.command()
def recover(
    accepted: Annotated[
        list[str] | None,
        typer.Option(
            "--accept", help="This row was changed by another program: its invariants are not checked for that."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send stuck and inconsistent rows back to ready, now, and name the rows that break an invariant of the queue."""
    settings = load_settings()
    terms = configured_terms(settings, None)
    ids = [document_id(one) for one in accepted or ()]
    with open_database(settings) as connection, progress_bar(as_json) as bar:
        task = bar.add_task("recover", total=None, rate="")
        done: dict[str, int] = {}

        def show(what: str, rows: int) -> None:
            done[what] = rows
            bar.update(task, completed=sum(done.values()), rate=what.replace("_", " "))

        recovered = recover_rows(
            connection,
            terms.recovery,
            on_progress=show,
        )
        accepted_rows = accept(connection, ids)
        since = datetime.now(UTC) - LOOK_BACK
        violations = list(find_violations(connection, sources=terms.sources, since=since))
    if as_json:
        invariants = {"accepted": accepted_rows, "violations": [asdict(one) for one in violations]}
        print_json({**recovered.counts, "failed": dict(recovered.failed), **invariants})
    else:
        for what, count in recovered.counts.items():
            say(f"{what.replace('_', ' '):20} {count}")
        if ids:
            say(f"{'accepted':20} {accepted_rows}")
    for one in violations[:ROWS_SHOWN]:
        say_aside(f"document {one.document_id} breaks “{one.rule}”: {one.what}; {one.remedy}")
    for what, reason in recovered.failed.items():
        say_aside(f"not all {what.replace('_', ' ')} could be repaired: {reason}")
    if recovered.failed:
        raise typer.Exit(1)


@app.command()
def retry(
    ids: Annotated[list[str] | None, typer.Option("--id", help="This document; may be given again.")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only what was exhausted at or after this time (NOTAFLOW_TIMEZONE).")
    ] = None,
    kinds: Annotated[
        list[FailureKind] | None, typer.Option("--kind", help="Only this kind of failure; may be repeated.")
    ] = None,
    max_requeues: Annotated[int | None, typer.Option(help="Leave out what went round so often before.", min=1)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which documents it would be.")] = False,
    as_json: Json = False,
) -> None:
    """Send exhausted documents round again: ready, with three more attempts, and their history kept."""
    settings = load_settings()
    choice = ExhaustedFilter(
        sources=settings.sources,
        ids=None if not ids else tuple(document_id(one) for one in ids),
        since=in_zone(since, settings),
        kinds=tuple(kinds) if kinds else None,
        max_requeues=max_requeues or NO_REQUEUE_LIMIT,
        exhausted_status=settings.exhausted_status,
    )
    table = Table(Column("document", min_width=ID_WIDTH), "number", "failed with", "attempts", "requeues before")
    left = set(choice.ids or ())
    with open_database(settings) as connection, progress_bar(as_json) as bar:
        task = bar.add_task("retry", total=None, rate="")
        count = 0

        def show(documents: Iterable[Exhausted]) -> None:
            nonlocal count
            for one in documents:
                count += 1
                left.discard(one.id)
                bar.advance(task)
                if as_json:
                    print_json({**asdict(one), "sent": not dry_run})
                elif count <= ROWS_SHOWN:
                    row = (one.document_number, one.failure_kind, str(one.ocr_attempts), str(one.requeues))
                    table.add_row(str(one.id), *row)

        refused = ""
        if dry_run:
            show(find_exhausted(connection, choice))
        else:
            refused = requeue_exhausted(connection, choice, on_requeued=show).refused
    if not as_json:
        if table.row_count:
            screen.print(table)
        if count > ROWS_SHOWN:
            screen.print(f"and {count - ROWS_SHOWN} more")
        for one in sorted(left):
            say_aside(f"{one} is no exhausted document of these sources and kinds; `notaflow show` says how it stands")
        screen.print(f"{count} documents " + ("would be requeued." if dry_run else "requeued."))
    _fail_if_refused(refused)


@app.command()
def reread(
    ids: Annotated[list[str] | None, typer.Option("--id", help="This document; may be given again.")] = None,
    before: Annotated[
        datetime | None, typer.Option(help="Only what was read before this time (NOTAFLOW_TIMEZONE).")
    ] = None,
    not_engine: Annotated[str | None, typer.Option(help="Only what another engine than this one read.")] = None,
    confidence_below: Annotated[float | None, typer.Option(help="Only what was read with less confidence.")] = None,
    coverage_below: Annotated[
        float | None, typer.Option(min=0, max=1, help="Only what has a page with less of its ink read, 0 to 1.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which documents it would be.")] = False,
    as_json: Json = False,
) -> None:
    """Read finished documents again (new engine, new language); the old text stays until the new one is there."""
    settings = load_settings()
    if not any((ids, before, not_engine, confidence_below, coverage_below)):
        raise SettingsError("say which documents: --id, --before, --not-engine, --confidence-below or --coverage-below")
    with open_database(settings) as connection, progress_bar(as_json) as bar:
        task = bar.add_task("reread", total=None, rate="")

        def show(documents: Sequence[UUID]) -> None:
            bar.advance(task, len(documents))
            if as_json:
                for one in documents:
                    print_json({"id": one, "asked": not dry_run})

        changed = request_reread(
            connection,
            sources=settings.sources,
            ids=[document_id(one) for one in ids] if ids else None,
            before=in_zone(before, settings),
            not_engine=not_engine,
            confidence_below=confidence_below,
            coverage_below=coverage_below,
            dry_run=dry_run,
            on_requested=show,
        )
    if not as_json:
        say(f"{changed.rows} documents " + ("would be read again." if dry_run else "will be read again."))
    _fail_if_refused(changed.refused)


def _fail_if_refused(refused: str) -> None:
    """Tell which rows could not be changed, and end the command as failed."""
    if refused:
        say_aside(refused)
        raise typer.Exit(1)


@app.command()
def pause(
    reason: Annotated[str, typer.Argument(help="Why; the sensor and `status` show it.")], as_json: Json = False
) -> None:
    """Begin nothing new, anywhere, until `notaflow resume`; what is in hand is finished."""
    with open_database(load_settings()) as connection:
        pause_work(connection, reason)
    if as_json:
        print_json({"paused": True, "reason": reason})
    else:
        say("Paused: what is in hand is finished, nothing new is claimed until `notaflow resume`.")


@app.command()
def resume(as_json: Json = False) -> None:
    """Let work go on."""
    with open_database(load_settings()) as connection:
        was_paused = resume_work(connection)
    if as_json:
        print_json({"paused": False, "was_paused": was_paused})
    else:
        screen.print("Work goes on." if was_paused else "It was not paused.")
