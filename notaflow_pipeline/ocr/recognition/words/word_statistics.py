"""Statistics of a pass's words: tables, typescript, dirt."""

import math
import statistics

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.preprocessing.preprocess import TARGET_DPI

MAX_SPECK_CONFIDENCE = 20.0
"""A sign or single letter with less is dirt. Without such dirt the corpus has a mean error rate of
0.0521 instead of 0.0528."""
MIN_WORD_CHARACTERS = 2
"""The letters and digits of a word; one with fewer can be dirt."""
MIN_LONG_WORD_LETTERS = 4
"""The letters that make a word clearly wider than high."""

MIN_TYPED_INCHES = 0.073
"""The width of a typed character. A typewriter sets 10 or 12 characters per inch; over the words of 21 typed corpus pages
the width is 0.076 to 0.099, of printed pages 0.057 to 0.070, except for large print."""
MIN_TABLE_DIGIT_SHARE = 0.2
"""As a share of the letters and digits of a page: above it, the page is read as a table, in which numbers matter most."""


def is_table(words: list[Word]) -> bool:
    """Returns whether these words are mainly rows of numbers."""
    return digit_share(words) > MIN_TABLE_DIGIT_SHARE


def digit_share(words: list[Word]) -> float:
    """Returns the share of digits among the letters and digits of these words; 0 without any."""
    text = "".join(word.text for word in words)
    written = sum(map(str.isalnum, text))
    return sum(map(str.isdigit, text)) / written if written else 0.0


def character_inches(words: list[Word], dpi: int | None) -> float:
    """Returns the width of a character in inches: the median over the longer words; infinite without any."""
    widths = [word.width / len(word.text) for word in words if len(word.text) >= MIN_LONG_WORD_LETTERS]
    return statistics.median(widths) / (dpi or TARGET_DPI) if widths else math.inf


def without_specks(words: list[Word]) -> list[Word]:
    """Returns the words without dirt; a `$` after a digit is the end of an amount, whatever its confidence."""
    before = [None, *words]
    return [
        word
        for one, word in zip(before, words, strict=False)
        if not is_speck(word) or (one and _is_currency_sign(one, word))
    ]


def _is_currency_sign(one: Word, word: Word) -> bool:
    same_line = one.layout_line == word.layout_line
    return same_line and word.text == "$" and one.text[-1].isdigit() and word.left - one.right < 2 * one.height


def is_speck(word: Word) -> bool:
    """Returns whether this is dirt that the engine took for a sign: low confidence, and neither a word nor a digit."""
    written = sum(map(str.isalnum, word.text))
    return (
        word.confidence < MAX_SPECK_CONFIDENCE
        and written < MIN_WORD_CHARACTERS
        and not any(map(str.isdigit, word.text))
    )


def has_vertical_lines(words: list[Word]) -> bool:
    """Returns whether most words are higher than wide: Tesseract also reads vertical lines, but mixes them up."""
    long = [word for word in words if len(word.text) >= MIN_LONG_WORD_LETTERS]
    return sum(word.height > word.width for word in long) > len(long) / 2
