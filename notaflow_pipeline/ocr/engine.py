"""Who reads the text off a page image: the engine's interface, Tesseract behind it, and one that only pretends.

All that is known about Tesseract's program, its options and its complaints stands here.
"""

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from PIL import Image

from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, FailureKind
from notaflow_pipeline.ocr.layout import text_of_words, words_of_tsv

SMALLEST_SIDE_PIXELS = 10
"""No letter fits into less, and Tesseract complains about it."""

FAINTEST_CONTRAST = 16
"""A page whose darkest and lightest pixel are closer than this (of 255) is blank; Tesseract would need 0.2 s for it."""


@dataclass(frozen=True)
class Recognition:
    """What stands on a page. `mean_confidence` is from 0 to 100 over its words, None without any.

    `low_confidence_words` are those below 60, `passes` is how often the page was recognised, `blank` that nothing is on it.
    """

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    words: int
    mean_confidence: float | None
    low_confidence_words: int = 0
    passes: int = 1
    blank: bool = False


NOTHING = Recognition("", 0, None, blank=True)

LOW_CONFIDENCE = 60
"""Of 100; below it, two words of five are wrong on the pages that were measured."""


class Engine(Protocol):
    """Reads page images. Is pickled and sent to worker processes, so its class must be importable by name."""

    @property
    def name(self) -> str:
        """How reports call it."""

    def check(self) -> None:
        """Raise `EngineUnavailable` if no page at all could be read here. Cheap enough for the start of every run."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        """Read a grey (mode `L`) page of the given resolution, None if unknown.

        Raises `DocumentFailure` if this page cannot be read, `EngineUnavailable` if none could.
        """


@dataclass(frozen=True)
class TesseractEngine:
    """Tesseract through pytesseract: one recognition a page, from an uncompressed file, in one thread.

    `languages` are Tesseract's codes joined by `+`; the first one leads.
    """

    languages: str = "fra+eng"

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"tesseract ({self.languages})"

    def check(self) -> None:
        """Raise `EngineUnavailable` unless Tesseract runs here and has every language; takes some 20 ms."""
        import pytesseract  # not at the top: it drags in pandas, which workers bar first (`workers.begin_work`)

        try:
            installed = sorted(pytesseract.get_languages())
        except (pytesseract.TesseractNotFoundError, OSError) as error:
            raise _not_installed() from error
        for language in self.languages.split("+"):
            if language not in installed:
                raise EngineUnavailable(
                    f"Tesseract has no language data for '{language}' (it has {', '.join(installed) or 'none'}): "
                    f"install tesseract-ocr-{language or 'fra'} or change OCR_LANGUAGES"
                )

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        """Read a page; see `Engine`. Temporary files lie in Python's temporary folder and are gone afterwards."""
        if min(image.size) < SMALLEST_SIDE_PIXELS or _contrast(image) < FAINTEST_CONTRAST:
            return NOTHING
        try:
            with tempfile.TemporaryDirectory(prefix="page-") as folder:
                page = Path(folder) / "page.pgm"
                image.save(page, format="PPM")  # writing PNG took 0.69 s a page, this takes 10 ms
                tsv = self._tsv(page, dpi, timeout_seconds)
        except OSError as error:
            raise EngineUnavailable(
                f"Tesseract cannot work here ({error.strerror}): see that the temporary folder is writable and not full"
            ) from error
        words = list(words_of_tsv(tsv))
        if not words:
            return NOTHING
        return Recognition(
            text_of_words(words),
            len(words),
            sum(word.confidence for word in words) / len(words),
            low_confidence_words=sum(word.confidence < LOW_CONFIDENCE for word in words),
        )

    def _tsv(self, page: Path, dpi: int | None, timeout_seconds: float) -> str:
        import pytesseract

        # pytesseract passes on this process's environment. Without the limit, Tesseract's OpenMP threads spin while
        # they wait for each other: 12 pages took 84 s instead of 15 s on two busy cores.
        os.environ["OMP_THREAD_LIMIT"] = "1"
        options = f"--dpi {dpi}" if dpi else ""
        try:
            return str(
                pytesseract.image_to_data(str(page), lang=self.languages, config=options, timeout=timeout_seconds)
            )
        except pytesseract.TesseractNotFoundError as error:
            raise _not_installed() from error
        except pytesseract.TesseractError as error:
            raise self._complaint(error.status, error.message) from error
        except RuntimeError as error:  # what pytesseract raises when it has killed Tesseract at the deadline
            raise DocumentFailure(
                FailureKind.TIMEOUT,
                f"Recognition was stopped after {timeout_seconds:.0f} s. Try again when the machine is less busy.",
            ) from error
        except ValueError as error:
            raise DocumentFailure(FailureKind.ENGINE, "Tesseract's answer could not be decoded. Try again.") from error

    def _complaint(self, status: int, message: str) -> Exception:
        if "load any languages" in message or "Error opening data file" in message:
            return EngineUnavailable(
                f"Tesseract has no language data for '{self.languages}': install it or change OCR_LANGUAGES"
            )
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return DocumentFailure(
            FailureKind.ENGINE, f"Tesseract {ended} on this page. Try again; see that the machine has memory left."
        )


@dataclass(frozen=True)
class NullEngine:
    """Reads nothing and says how large the page was: for tests of whatever lies around an engine.

    `sleep_seconds` is how long each page pretends to take.
    """

    sleep_seconds: float = 0.0

    @property
    def name(self) -> str:
        """How reports call it."""
        return "null"

    def check(self) -> None:
        """Nothing can be missing."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        """The page's size as text, `page of WxH`, with confidence 90."""
        time.sleep(self.sleep_seconds)
        return Recognition(f"page of {image.width}x{image.height}", 3, 90.0)


def _contrast(image: Image.Image) -> float:
    darkest, lightest = image.convert("L").getextrema()
    if isinstance(darkest, tuple) or isinstance(lightest, tuple):  # only of images with several bands
        raise TypeError(image.mode)
    return lightest - darkest


def _not_installed() -> EngineUnavailable:
    return EngineUnavailable(
        "Tesseract is not installed or not on PATH: `apt-get install tesseract-ocr tesseract-ocr-fra` "
        "(Debian, Ubuntu), `brew install tesseract tesseract-lang` (macOS)"
    )
