"""Renders the page: one HTML file that loads nothing, with every text escaped by the template."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from notaflow_pipeline.document_view.stored_text import differences, pages_of, text_of_page
from notaflow_pipeline.document_view.text_spans import controls, is_unsure, text_spans
from notaflow_pipeline.document_view.translations import TEXTS
from notaflow_pipeline.job_queue.model import Attempt, ExtractionQueueJob
from notaflow_pipeline.ocr.document import DocumentText, PageSource, PageText
from notaflow_pipeline.ocr.engines.interface import LOW_CONFIDENCE
from notaflow_pipeline.reporting.report.locale_format import LANGUAGES, Language, LocaleFormat
from notaflow_pipeline.reporting.report.translations import Translation, failure_kind_in

_PACKAGE = "notaflow_pipeline.document_view"

MAX_BYTES = 100_000_000
"""Images and texts of a page: fifty letter pages have 20 million."""


class PageTooLarge(Exception):
    """The page would be larger than a browser shows well; the message says what to do."""


@dataclass(frozen=True)
class ViewData:
    """The data of a page: a row, its attempts and stored text, and the pages as read now, with time and engine."""

    job: ExtractionQueueJob
    attempts: Sequence[Attempt]
    stored: str | None
    document: DocumentText
    engine: str
    read_at: datetime
    timezone: str

    def differing_pages(self) -> list[int]:
        """Return the numbers of the shown pages of which another text is stored."""
        stored = pages_of(self.stored or "")
        document = self.document
        return [one.number for one in document.pages if text_of_page(document, one) != stored.get(one.number, "")]


def render_page(viewed: ViewData, *, language: Language | None = None) -> str:
    """Return the HTML page; the reader's browser chooses the language if `language` is None.

    Raises:
        PageTooLarge: images and texts have more than `MAX_BYTES`.
    """
    _refuse_large(viewed)
    style, script = _file("view.css"), _file("view.js")
    stored = pages_of(viewed.stored or "")
    differing = viewed.differing_pages() if viewed.stored is not None else []
    return _template().render(
        language=language or "",
        first_language=language or LANGUAGES[0],
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        text_of=_text,
        controls=controls,
        is_unsure=is_unsure,
        base64=lambda content: base64.b64encode(content).decode(),
        number=viewed.job.document_number,
        source=viewed.job.document_source or "",
        notes=list(_notes(viewed, differing)),
        whole_text=viewed.stored if viewed.stored and not stored else None,
        attempts=[_attempt(one, viewed.timezone) for one in viewed.attempts],
        pages=[_page(viewed, one, stored, differing) for one in viewed.document.pages],
        unsure_limit=LOW_CONFIDENCE,
    )


def _refuse_large(viewed: ViewData) -> None:
    views = [page.view for page in viewed.document.pages if page.view is not None]
    images = sum(len(image.jpeg) for view in views for image in view.images) + sum(len(v.scan or b"") for v in views)
    texts = sum(len(page.text) for page in viewed.document.pages) + len(viewed.stored or "")
    if 4 / 3 * images + texts > MAX_BYTES:
        raise PageTooLarge(
            f"The page would have more than {MAX_BYTES // 10**6} MB. Show fewer pages at once with --pages."
        )


def _notes(viewed: ViewData, differing: Sequence[int]) -> Iterator[Translation]:
    first, last = viewed.document.pages[0].number, viewed.document.pages[-1].number
    name = "page_shown" if first == last else "pages_shown"
    yield _text(name, first=first, last=last, pages=viewed.document.pages_in_file)
    moment = _both(lambda locale: locale.moment(viewed.read_at, viewed.timezone))
    yield _text("read_now", moment=moment, engine=viewed.engine)
    if viewed.stored is None:
        yield _text("none_stored")
        return
    if viewed.stored and not pages_of(viewed.stored):
        yield _text("unmarked")
        return
    yield _text("differs" if differing else "same")
    engine = next((one.engine for one in reversed(viewed.attempts) if one.outcome == "succeeded"), None)
    if differing and engine:
        yield _text("stored_by", engine=engine)


def _page(viewed: ViewData, page: PageText, stored: dict[int, str], differing: Sequence[int]) -> dict[str, Any]:
    """Return what the template shows of a page."""
    now = text_of_page(viewed.document, page)
    images = page.view.images if page.view else ()
    return {
        "number": page.number,
        "source": page.source.value,
        "facts": list(_facts(page)),
        "failure": None if page.failure is None else page.failure.sentence,
        "images": images,
        "scan": page.view.scan if page.view else None,
        "spans": text_spans(now, images),
        "differs": page.number in differing and bool(stored),
        "stored": differences(stored.get(page.number, ""), now) if page.number in differing else [],
    }


def _facts(page: PageText) -> Iterator[Translation]:
    """Yield the remarks about a page beside its number."""
    yield _text(page.source.value)
    images = page.view.images if page.view else ()
    if page.source is PageSource.RECOGNISED and any(image.text_layer for image in images):
        yield _text("partly_layer")
    if page.damaged:
        yield _text("damaged")
    if page.words:
        yield _counted("word", "words", page.words)
    if page.mean_confidence is not None:
        yield _text("confidence", value=_both(lambda locale: locale.number(page.mean_confidence, 1)))
    if page.coverage is not None:
        yield _text("coverage", value=_both(lambda locale: locale.percent(page.coverage)))
    if page.low_confidence_words:
        yield _counted("unsure_word", "unsure_words", page.low_confidence_words)
    if unread := sum(len(image.unread) for image in images):
        yield _counted("unread_place", "unread_places", unread)


def _attempt(one: Attempt, timezone: str) -> list[Translation]:
    kind, error = one.failure_kind, one.error
    outcome = {"failed": "attempt_failed", None: "active"}.get(one.outcome, one.outcome or "")
    read = None if one.pages is None else one.pages - (one.pages_failed or 0)
    return [
        _same(str(one.attempt_number)),
        _text(outcome) if outcome in TEXTS else _same(outcome),
        _both(lambda locale: locale.moment(one.claimed_at, timezone)),
        _same("" if read is None else f"{read}/{one.pages}"),
        _both(lambda locale: "" if one.mean_confidence is None else locale.number(one.mean_confidence, 1)),
        _both(lambda locale: "" if one.coverage is None else locale.percent(one.coverage)),
        _same(one.engine or ""),
        Translation(*(": ".join(filter(None, [kind and failure_kind_in(each, kind), error])) for each in LANGUAGES)),
    ]


def _text(name: str, **values: object) -> Translation:
    """Return a text of the page in both languages, formatted with these values."""
    return Translation(
        *(
            getattr(TEXTS[name], one).format(
                **{
                    key: getattr(value, one) if isinstance(value, Translation) else value
                    for key, value in values.items()
                }
            )
            for one in LANGUAGES
        )
    )


def _counted(one: str, several: str, count: int) -> Translation:
    return _text(one) if count == 1 else _text(several, count=_both(lambda locale: locale.number(count)))


def _both(write: Callable[[LocaleFormat], str]) -> Translation:
    return Translation(*(write(LocaleFormat(one)) for one in LANGUAGES))


def _same(text: str) -> Translation:
    return Translation(text, text)


def _policy(style: str, script: str) -> str:
    """Return a content security policy: this style and this script, images from the page itself, and nothing else."""
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(_PACKAGE, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("view.html")


def _file(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
