"""The interface of an OCR engine."""

import os
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

from PIL import Image

from notaflow_pipeline.ocr.engines.words import Word, text_of_words
from notaflow_pipeline.ocr.failures import EngineUnavailable

LOW_CONFIDENCE = 60
"""Words below this are mostly wrong: their share follows the error rate with a rank correlation of 0.62."""


@dataclass(frozen=True)
class Recognition:
    """The text of a page, and figures about its recognition.

    `mean_confidence` is from 0 to 100 over the words, None without any; `low_confidence_words` is the number of words
    below 60. `passes` is the number of calls of the engine, 0 if the pixels showed that the page is blank. `blank` says
    that the page has no content; a page whose content could not be read is not blank. `coverage` is the share of the ink
    on the page, from 0 to 1, that the words account for; None if it was not measured or there is no ink. `placed` are the
    words in reading order, at their positions on the original page; empty if these are unknown, or if the page had to be
    turned. `image_words` are the same at their positions on `image`, the image that the engine got; None is the
    image that was given.
    """

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    words: int
    mean_confidence: float | None
    low_confidence_words: int = 0
    passes: int = 1
    blank: bool = False
    coverage: float | None = None
    placed: tuple[Word, ...] = field(default=(), repr=False)
    image_words: tuple[Word, ...] = field(default=(), repr=False, compare=False)
    image: Image.Image | None = field(default=None, repr=False, compare=False)


NOTHING = Recognition("", 0, None, passes=0, blank=True)


class Segmentation(Enum):
    """The layout that the engine is to expect on a page; the values are Tesseract's page segmentation modes."""

    AUTOMATIC = 3
    SINGLE_COLUMN = 4
    SINGLE_BLOCK = 6
    RAW_LINE = 13
    """One line, read whole: Tesseract does not look for lines and words in it, and leaves out nothing."""


class Engine(Protocol):
    """Reads page images. It is pickled and sent to worker processes, so its class must be importable by name."""

    @property
    def name(self) -> str:
        """The name in reports."""

    def check(self) -> None:
        """Raise `EngineUnavailable` if the engine cannot read any page on this machine. Cheap enough for the start of
        every run.
        """

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        """Read a grey (mode `L`) page image without preprocessing; `dpi` is its resolution, None if unknown.

        `timeout_seconds` are CPU seconds, for engines that can stop; for others the process is ended. Raises
        `DocumentFailure` if this page cannot be read, `EngineUnavailable` if no page can be read.
        """


@runtime_checkable
class WordEngine(Engine, Protocol):
    """An engine that returns the position and the confidence of each word, which further passes over a page need."""

    @property
    def languages(self) -> str:
        """The languages of the documents, as Tesseract's codes joined by `+`; the first one leads."""

    def find_words(
        self,
        image: Image.Image,
        dpi: int | None,
        timeout_seconds: float,
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> list[Word]:
        """Return the words of a grey page in reading order, from one pass; `languages` narrows the engine's own."""


def recognition_of(words: list[Word], passes: int = 1) -> Recognition:
    """Returns text and figures of the words of a page."""
    if not words:
        return Recognition("", 0, None, passes=passes)
    return Recognition(
        text_of_words(words),
        len(words),
        sum(word.confidence for word in words) / len(words),
        sum(word.confidence < LOW_CONFIDENCE for word in words),
        passes,
        image_words=tuple(words),
    )


def require_languages(languages: str, installed: list[str]) -> None:
    """Raises `EngineUnavailable` for a language without a model."""
    for language in languages.split("+"):
        if language not in installed:
            raise missing_language_error(language, installed)


def missing_language_error(language: str, installed: list[str]) -> EngineUnavailable:
    """Returns the error for a language without a model; a wrong TESSDATA_PREFIX is named as the cause."""
    if prefix := os.environ.get("TESSDATA_PREFIX"):
        return EngineUnavailable(
            f"TESSDATA_PREFIX={prefix} has no {language or 'fra'}.traineddata (languages there: "
            f"{', '.join(installed) or 'none'}): set it to a folder of models, or unset it to use the installed ones"
        )
    return EngineUnavailable(
        f"Tesseract has no language data for '{language}' (it has {', '.join(installed) or 'none'}): "
        f"install tesseract-ocr-{language or 'fra'} or change OCR_LANGUAGES"
    )
