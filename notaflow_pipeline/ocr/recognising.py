"""How is a page read well and quickly? Prepare it, read it once, and try again only where that pays.

The policy alone: the steps of preparation are `preparing`'s, the order of words is `layout`'s, and the engine is
whichever is given. `benchmarks/quality.py` prints what each decision here costs and gains.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from notaflow_pipeline.ocr.engine import NOTHING, Engine, Recognition, Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.interface import recognition_of
from notaflow_pipeline.ocr.language import leading_language, other_language
from notaflow_pipeline.ocr.layout import Word, ordered_words
from notaflow_pipeline.ocr.preparing import (
    ALL_STEPS,
    Prepared,
    Steps,
    finer,
    has_no_ink,
    is_blank,
    prepare,
    smoother,
    upside_down,
)

GOOD_CONFIDENCE = 80.0
ENOUGH_WORDS = 8
"""A first try with so much confidence, in so many words, is kept."""

UPSIDE_DOWN_CONFIDENCE = 55.0
"""Text that stands on its head is read with a mean confidence of 31 to 40, upright text with 85 to 95."""

JUNK_SECONDS = 2.0
"""A first try that took so long and is not believed is noise, not text: another one would take as long."""

LEAST_SECONDS = 0.5


@dataclass(frozen=True)
class Policy:
    """The decisions, for measuring them one by one."""

    steps: Steps = ALL_STEPS
    good_confidence: float = GOOD_CONFIDENCE
    choose_language: bool = True


DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Try:
    """What one pass found on one preparation of a page."""

    words: list[Word]
    prepared: Prepared

    @property
    def confidence(self) -> float:
        """The mean over the words, 0 without any."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 0.0

    @property
    def worth(self) -> float:
        """How much was read, and how surely: letters count by how far their word is above a guess.

        It chooses between tries: mean confidence alone would prefer the one that read least.
        """
        return (self.confidence - 50) * sum(len(word.text) for word in self.words) if self.words else 0.0


def read_page(
    image: Image.Image,
    dpi: int | None,
    engine: Engine,
    timeout_seconds: float,
    policy: Policy = DEFAULT_POLICY,
) -> Recognition:
    """Read a grey (mode `L`) page that is upright by its tags.

    `dpi` is what the file says; wrong or absent does no harm. Engines that do not say where words stand read the page
    as it is. Raises `DocumentFailure` and `EngineUnavailable` as the engine does.
    """
    if not isinstance(engine, WordEngine):
        return engine.recognise(image, dpi, timeout_seconds)
    if is_blank(image):
        return NOTHING
    prepared = prepare(image, dpi, policy.steps)
    if policy.steps.background and has_no_ink(prepared.image):
        return NOTHING
    return _Reading(engine, time.monotonic() + timeout_seconds, policy).of(prepared)


class _Reading:
    """The tries at one page."""

    def __init__(self, engine: WordEngine, deadline: float, policy: Policy) -> None:
        self._engine = engine
        self._deadline = deadline
        self._policy = policy
        self._passes = 0

    def of(self, prepared: Prepared) -> Recognition:
        languages = leading_language(self._engine.languages) if self._policy.choose_language else self._engine.languages
        began = time.monotonic()
        best = self._try(prepared, languages)
        if self._policy.choose_language:
            other = other_language(best.words, self._engine.languages)
            if other:
                languages = other
                best = max(best, self._try(prepared, other), key=lambda one: one.worth)
        if not self._good(best) and time.monotonic() - began < JUNK_SECONDS:
            for another, segmentation in self._others(prepared, best):
                best = max(best, self._try(another, languages, segmentation), key=lambda one: one.worth)
                if self._good(best) or self._short_of_time():
                    break
        words = ordered_words(best.words, *best.prepared.image.size)
        return recognition_of(words, self._passes)

    def _try(self, prepared: Prepared, languages: str, segmentation: Segmentation = Segmentation.AUTOMATIC) -> Try:
        self._passes += 1
        left_seconds = max(self._deadline - time.monotonic(), LEAST_SECONDS)
        return Try(
            self._engine.find_words(prepared.image, prepared.dpi, left_seconds, languages, segmentation), prepared
        )

    def _good(self, one: Try) -> bool:
        return one.confidence >= self._policy.good_confidence and len(one.words) >= ENOUGH_WORDS

    def _short_of_time(self) -> bool:
        return self._deadline - time.monotonic() < 2 * LEAST_SECONDS

    def _others(self, prepared: Prepared, first: Try) -> Iterator[tuple[Prepared, Segmentation]]:
        """Other ways to look at the page, the most promising first."""
        if first.confidence < UPSIDE_DOWN_CONFIDENCE:
            yield upside_down(prepared), Segmentation.AUTOMATIC
        yield smoother(prepared), Segmentation.SINGLE_COLUMN
        yield finer(prepared), Segmentation.SINGLE_COLUMN
