"""What came out: the text of a page, and of a document as the contract wants it stored."""

import unicodedata
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class PageText:
    """One page that was read.

    `number` counts from 1; `mean_confidence` is from 0 to 100 over `words`, None without any; `seconds` is what
    rendering and recognition took in the worker, by the clock.
    """

    number: int
    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    words: int
    mean_confidence: float | None
    seconds: float


@dataclass(frozen=True)
class DocumentText:
    """A document that was read to its end; `pages` are in order."""

    pages: tuple[PageText, ...]

    @cached_property
    def text(self) -> str:
        """Every page after a line `--- Page N ---`, in NFC and without NUL; empty if no page has a word."""
        if not any(page.words for page in self.pages):
            return ""
        joined = "\n\n".join(f"--- Page {page.number} ---\n{page.text}".rstrip() for page in self.pages)
        return unicodedata.normalize("NFC", joined.replace("\0", ""))  # PostgreSQL stores no NUL

    @property
    def characters(self) -> int:
        """The length of `text`."""
        return len(self.text)

    @property
    def mean_confidence(self) -> float | None:
        """From 0 to 100 over all words of all pages, None without any: a blank page says nothing."""
        words = sum(page.words for page in self.pages)
        if not words:
            return None
        return sum(page.mean_confidence * page.words for page in self.pages if page.mean_confidence is not None) / words

    @property
    def ocr_seconds(self) -> float:
        """Worker time spent on the pages; with several workers more than the time that passed."""
        return sum(page.seconds for page in self.pages)
