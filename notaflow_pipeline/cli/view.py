"""The command that shows a document's scan beside its text: `view`."""

import re
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from notaflow_pipeline.cli.context import open_database
from notaflow_pipeline.cli.output import Json, app, print_json, print_line, stderr_console
from notaflow_pipeline.cli.report import PageLanguage
from notaflow_pipeline.job_queue import queries
from notaflow_pipeline.job_queue.named_documents import find_document
from notaflow_pipeline.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from notaflow_pipeline.document_view.html_page import ViewData

USUAL_PAGES = range(1, 21)

MAX_PAGES = 50

CONSOLE_BROWSERS = frozenset({"www-browser", "links", "elinks", "lynx", "w3m"})
"""Browsers that show no images and run in the terminal."""


@app.command(rich_help_panel="Inspect")
def view(
    id_or_number: Annotated[
        str, typer.Argument(metavar="ID-or-number", help="The row's id, or the document's number.")
    ],
    pages: Annotated[
        str | None,
        typer.Option(
            help=f"Pages to show, such as 3 or 21-40, at most {MAX_PAGES}; the first {len(USUAL_PAGES)} if not given."
        ),
    ] = None,
    language: Annotated[
        PageLanguage | None,
        typer.Option(help="Language in which the page opens; the browser's if not given. The page contains both."),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Write the page and do not open a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Read a document again and show its scan and its text side by side in the browser.

    The page is private (mode 0600, under NOTAFLOW_HOME) and is removed after a day. Nothing in the queue is changed.
    """
    from notaflow_pipeline.document_view.html_page import PageTooLarge, render_page
    from notaflow_pipeline.document_view.page_files import page_file, remove_old_pages, write_private

    settings = load_settings()
    wanted = _pages(pages)
    remove_old_pages(settings.home)
    viewed = _viewed(settings, id_or_number, wanted)
    path = page_file(settings.home, viewed.job.id)
    try:
        write_private(render_page(viewed, language=None if language is None else language.value), path)
    except PageTooLarge as error:
        raise SettingsError(str(error)) from None
    shown, in_file = [page.number for page in viewed.document.pages], viewed.document.pages_in_file or 0
    if as_json:
        differing = viewed.differing_pages() if viewed.stored is not None else None
        print_json(
            {"id": viewed.job.id, "file": path, "pages": shown, "pages_in_file": in_file, "differing": differing}
        )
        return
    opened = not no_open and _opened(path)
    which = f"page {shown[0]}" if len(shown) == 1 else f"pages {shown[0]} to {shown[-1]}"
    print_line(f"{path} shows {which} of {in_file}{'' if opened else '; open it in a browser'}.")
    if shown[-1] < in_file:
        print_line(f"The next are --pages {shown[-1] + 1}-{min(in_file, shown[-1] + len(wanted))}.")


def _viewed(settings: Settings, id_or_number: str, wanted: range) -> "ViewData":
    # with Jinja, Babel and the engine, which would slow the start of every command
    from notaflow_pipeline.document_view.html_page import ViewData
    from notaflow_pipeline.document_view.page_reading import read_pages
    from notaflow_pipeline.worker.assembly import configured_engine

    with open_database(settings) as connection:
        job = find_document(connection, id_or_number)
        attempts = queries.attempts_of_document(connection, job.id)
        stored = queries.text_of(connection, job.id)
    with stderr_console.status("Reading the document again"):
        document = read_pages(settings, job, wanted)
    if not document.pages:
        raise SettingsError(f"the document has no page {wanted[0]}: its last page is {document.pages_in_file}")
    engine = configured_engine(settings).name
    return ViewData(job, attempts, stored, document, engine, datetime.now(UTC), settings.timezone)


def _pages(typed: str | None) -> range:
    """Return the page numbers that a person typed, such as 3 or 1-5."""
    if typed is None:
        return USUAL_PAGES
    found = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", typed.strip())
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last or last - first >= MAX_PAGES:
        raise SettingsError(
            f"--pages takes a page or a range of at most {MAX_PAGES}, such as 3 or 21-40, not {typed!r}"
        )
    return range(first, last + 1)


def _opened(path: Path) -> bool:
    """Open the page in the person's browser; return whether there was one that can show it."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    return getattr(browser, "name", "") not in CONSOLE_BROWSERS and browser.open(path.as_uri())
