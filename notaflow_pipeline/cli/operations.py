"""Commands that change the queue: `recover`, `retry`, `reread`, `pause`, `resume`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer
from psycopg import Connection
from rich.table import Column, Table
from rich.text import Text

from notaflow_pipeline.cli.context import ONE_OF_KINDS, TIME_FORMATS, in_zone, open_database
from notaflow_pipeline.cli.output import ID_WIDTH, Json, app, console, print_json, print_line, progress_bar, warn
from notaflow_pipeline.failures import PERMANENT_KINDS, FailureKind
from notaflow_pipeline.job_queue.invariants import LOOK_BACK, accept_changes, find_violations
from notaflow_pipeline.job_queue.maintenance.recovery import recover as recover_rows
from notaflow_pipeline.job_queue.maintenance.requeue import NO_LIMIT as NO_REQUEUE_LIMIT
from notaflow_pipeline.job_queue.maintenance.requeue import (
    ExhaustedDocument,
    ExhaustedFilter,
    find_exhausted,
    requeue_exhausted,
)
from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline.job_queue.named_documents import document_ids
from notaflow_pipeline.job_queue.pause import pause as pause_work
from notaflow_pipeline.job_queue.pause import resume as resume_work
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import SettingsError, load_settings
from notaflow_pipeline.worker.claim_terms import configured_terms

ROWS_SHOWN = 200
"""Rows of a table; `--json` prints all documents."""


@app.command(rich_help_panel="Repair")
def recover(
    accepted: Annotated[
        list[str] | None,
        typer.Option(
            "--accept", help="Accept this document (id or number) as another program changed it; may be repeated."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make stuck and inconsistent rows ready now, and name the rows that break an invariant of the queue."""
    settings = load_settings()
    terms = configured_terms(settings, None)
    with open_database(settings) as connection, progress_bar(as_json) as bar:
        ids = document_ids(connection, accepted or ())
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
        accepted_rows = accept_changes(connection, ids)
        since = datetime.now(UTC) - LOOK_BACK
        violations = list(find_violations(connection, sources=terms.sources, since=since))
    if as_json:
        invariants = {"accepted": accepted_rows, "violations": [asdict(one) for one in violations]}
        print_json({**recovered.counts, "failed": dict(recovered.failed), **invariants})
    else:
        for what, count in recovered.counts.items():
            print_line(f"{what.replace('_', ' '):20} {count}")
        if ids:
            print_line(f"{'accepted':20} {accepted_rows}")
    for one in violations[:ROWS_SHOWN]:
        warn(f"document {one.document_id} breaks “{one.rule}”: {one.what}; {one.remedy}")
    for what, reason in recovered.failed.items():
        warn(f"not all {what.replace('_', ' ')} could be repaired: {reason}")
    if recovered.failed:
        raise typer.Exit(1)


@app.command(rich_help_panel="Repair")
def retry(
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="Only this document (id or number); may be repeated.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=TIME_FORMATS,
            metavar="TIME",
            help="Only documents exhausted at or after this time (NOTAFLOW_TIMEZONE), such as 2025-11-01.",
        ),
    ] = None,
    kinds: Annotated[
        list[FailureKind] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Only this kind of failure; may be repeated. Without it and --id, permanent kinds are left out. "
            f"One of {ONE_OF_KINDS}.",
        ),
    ] = None,
    max_requeues: Annotated[
        int | None, typer.Option(help="Leave out documents that were requeued this often before.", min=1, max=1000)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; only list the documents.")] = False,
    as_json: Json = False,
) -> None:
    """Requeue exhausted documents: ready again with three more attempts; their history is kept."""
    settings = load_settings()
    filters = ExhaustedFilter(
        sources=settings.sources,
        since=in_zone(since, settings),
        kinds=tuple(kinds) if kinds else None,
        except_kinds=() if kinds or ids else tuple(PERMANENT_KINDS),
        max_requeues=max_requeues or NO_REQUEUE_LIMIT,
        exhausted_status=settings.exhausted_status,
    )
    columns = (Column("attempts", no_wrap=True), Column("requeues", no_wrap=True))
    table = Table(Column("document", width=ID_WIDTH, overflow="fold"), Column("failed with", overflow="fold"), *columns)
    with open_database(settings) as connection, progress_bar(as_json) as bar:
        filters = replace(filters, ids=tuple(document_ids(connection, ids)) if ids else None)
        left = set(filters.ids or ())
        task = bar.add_task("retry", total=None, rate="")
        count = 0

        def show(documents: Iterable[ExhaustedDocument]) -> None:
            nonlocal count
            for one in documents:
                count += 1
                left.discard(one.id)
                bar.advance(task)
                if as_json:
                    print_json({**asdict(one), "requeued": not dry_run})
                elif count <= ROWS_SHOWN:
                    failed_with = Text(one.failure_kind or "")
                    table.add_row(
                        Text(f"{one.document_number}\n{one.id}"), failed_with, str(one.ocr_attempts), str(one.requeues)
                    )

        refused = ""
        others = _permanent(connection, filters) if filters.except_kinds and not as_json else Counter()
        if dry_run:
            show(find_exhausted(connection, filters))
        else:
            refused = requeue_exhausted(connection, filters, on_requeued=show).refused
    if not as_json:
        if table.row_count:
            console.print(table)
        if count > ROWS_SHOWN:
            console.print(f"and {count - ROWS_SHOWN:,} more")
        for one in sorted(left):
            warn(
                f"{one} is no exhausted document of these sources and kinds, or its row is locked or hidden by a policy; "
                f"see `notaflow show {one}`"
            )
        console.print(f"{count_of(count, 'document')} " + ("would be requeued." if dry_run else "requeued."))
        _print_left_out(others)
    _fail_if_refused(refused)


