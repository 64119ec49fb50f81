"""Reads the rows of numbers on a page of prose again at a higher resolution.

At 150 dpi the decimal points of small digits are lost: `70.9` is read as `709` with high confidence. Pages that are
tables as a whole are read by `tables`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from notaflow_pipeline.ocr.engines.words import Line, Word, lines_of, word_height
from notaflow_pipeline.ocr.preprocessing.preprocess import SMALL_PRINT_DPI, TARGET_DPI, PreprocessedPage, upscaled
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.words.word_statistics import (
    MIN_TYPED_INCHES,
    character_inches,
    digit_share,
    is_table,
)

MIN_DIGIT_SHARE = 0.5
"""The minimum share of digits among the letters and digits of a row of numbers."""

MIN_NUMBERS = 3
"""The minimum of numbers in a row of numbers; an address or a telephone number has fewer."""

MIN_ROWS = 3
"""The minimum of rows in succession; fewer are not a table."""

MAX_DIGIT_INCHES = 0.1
"""The height of digits in print of ten points and a half. In smaller print, decimal points are lost at 150 dpi."""

MAX_PARAGRAPH_LINES = 1000
"""More than a paragraph has, so that lines of different paragraphs get different numbers in one paragraph."""


def with_finer_rows(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns the result with rows of small numbers read at a higher resolution, where that reading has a higher score."""
    prepared = found.prepared
    dpi = prepared.dpi or TARGET_DPI
    if dpi >= SMALL_PRINT_DPI or not prepared.steps.scale or is_table(found.words):
        return found
    tables = [rows for rows in _tables(found.words) if _is_small_print([w for row in rows for w in row], dpi)]
    if not tables:
        return found
    fine = upscaled(prepared, SMALL_PRINT_DPI)
    words = found.words
    for rows in tables:
        known = [word for row in rows for word in row]
        again = _read_finer(runner, PassResult(known, prepared), fine)
        place = next(number for number, word in enumerate(words) if word is known[0])
        others = [*words[:place], *words[place + len(known) :]]
        words = [
            *words[:place],
            *(word for word in again if not _is_already_known(word, others)),
            *words[place + len(known) :],
        ]
    return replace(found, words=words)


def _read_finer(runner: PassRunner, known: PassResult, fine: PreprocessedPage) -> list[Word]:
    """Returns the words of some rows read on the finer page, or the known words if their score is higher."""
    factor = fine.image.width / known.prepared.image.width
    margin = word_height(known.words) / 2
    left, top, right, bottom = (
        round(factor * edge)
        for edge in (
            min(word.left for word in known.words) - 2 * margin,
            min(word.top for word in known.words) - margin,
            max(word.right for word in known.words) + 2 * margin,
            max(word.bottom for word in known.words) + margin,
        )
    )
    left, top = max(left, 0), max(top, 0)
    part = fine.image.crop((left, top, min(right, fine.image.width), min(bottom, fine.image.height)))
    again = runner.better(known, replace(fine, image=part))
    if again is known:
        return known.words
    moved = (replace(word, left=word.left + left, top=word.top + top) for word in again.words)
    return [_on_coarser_page(word, 1 / factor, known.words[0]) for word in moved]


def _tables(words: Sequence[Word]) -> Iterator[list[Line]]:
    """Yields the groups of consecutive rows of numbers."""
    for has_numbers, rows in groupby(lines_of(words), _is_row_of_numbers):
        table = list(rows)
        if has_numbers and len(table) >= MIN_ROWS:
            yield table


def _is_row_of_numbers(line: Line) -> bool:
    numbers = sum(any(map(str.isdigit, word.text)) for word in line)
    return numbers >= MIN_NUMBERS and digit_share(line) >= MIN_DIGIT_SHARE


def _is_small_print(words: list[Word], dpi: int) -> bool:
    return word_height(words) <= MAX_DIGIT_INCHES * dpi and character_inches(words, dpi) < MIN_TYPED_INCHES


def _on_coarser_page(word: Word, factor: float, first: Word) -> Word:
    """Returns a word at its position on the coarser page, in the block and the paragraph of the table's first word."""
    return replace(
        word,
        block=first.block,
        paragraph=first.paragraph,
        line=MAX_PARAGRAPH_LINES * (MAX_PARAGRAPH_LINES * word.block + word.paragraph) + word.line,
        left=round(factor * word.left),
        top=round(factor * word.top),
        width=round(factor * word.width),
        height=round(factor * word.height),
    )


def _is_already_known(word: Word, others: Sequence[Word]) -> bool:
    """Returns whether a word lies on one of the words outside of the rows that were read again."""
    return any(
        other.top < word.middle < other.bottom and word.left < other.right and other.left < word.right
        for other in others
    )
