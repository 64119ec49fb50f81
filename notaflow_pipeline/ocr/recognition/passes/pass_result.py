"""The result of one pass over a page, and the decisions between passes that can be switched off to measure them."""

import math
from dataclasses import dataclass
from functools import cached_property

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.preprocessing.preprocess import ALL_STEPS, PreprocessedPage, Steps
from notaflow_pipeline.ocr.recognition.coverage import LOW_COVERAGE, ink_coverage

GOOD_CONFIDENCE = 80.0
"""The result of a pass with at least this confidence is kept.

Further passes over the other pages lower the mean error rate of the 40 corpus pages, without the line that libraries
print under their scans, from 0.061 to 0.053. With limits of 83 and 86 it is 0.053 and 0.054, with 90 it is 0.056, at a
higher cost.
"""

GUESS_CONFIDENCE = 55.0
"""The confidence of a word that is little more than a guess. Many such words must not outweigh a few that were read."""


@dataclass(frozen=True)
class Policy:
    """The decisions; benchmarks switch them off one by one."""

    steps: Steps = ALL_STEPS
    first_dpi: int | None = None
    """None chooses the resolution by the size of the print."""

    good_confidence: float = GOOD_CONFIDENCE
    choose_language: bool = True
    typescript_model: bool = True
    missed_lines: bool = True
    cut_lines: bool = True
    cut_off_words: bool = True
    filled_in_values: bool = True
    sideways_lines: bool = True
    unsure_words: bool = True
    ruling: bool = True
    without_specks: bool = True
    plain_pass: bool = True
    strip: bool = True
    all_languages_later: bool = True
    """Doubtful pages gain from both languages, at 1.3 times the cost of the pass: on the corpus 0.0532 instead of 0.0535."""


DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class PassResult:
    """The result of one pass over one preprocessed page."""

    words: list[Word]
    prepared: PreprocessedPage

    @property
    def confidence(self) -> float:
        """The mean over the words, 0 without any."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 0.0

    @cached_property
    def coverage(self) -> float | None:
        """The share of the page's ink in its words, see `ink_coverage`."""
        return ink_coverage(self.prepared.image, self.words)

    @property
    def has_low_coverage(self) -> bool:
        """Whether the page has print that was not read, or pictures."""
        return self.coverage is not None and self.coverage < LOW_COVERAGE

    @property
    def score(self) -> float:
        """The number of letters, weighted by how far the mean confidence is above a guess.

        It ranks passes. Mean confidence alone would prefer the pass that read least. Without words it is below every
        other: a pass that found nothing must not replace words of low confidence.
        """
        if not self.words:
            return -math.inf
        return (self.confidence - GUESS_CONFIDENCE) * sum(len(word.text) for word in self.words)
