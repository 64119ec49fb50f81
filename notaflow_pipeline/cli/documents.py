"""Commands about single documents: `list`, `cancel`, `priority`."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from notaflow_pipeline.cli.context import ONE_OF_KINDS, local_time, open_database
from notaflow_pipeline.cli.output import ID_WIDTH, Json, app, console, print_json, print_line, warn
from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.cancel import MAX_PRIORITY, MIN_PRIORITY, cancel_documents, set_priority
from notaflow_pipeline.job_queue.listing import UNFINISHED, DocumentState, ListedDocument, list_documents
from notaflow_pipeline.job_queue.named_documents import document_ids, reasons_unchanged
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import Settings, SettingsError, load_settings
from notaflow_pipeline.worker.claim_terms import configured_terms

ROWS_LISTED = 50
"""Rows of the list without --limit."""

MAX_ROWS_LISTED = 1_000_000

TIME_WIDTH = 16
"""Characters of a time to the minute."""

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Source(StrEnum):
    """A source that OCR reads. Typer takes no list of literals."""

    INDEX = "index"
    ACTE = "acte"


DocumentIds = Annotated[
    list[str], typer.Argument(metavar="ID", help="Ids or numbers of documents; `notaflow list` prints them.")
]


@app.command("list", rich_help_panel="Inspect")
def list_(
    states: Annotated[
        list[DocumentState] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help=f"Only this state; may be repeated. All but `done` if not given. One of {', '.join(DocumentState)}.",
        ),
    ] = None,
    sources: Annotated[
        list[Source] | None, typer.Option("--source", help="Only this source; OCR_SOURCES if not given.")
    ] = None,
    kinds: Annotated[
        list[FailureKind] | None,
        typer.Option(
            "--kind", metavar="KIND", help=f"Only documents whose last failure is of this kind. One of {ONE_OF_KINDS}."
        ),
    ] = None,
    worker: Annotated[str | None, typer.Option(help="Only documents of this worker (OCR_WORKER_ID).")] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Only documents that have had their state for longer, such as 90s, 30m, 2h, 3d.")
    ] = None,
    limit: Annotated[
        int, typer.Option(help="List at most this many documents.", min=1, max=MAX_ROWS_LISTED)
    ] = ROWS_LISTED,
    as_json: Json = False,
) -> None:
    """List documents in the order of claims: state, since when, who holds them, attempts, last kind of failure."""
    settings = load_settings()
    age = None if older_than is None else _duration(older_than)
    terms = configured_terms(settings, None)
    with open_database(settings) as connection:
        found = list_documents(
            connection,
            sources=sources or settings.sources,
            stuck_after=terms.stuck_after,
            exhausted_status=terms.exhausted_status,
            states=states or UNFINISHED,
            kinds=kinds,
            worker=worker,
            older_than=age,
            limit=limit if as_json else limit + 1,
        )
    if as_json:
        for one in found:
            print_json(asdict(one))
        return
    if not found:
        print_line("No document matches.")
        return
    console.print(_table(found[:limit], settings))
    if len(found) > limit:
        warn(f"there are more than {limit:,} such documents; --limit shows more")


def _table(documents: list[ListedDocument], settings: Settings) -> Table:
    """Return the list. A document takes several lines, so that its id stays whole in 80 columns."""
    table = Table(
        Column("document", width=ID_WIDTH, overflow="fold"),
        Column("state, since", width=TIME_WIDTH),
        Column("details", overflow="fold"),
        show_lines=True,
    )
    for one in documents:
        table.add_row(
            Text(f"{one.document_number}\n{one.id}"),
            f"{one.state.replace('_', ' ')}\n{local_time(one.since, settings)}",
            Text("\n".join(_details(one))),
        )
    return table


def _details(one: ListedDocument) -> Iterator[str]:
    if one.state == DocumentState.CANCELLED:
        # its maximum is set to the attempts it had, which would be shown as `0 of 0 attempts`
        yield one.error or ""
        return
    yield f"{one.attempts} of {count_of(one.max_attempts, 'attempt')}"
    if one.state in {DocumentState.ACTIVE, DocumentState.STUCK}:
        yield f"held by {one.worker_id or 'an unknown worker'}"
    if one.failure_kind:
        yield f"last {one.failure_kind}"
    if one.priority:
        yield f"priority {one.priority}"


def _duration(text: str) -> timedelta:
    """Return a typed duration.

    Raises:
        SettingsError: it is not a number with a unit.
    """
    matched = re.fullmatch(r"(\d{1,6})\s*([smhd])", text.strip())
    if matched is None:
        raise SettingsError(f"--older-than takes a number with s, m, h or d, such as 90s, 30m, 2h or 3d, not {text!r}")
    return timedelta(**{UNITS[matched[2]]: int(matched[1])})


@app.command(rich_help_panel="Repair")
def cancel(
    ids: DocumentIds,
    reason: Annotated[str, typer.Option(help="Why; it is stored in `ocr_error`.")] = "by a person",
    as_json: Json = False,
) -> None:
    """Cancel documents: they are not read until `notaflow retry --id ID`. Exit code 1 if one could not be cancelled.

    A worker that reads one stops at the next renewal of its lease and writes nothing. A document that was to be read again
    keeps its text.
    """
    settings = load_settings()
    with open_database(settings) as connection:
        wanted = document_ids(connection, ids)
        cancelled = cancel_documents(
            connection,
            wanted,
            sources=settings.sources,
            worker_id=settings.worker_id,
            reason=reason,
            mirror_errors=settings.mirror_errors,
        )
        unchanged = reasons_unchanged(connection, wanted, {one.id for one in cancelled}, settings.sources)
    for one in cancelled:
        if as_json:
            print_json({**asdict(one), "cancelled": True})
    if not as_json:
        print_line(f"{count_of(len(cancelled), 'document')} cancelled.")
    _warn_about_unchanged(unchanged, "was not cancelled")


@app.command(rich_help_panel="Repair", context_settings={"ignore_unknown_options": True})
def priority(
    ids: DocumentIds,
    value: Annotated[
        int,
        typer.Argument(
            metavar="N", help="The highest is read first; 0 is the default.", min=MIN_PRIORITY, max=MAX_PRIORITY
        ),
    ],
    as_json: Json = False,
) -> None:
    """Set the priority of documents that are still to be read. Exit code 1 if one could not be changed."""
    settings = load_settings()
    with open_database(settings) as connection:
        wanted = document_ids(connection, ids)
        changed = set_priority(connection, wanted, value, sources=settings.sources)
        unchanged = reasons_unchanged(connection, wanted, set(changed), settings.sources)
    if as_json:
        for one in changed:
            print_json({"id": one, "priority": value})
    else:
        print_line(f"{count_of(len(changed), 'document')} set to priority {value}.")
    _warn_about_unchanged(unchanged, "was not changed")


def _warn_about_unchanged(unchanged: dict[str, str], what: str) -> None:
    """Name the documents that stayed as they were, and exit with 1 if there are any."""
    for document, why in unchanged.items():
        warn(f"{document} {what}: {why}")
    if unchanged:
        raise typer.Exit(1)
