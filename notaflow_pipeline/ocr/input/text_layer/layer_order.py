"""Orders a text layer: builds words, lines and columns in reading order from characters with positions."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from notaflow_pipeline.ocr.input.text_layer.characters import UNKNOWN, Character
from notaflow_pipeline.ocr.input.text_layer.columns import blocks_of
from notaflow_pipeline.ocr.input.text_layer.line_segments import (
    LineSegment,
    PlacedCharacter,
    Row,
    is_word_end,
    segments_of,
)

COLUMN_GAP = "   "

BULLET = "•"
"""Text of an unknown character in a trusted layer: such characters begin a line."""


@dataclass(frozen=True)
class LayerWord:
    """A word of the layer, its box in displayed points (y downward), the numbers of its text objects, and the font of
    its first character."""

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    left: float
    top: float
    right: float
    bottom: float
    unmapped: int = 0
    text_objects: frozenset[int] = frozenset()
    font: int = 0


@dataclass(frozen=True)
class LayerLine:
    """Words of one line from left to right.

    `distance` is the gap to the previous line, in line heights. `angle` is the direction in degrees, and `position` the
    position across that direction, see `position_across`.
    """

    words: tuple[LayerWord, ...]
    text: str = field(repr=False)
    distance: float = 0.0
    angle: int = 0
    position: float = 0.0

    @property
    def top(self) -> float:
        """Upper edge in displayed points."""
        return min(word.top for word in self.words)

    @property
    def bottom(self) -> float:
        """Lower edge in displayed points."""
        return max(word.bottom for word in self.words)

    @property
    def left(self) -> float:
        """Left edge in displayed points."""
        return min(word.left for word in self.words)

    @property
    def right(self) -> float:
        """Right edge in displayed points."""
        return max(word.right for word in self.words)


def ordered_lines(characters: Sequence[Character]) -> list[LayerLine]:
    """Returns the lines of a page in reading order; text in other directions than the main one comes last."""
    by_angle: dict[int, list[Character]] = {}
    for one in characters:
        by_angle.setdefault(one.angle, []).append(one)
    lines: list[LayerLine] = []
    for angle, group in sorted(by_angle.items(), key=lambda item: -len(item[1])):
        segments = list(segments_of(group, angle))
        rows = [row for block in blocks_of(segments) for row in block]
        lines += _lines(rows, angle)
    return lines


def main_angle(lines: Sequence[LayerLine]) -> int:
    """Returns the direction of most words in degrees; 0 without any words."""
    counts: dict[int, int] = {}
    for line in lines:
        counts[line.angle] = counts.get(line.angle, 0) + len(line.words)
    return max(counts, key=lambda angle: counts[angle], default=0)


def position_across(x: float, y: float, angle: int) -> float:
    """Returns the vertical position of a point, relative to text in this direction."""
    return y * math.cos(math.radians(angle)) - x * math.sin(math.radians(angle))


def text_of_lines(lines: Sequence[LayerLine]) -> str:
    """Returns lines separated by line breaks, with a blank line where the gap is a whole line or more."""
    parts = []
    for number, line in enumerate(lines):
        if number:
            parts.append("\n\n" if line.distance > 1 else "\n")
        parts.append(line.text)
    return "".join(parts)


def _lines(rows: Sequence[Row], angle: int) -> Iterator[LayerLine]:
    before: Row | None = None
    for row in rows:
        words: list[LayerWord] = []
        parts: list[str] = []
        for number, segment in enumerate(row):
            found = list(_words(segment))
            parts += ([COLUMN_GAP] if number else []) + [" ".join(word.text for word in found).replace(UNKNOWN, BULLET)]
            words += found
        yield LayerLine(tuple(words), "".join(parts), _distance(before, row), angle, row[0].y)
        before = row


def _distance(before: Row | None, row: Row) -> float:
    """Returns the gap between two rows in print heights; infinity if the second row begins a new column."""
    if before is None:
        return math.inf
    top, bottom = min(one.top for one in _all(row)), max(one.bottom for one in _all(before))
    height = max(max(one.bottom for one in _all(row)) - top, bottom - min(one.top for one in _all(before)), 1.0)
    return math.inf if top < min(one.top for one in _all(before)) else (top - bottom) / height


def _all(row: Row) -> list[PlacedCharacter]:
    return [one for segment in row for one in segment.placed]


def _words(segment: LineSegment) -> Iterator[LayerWord]:
    word = [segment.placed[0]]
    for before, one in pairwise(segment.placed):
        if is_word_end(before, one):
            yield _word(word)
            word = []
        word.append(one)
    yield _word(word)


def _word(placed: Sequence[PlacedCharacter]) -> LayerWord:
    characters = [one.character for one in placed]
    return LayerWord(
        "".join(one.text for one in characters),
        min(one.left for one in characters),
        min(one.top for one in characters),
        max(one.right for one in characters),
        max(one.bottom for one in characters),
        sum(one.unmapped for one in characters),
        frozenset(one.text_object for one in characters),
        characters[0].font,
    )