def _permanent(connection: Connection, filters: ExhaustedFilter) -> Counter[str]:
    """Count the documents that are left out for their kind of failure."""
    left_out = replace(filters, kinds=filters.except_kinds, except_kinds=())
    return Counter(one.failure_kind or "" for one in find_exhausted(connection, left_out))


def _print_left_out(others: Counter[str]) -> None:
    if others:
        counts = ", ".join(f"{number:,} {kind}" for kind, number in sorted(others.items()))
        print_line(f"Left out, because no attempt can help: {counts}. Name kinds with --kind, or documents with --id.")


@app.command(rich_help_panel="Repair")
def reread(
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="Only this document (id or number); may be repeated.")
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option(
            formats=TIME_FORMATS,
            metavar="TIME",
            help="Only documents read before this time (NOTAFLOW_TIMEZONE), such as 2025-11-01.",
        ),
    ] = None,
    not_engine: Annotated[
        str | None, typer.Option(help="Only documents that were read by another engine than this one.")
    ] = None,
    confidence_below: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Only documents that were read with less mean confidence, 0 to 100."),
    ] = None,
    coverage_below: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Only documents with less coverage (share of a page's ink that was read), 0 to 1."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; only count the documents, which --json lists.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Request that finished documents are read again, such as after a change of engine; the old text stays until then."""
    settings = load_settings()
    if not any((ids, before, not_engine, confidence_below, coverage_below)):
        raise SettingsError("name the documents: --id, --before, --not-engine, --confidence-below or --coverage-below")
    with open_database(settings) as connection, progress_bar(as_json) as bar:
        task = bar.add_task("reread", total=None, rate="")

        def show(documents: Sequence[UUID]) -> None:
            bar.advance(task, len(documents))
            if as_json:
                for one in documents:
                    print_json({"id": one, "requested": not dry_run})

        changed = request_reread(
            connection,
            sources=settings.sources,
            ids=document_ids(connection, ids) if ids else None,
            before=in_zone(before, settings),
            not_engine=not_engine,
            confidence_below=confidence_below,
            coverage_below=coverage_below,
            dry_run=dry_run,
            on_requested=show,
        )
    if not as_json:
        print_line(
            f"{count_of(changed.rows, 'document')} " + ("would be read again." if dry_run else "will be read again.")
        )
    _fail_if_refused(changed.refused)


def _fail_if_refused(refused: str) -> None:
    """Print which rows could not be changed, and exit with 1."""
    if refused:
        warn(refused)
        raise typer.Exit(1)


@app.command(rich_help_panel="Work")
def pause(
    reason: Annotated[str, typer.Argument(metavar="WHY", help="Reason, which the sensor and `status` show.")],
    as_json: Json = False,
) -> None:
    """Stop all claims, on every machine, until `notaflow resume`; documents that are being read are finished."""
    if not reason.strip():
        raise SettingsError("a pause needs a reason, such as `notaflow pause 'the storage is being moved'`")
    with open_database(load_settings()) as connection:
        pause_work(connection, reason)
    if as_json:
        print_json({"paused": True, "reason": reason})
    else:
        print_line(
            "Paused: documents that are being read are finished, and nothing is claimed until `notaflow resume`."
        )


@app.command(rich_help_panel="Work")
def resume(as_json: Json = False) -> None:
    """End a pause."""
    with open_database(load_settings()) as connection:
        was_paused = resume_work(connection)
    if as_json:
        print_json({"paused": False, "was_paused": was_paused})
    else:
        console.print("Resumed." if was_paused else "The queue was not paused.")
