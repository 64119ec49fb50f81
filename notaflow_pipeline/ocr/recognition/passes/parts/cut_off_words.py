"""Reads the words that the layout analysis cut off a line or left out of it.

Their ink is level with the line and near it, and no word covers it. Lines without any word are found by `missed_ink`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import Line, Word, edges_of, lines_of, word_height
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.recognition.passes.parts.missed_ink import (
    LINE_HEIGHT_RANGE,
    MIN_WORDS,
    Box,
    overlap_across,
    uncovered_ink,
)
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.words.rows import row_height
from notaflow_pipeline.ocr.recognition.words.word_statistics import is_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_INKED_HEIGHTS = 0.4
"""The minimum number of columns of pixels with uncovered ink beside a line, in heights of a word: a letter."""

MIN_INKED_WORD_HEIGHTS = 0.2
"""The same for a word: one with less was read from ink that other words cover."""

REACH_HEIGHTS = 8.0
"""How far from a line its ink may be, in heights of a word. Half of it gives the same error rates (to 0.0002)."""

MARGIN_HEIGHTS = 0.4
"""The paper around a line, in heights of a word."""

MIN_CONFIDENCE = 80.0
"""The minimum of a new word. With 65, brackets, stamps and dirt beside lines are read as words: the first 20 corpus pages,
skewed by 7 degrees, have an error rate of 0.0638 instead of 0.0633."""

MAX_LINES = 12
"""The number of lines of a page that are read again, those with the most ink first; 30 gives the same text."""


@dataclass(frozen=True)
class _CutLine:
    """A line with ink beside it, the box of both, and the number of columns of pixels with such ink."""

    words: Line
    box: Box
    inked_columns: int


def with_cut_off_words(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns the result with the words that were read beside its lines, in these lines; tables are not changed."""
    if not runner.policy.cut_off_words or len(found.words) < MIN_WORDS or is_table(found.words):
        return found
    words, height = found.words, word_height(found.words)
    ink = uncovered_ink(found.prepared.image, words, height)
    cut = sorted(_cut_lines(ink, words, height), key=lambda line: -line.inked_columns)
    for line in cut[:MAX_LINES]:
        if not runner.is_short_of_time:
            read = [word for word in _words_in(runner, found, line.box) if _is_on(ink, word, height)]
            words = _with_new(words, line, read, height)
    return replace(found, words=words)


def _cut_lines(ink: "NDArray[np.bool_]", words: Sequence[Word], height: float) -> Iterator[_CutLine]:
    import numpy as np

    reach, margin = round(REACH_HEIGHTS * height), round(MARGIN_HEIGHTS * height)
    for line in lines_of(words):
        left, top, right, bottom = edges_of(line)
        start = max(0, left - reach)
        columns = np.flatnonzero(ink[top:bottom, start : right + reach].any(axis=0))
        if len(columns) >= MIN_INKED_HEIGHTS * height and bottom - top <= LINE_HEIGHT_RANGE[1] * height:
            box = (
                max(0, min(left, start + int(columns[0])) - margin),
                max(0, top - margin),
                min(ink.shape[1], max(right, start + int(columns[-1])) + margin),
                min(ink.shape[0], bottom + margin),
            )
            yield _CutLine(line, box, len(columns))


def _words_in(runner: PassRunner, found: PassResult, box: Box) -> list[Word]:
    """Returns the words of a box as one line: looking for lines in it, Tesseract would leave out the same words again."""
    with suppress(DocumentFailure):
        part = replace(found.prepared, image=found.prepared.image.crop(box))
        read = runner.run(part, segmentation=Segmentation.RAW_LINE).words
        return [replace(word, left=word.left + box[0], top=word.top + box[1]) for word in read]
    return []


def _is_on(ink: "NDArray[np.bool_]", word: Word, height: float) -> bool:
    columns = ink[max(0, word.top) : word.bottom, max(0, word.left) : word.right].any(axis=0)
    return int(columns.sum()) >= MIN_INKED_WORD_HEIGHTS * height and any(map(str.isalnum, word.text))


def _with_new(words: Sequence[Word], cut: _CutLine, read: Sequence[Word], height: float) -> list[Word]:
    """Returns the words with those that were read in a line, in one line with all that are level with it.

    It stands where the longest part of it stood.
    """
    known = {id(word) for word in cut.words}
    middle, (left, _, right, _) = row_height(cut.words), cut.box
    level = [
        word
        for word in words
        if id(word) in known
        or (abs(word.middle - middle) < 0.5 * height and left <= word.left + word.width / 2 <= right)
    ]
    if not level:  # its words have joined another line
        return list(words)
    first, old = max(lines_of(level), key=len)[0], {id(word) for word in level}
    if len(old) > len(known):  # a line in parts, whose order can be wrong
        level.sort(key=lambda word: word.left)
    row = level
    for word in read:
        row = _with_word(row, word)
    if row == level:
        return list(words)
    place = next(number for number, word in enumerate(words) if word is first)
    above, below = ([word for word in part if id(word) not in old] for part in (words[:place], words[place:]))
    row = [replace(word, block=first.block, paragraph=first.paragraph, line=first.line) for word in row]
    return [*above, *row, *below]


def _with_word(row: Line, word: Word) -> Line:
    """Returns a row with a new word, which replaces words in its place only if it is longer and has more confidence."""
    same = [other for other in row if overlap_across(word, other) > 0]
    longer = len(word.text) > sum(len(other.text) for other in same)
    if word.confidence <= max((other.confidence for other in same), default=MIN_CONFIDENCE) or not longer:
        return row
    others = [other for other in row if other not in same]
    place = next((number for number, other in enumerate(others) if other.left > word.left), len(others))
    return [*others[:place], word, *others[place:]]
