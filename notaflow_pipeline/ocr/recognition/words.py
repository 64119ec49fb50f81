"""Statistics of a pass's words: tables, typescript, dirt."""

import math
import statistics

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.preprocessing.preprocess import TARGET_DPI

MAX_SPECK_CONFIDENCE = 20.0
"""A sign or single letter with less is dirt; without it the corpus has a mean error rate of 0.0521 instead of 0.0528."""
MIN_WORD_CHARACTERS = 2
"""Letters and figures; what has fewer can be dirt."""
MIN_LONG_WORD_LETTERS = 4
"""Letters that make a word clearly wider than high."""

MIN_TYPED_INCHES = 0.073
"""A typewriter sets 10 or 12 characters to an inch; over the words of 21 typed corpus pages this is 0.076 to 0.099, of
printed pages 0.057 to 0.070, but for large print."""
MIN_TABLE_FIGURES = 0.2
"""Of the letters and figures of a page, above which it is read as a table: its numbers are what it is for."""


def is_table(words: list[Word]) -> bool:
    """Whether these words are rows of numbers for the most part."""
    return figures_share(words) > MIN_TABLE_FIGURES


def figures_share(words: list[Word]) -> float:
    """Which share of the letters and figures of these words are figures; 0 without any."""
    text = "".join(word.text for word in words)
    written = sum(map(str.isalnum, text))
    return sum(map(str.isdigit, text)) / written if written else 0.0


def character_inches(words: list[Word], dpi: int | None) -> float:
    """How wide a character is: the median over the longer words; infinite without any."""
    widths = [word.width / len(word.text) for word in words if len(word.text) >= MIN_LONG_WORD_LETTERS]
    return statistics.median(widths) / (dpi or TARGET_DPI) if widths else math.inf


def without_specks(words: list[Word]) -> list[Word]:
    """The words without dirt; a `$` behind a figure is the end of an amount, however surely it was read."""
    before = [None, *words]
    return [
        word
        for one, word in zip(before, words, strict=False)
        if not is_speck(word) or (one and _is_currency_sign(one, word))
    ]


def _is_currency_sign(one: Word, word: Word) -> bool:
    same_line = (one.block, one.paragraph, one.line) == (word.block, word.paragraph, word.line)
    return same_line and word.text == "$" and one.text[-1].isdigit() and word.left - one.right < 2 * one.height


def is_speck(word: Word) -> bool:
    """Whether this is dirt that the engine took for a sign: less than a guess, and neither a word nor a figure."""
    written = sum(map(str.isalnum, word.text))
    return (
        word.confidence < MAX_SPECK_CONFIDENCE
        and written < MIN_WORD_CHARACTERS
        and not any(map(str.isdigit, word.text))
    )


def has_vertical_lines(words: list[Word]) -> bool:
    """Whether most words are higher than wide: Tesseract reads lines that run up the page too, but mixes them up."""
    long = [word for word in words if len(word.text) >= MIN_LONG_WORD_LETTERS]
    return sum(word.height > word.width for word in long) > len(long) / 2
