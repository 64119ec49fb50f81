"""The result of reading: the text of a page, and of a document as it is stored."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from notaflow_pipeline.ocr.failures import DocumentFailure

MAX_FAILED_SHARE = 0.5
"""If more of the pages than this failed, and another attempt could help, it is better than what was read."""


class PageSource(Enum):
    """Where a page's text is from."""

    RECOGNISED = "recognised"
    TEXT_LAYER = "text layer"
    BLANK = "blank"
    FAILED = "failed"


@dataclass(frozen=True)
class PageText:
    """One page that is done with.

    `number` counts from 1; `mean_confidence` is from 0 to 100 over the recognised ones of its `words`, None without
    any; `low_confidence_words` are those below 60; `passes` is how often it was recognised; `damaged` tells that only a
    part of it could be decoded; `seconds` is what rendering and recognition took in the worker, by the clock; `coverage`
    is the share of its ink that the recognised words account for, from 0 to 1, None where it was not measured.
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

    @property
    def marked(self) -> str:
        """The text, or what is wrong with it in square brackets; the kinds are those of `FailureKind`."""
        if self.failure is not None:
            return f"[page could not be read: {self.failure.kind}]"
        return f"{self.text}\n\n{DAMAGED_MARK}".strip() if self.damaged else self.text


@dataclass(frozen=True)
class DocumentText:
    """A document that was read to its end; `pages` are in order.

    `incomplete` tells that pages behind them are lost, `unread` names files that are attached and were not read.
    """

    pages: tuple[PageText, ...]
    incomplete: bool = False
    unread: tuple[str, ...] = field(default=(), repr=False)  # personal data: not for tracebacks and logs

    @cached_property
    def text(self) -> str:
        """Every page after a line `--- Page N ---`, in NFC and without NUL; empty if all pages are blank."""
        joined = "\n\n".join(self._parts()) if self._says_something else ""
        return unicodedata.normalize("NFC", joined.replace("\0", ""))  # PostgreSQL stores no NUL

    @property
    def characters(self) -> int:
        """The length of `text`."""
        return len(self.text)

    @property
    def mean_confidence(self) -> float | None:
        """From 0 to 100 over all recognised words, None without any: a blank page says nothing, a text layer neither."""
        sure = [(page.mean_confidence, page.words) for page in self.pages if page.mean_confidence is not None]
        words = sum(count for _, count in sure)
        return sum(confidence * count for confidence, count in sure) / words if words else None

    @property
    def low_confidence_share(self) -> float | None:
        """Of the recognised words, the share with a confidence below 60, from 0 to 1; None without any."""
        words = sum(page.words for page in self.pages if page.mean_confidence is not None)
        return sum(page.low_confidence_words for page in self.pages) / words if words else None

    @property
    def coverage(self) -> float | None:
        """The lowest coverage of a page, from 0 to 1; None if it was measured on none. A mean would hide one unread page."""
        return min((page.coverage for page in self.pages if page.coverage is not None), default=None)

    @property
    def pages_blank(self) -> int:
        """Pages on which nothing stands."""
        return self._count(PageSource.BLANK)

    @property
    def pages_text_layer(self) -> int:
        """Pages whose text did not have to be recognised."""
        return self._count(PageSource.TEXT_LAYER)

    @property
    def pages_failed(self) -> int:
        """Pages that could not be read."""
        return self._count(PageSource.FAILED)

    @property
    def pages_damaged(self) -> int:
        """Pages of which only a part could be read."""
        return sum(page.damaged for page in self.pages)

    @property
    def passes(self) -> int:
        """How many recognitions all pages took."""
        return sum(page.passes for page in self.pages)

    @property
    def ocr_seconds(self) -> float:
        """Worker time spent on the pages; with several workers more than the time that passed."""
        return sum(page.seconds for page in self.pages)

    @property
    def failure(self) -> DocumentFailure | None:
        """What the document as a whole failed from: its most frequent failure of a page; None if its text is of use.

        It is of use as soon as one page was read. But where most pages failed from something that depends on the
        machine as well, another attempt is worth more than the rest.
        """
        failed = [page for page in self.pages if page.failure is not None]
        kinds = Counter(page.failure.kind for page in failed if page.failure)
        if not kinds:
            return None
        kind, _ = kinds.most_common(1)[0]
        first = next(page for page in failed if page.failure and page.failure.kind is kind)
        most = len(failed) > MAX_FAILED_SHARE * len(self.pages)
        if first.failure and (len(failed) == len(self.pages) or (most and first.failure.retryable)):
            return first.failure.on_page(first.number, len(self.pages))
        return None

    @property
    def _says_something(self) -> bool:
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

INCOMPLETE_MARK = "[document is damaged: pages may be missing here]"


def attachment_mark(name: str) -> str:
    """What stands in the text for an attached file that was not read."""
    return f"[attached file was not read: {name}]"
