"""Places text that was typed over a scan among the lines of the scan, by position."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from notaflow_pipeline.ocr.input.text_layer.layer_order import COLUMN_GAP, LayerLine, LayerWord
from notaflow_pipeline.ocr.input.text_layer.line_segments import MIN_WIDE_GAP

MIN_ROW_OVERLAP = 0.5
"""Minimum overlap of two lines in one row, as a share of the height of the lower line."""

MAX_WORD_OVERLAP = 0.2
"""Maximum share of a typed word that lies over a word of the scan. A word above it is a mark over the text, not a
value in a gap."""


def with_typed_lines(lines: Sequence[LayerLine], typed: Sequence[LayerLine]) -> list[LayerLine]:
    """Returns the lines of a scan with the typed lines at their places; marks over the text come last.

    A typed value beside words of the scan becomes a part of their line. A mark is a typed line that covers words of the
    scan, or has the same text as such a line.
    """
    covering = {one.text for one in typed if one.angle or any(_is_over_words(one, line) for line in lines)}
    merged = list(lines)
    for one in typed:
        if one.text in covering:
            continue
        number = _line_in_row(merged, one)
        if number is None:
            _insert(merged, one)
        else:
            merged[number] = _joined(merged[number], one)
    return [*merged, *(one for one in typed if one.text in covering)]


def words_near(typed: LayerLine, lines: Sequence[LayerLine]) -> list[str]:
    """Returns the words that overlap a typed line, or are nearer to it than its height."""
    reach = typed.bottom - typed.top
    left, top, right, bottom = typed.left - reach, typed.top - reach, typed.right + reach, typed.bottom + reach
    return [
        word.text
        for line in lines
        for word in line.words
        if left < (word.left + word.right) / 2 < right and top < (word.top + word.bottom) / 2 < bottom
    ]


def _is_over_words(typed: LayerLine, line: LayerLine) -> bool:
    return any(
        _overlap(one, other) > MAX_WORD_OVERLAP
        for one in typed.words
        for other in line.words
        if _has_letter_or_digit(other)
    )


def _has_letter_or_digit(word: LayerWord) -> bool:
    """Whether a word has a letter or a digit: the dots and strokes of a form, on which values are typed, have none."""
    return any(map(str.isalnum, word.text))


def _overlap(one: LayerWord, other: LayerWord) -> float:
    """Returns the share of the box of a word that lies in another box."""
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.bottom, other.bottom) - max(one.top, other.top)
    area = (one.right - one.left) * (one.bottom - one.top)
    return wide * high / area if wide > 0 and high > 0 and area > 0 else 0.0


def _line_in_row(lines: Sequence[LayerLine], one: LayerLine) -> int | None:
    """Returns the number of the nearest line in the same row as a typed line; None if there is none."""
    in_row = [number for number, line in enumerate(lines) if _is_in_row(line, one)]
    return min(in_row, key=lambda number: _gap(lines[number], one), default=None)


def _is_in_row(line: LayerLine, one: LayerLine) -> bool:
    shared = min(line.bottom, one.bottom) - max(line.top, one.top)
    return shared >= MIN_ROW_OVERLAP * min(line.bottom - line.top, one.bottom - one.top)


def _gap(line: LayerLine, one: LayerLine) -> float:
    """Returns the horizontal gap between two lines; 0 if they overlap horizontally."""
    return max(line.left - one.right, one.left - line.right, 0.0)


def _joined(line: LayerLine, one: LayerLine) -> LayerLine:
    """Returns a line with typed words added; they replace the dots and strokes on which they stand."""
    remaining = [
        word
        for word in line.words
        if _has_letter_or_digit(word) or not any(_shared_width(word, other) > 0 for other in one.words)
    ]
    words = sorted([*remaining, *one.words], key=lambda word: word.left)
    height = max(word.bottom - word.top for word in words)
    parts = [words[0].text]
    for before, word in pairwise(words):
        parts += [COLUMN_GAP if word.left - before.right > MIN_WIDE_GAP * height else " ", word.text]
    return replace(line, words=tuple(words), text="".join(parts))


def _shared_width(one: LayerWord, other: LayerWord) -> float:
    return min(one.right, other.right) - max(one.left, other.left)


def _insert(lines: list[LayerLine], one: LayerLine) -> None:
    """Inserts a typed line after the nearest line above it, in its own column if there is one."""
    column = [number for number, line in enumerate(lines) if _gap(line, one) <= 0] or list(range(len(lines)))
    above = [number for number in column if lines[number].top < one.top]
    if above:
        number = max(above, key=lambda number: lines[number].bottom) + 1
        distance = (one.top - lines[number - 1].bottom) / max(one.bottom - one.top, 1.0)
    else:
        number, distance = min(column, key=lambda number: lines[number].top, default=0), math.inf
    lines.insert(number, replace(one, distance=distance))
