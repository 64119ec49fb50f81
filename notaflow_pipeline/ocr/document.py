"""Results of OCR: the text of a page, and the text of a document as it is stored."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.page_view import PageView

MAX_FAILED_SHARE = 0.5
"""Maximum share of failed pages. Above it, a retry is better than the text of the other pages if the failure is
retryable."""


class PageSource(Enum):
    """Source of the text of a page."""

    RECOGNISED = "recognised"
    TEXT_LAYER = "text layer"
    BLANK = "blank"
    UNREAD = "unread"
    """Ink in which no words were recognised."""

    FAILED = "failed"


@dataclass(frozen=True)
class PageText:
    """Result of one finished page.

    `number` counts from 1. `mean_confidence` is the mean confidence of the recognised words among `words`, from 0 to
    100; it is None if there are none. `low_confidence_words` counts the words with a confidence below 60. `passes` is
    the number of recognition passes. `damaged` means that only a part of the page could be decoded. `seconds` is the
    wall-clock time of rendering and recognition in the worker. `coverage` is the share of the page's ink that the
    recognised words account for, from 0 to 1; it is None if it was not measured. `view` is
    present if it was requested.
    """

    number: int
    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    words: int
    mean_confidence: float | None
    seconds: float
    low_confidence_words: int = 0
    passes: int = 1
    source: PageSource = PageSource.RECOGNISED
    damaged: bool = False
    failure: DocumentFailure | None = None
    coverage: float | None = None
    view: PageView | None = field(default=None, repr=False, compare=False)

    @property
    def marked(self) -> str:
        """The text, or in square brackets the kind of failure (a value of `FailureKind`) or that nothing was read."""
        if self.failure is not None:
            return f"[page could not be read: {self.failure.kind}]"
        if self.source is PageSource.UNREAD:
            return UNREAD_MARK
        return f"{self.text}\n\n{DAMAGED_MARK}".strip() if self.damaged else self.text


@dataclass(frozen=True)
class DocumentText:
    """Result of a document that was read completely. `pages` are in order.

    `incomplete` means that pages after them are lost. `unread` contains the names of attached files that were not read.
    `pages_in_file` is larger than the number of `pages` if only some were requested.
    """

    pages: tuple[PageText, ...]
    incomplete: bool = False
    unread: tuple[str, ...] = field(default=(), repr=False)  # personal data: not for tracebacks and logs
    pages_in_file: int | None = None

    @cached_property
    def text(self) -> str:
        """All pages, each after a line `--- Page N ---`, in NFC and without NUL; empty if all pages are blank."""
        joined = "\n\n".join(self._parts()) if self._has_text else ""
        return unicodedata.normalize("NFC", joined.replace("\0", ""))  # PostgreSQL stores no NUL

    @property
    def characters(self) -> int:
        """The length of `text`."""
        return len(self.text)

    @property
    def mean_confidence(self) -> float | None:
        """Mean confidence of all recognised words, from 0 to 100; None without any. Blank pages and text layers do
        not count."""
        measured = [(page.mean_confidence, page.words) for page in self.pages if page.mean_confidence is not None]
        words = sum(count for _, count in measured)
        return sum(confidence * count for confidence, count in measured) / words if words else None

    @property
    def low_confidence_share(self) -> float | None:
        """Share of the recognised words with a confidence below 60, from 0 to 1; None without any."""
        words = sum(page.words for page in self.pages if page.mean_confidence is not None)
        return sum(page.low_confidence_words for page in self.pages) / words if words else None

    @property
    def coverage(self) -> float | None:
        """Lowest coverage of any page, from 0 to 1; None if no page was measured. A mean would hide one unread page."""
        return min((page.coverage for page in self.pages if page.coverage is not None), default=None)

    @property
    def pages_blank(self) -> int:
        """Number of pages without text."""
        return self._count(PageSource.BLANK)

    @property
    def pages_text_layer(self) -> int:
        """Number of pages whose text is from their text layer."""
        return self._count(PageSource.TEXT_LAYER)

    @property
    def pages_failed(self) -> int:
        """Number of pages that could not be read."""
        return self._count(PageSource.FAILED)

    @property
    def pages_damaged(self) -> int:
        """Number of pages of which only a part could be read, or nothing although they have ink."""
        return sum(page.damaged or page.source is PageSource.UNREAD for page in self.pages)

    @property
    def passes(self) -> int:
        """Number of recognition passes of all pages."""
        return sum(page.passes for page in self.pages)

    @property
    def ocr_seconds(self) -> float:
        """Wall-clock seconds that workers spent on the pages; with several workers this exceeds the elapsed time."""
        return sum(page.seconds for page in self.pages)

    @property
    def failure(self) -> DocumentFailure | None:
        """Failure of the whole document: the most frequent failure of its pages; None if the text is usable.

        A document fails if all its pages failed, or if more than `MAX_FAILED_SHARE` of them failed and the most
        frequent kind is retryable, because a retry may read them.
        """
        failed = [page for page in self.pages if page.failure is not None]
        kinds = Counter(page.failure.kind for page in failed if page.failure)
        if not kinds:
            return None
        kind, _ = kinds.most_common(1)[0]
        first = next(page for page in failed if page.failure and page.failure.kind is kind)
        is_majority = len(failed) > MAX_FAILED_SHARE * len(self.pages)
        if first.failure and (len(failed) == len(self.pages) or (is_majority and first.failure.kind.retryable)):
            return first.failure.on_page(first.number, self.pages_in_file or len(self.pages))
        return None

    @property
    def _has_text(self) -> bool:
        return bool(self.unread) or any(page.marked for page in self.pages)

    def _count(self, source: PageSource) -> int:
        return sum(page.source is source for page in self.pages)

    def _parts(self) -> Iterator[str]:
        for page in self.pages:
            yield f"--- Page {page.number} ---\n{page.marked}".rstrip()
        if self.incomplete:
            yield INCOMPLETE_MARK
        for name in self.unread:
            yield attachment_mark(name)


DAMAGED_MARK = "[page is damaged: part of it could not be read]"

UNREAD_MARK = "[page could not be read: no words were recognised in its ink]"

INCOMPLETE_MARK = "[document is damaged: pages may be missing here]"


def attachment_mark(name: str) -> str:
    """Returns the line in the text for an attached file that was not read."""
    return f"[attached file was not read: {name}]"
