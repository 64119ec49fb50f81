"""Segments of lines: characters on one baseline, in the direction of the text, split at wide gaps.

A content stream may contain accented letters after all others, and the cells of a row far from each other. So a line
consists of the characters at one height, in whatever order they were drawn.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from notaflow_pipeline.ocr.input.text_layer.characters import Character

MAX_LINE_SHIFT = 0.4
"""Maximum difference in height of characters on one line, as a share of the print height. Superscripts are raised by
a third."""

MAX_SIZE_RATIO = 3.0
"""Maximum ratio of print heights on one line. A mark across the page is larger; its letters would be put among the words."""

MIN_SPACE = 0.18
"""Gap, as a share of the print height, above which two characters that are not consecutive in the content are
separated by a space."""

MIN_SPACE_WITHIN_RUN = 1.0
"""Gap in print heights above which a space separates characters that are consecutive in the content."""

MIN_WIDE_GAP = 1.5
"""Gap in line heights above which two words are in different columns; such a gap is kept in the text."""

MIN_GUTTER = 0.8
"""Minimum gap between two columns, as a share of the print height, and between two texts of a line that are not
consecutive in the content."""


@dataclass(frozen=True)
class PlacedCharacter:
    """A character in the coordinates of its direction: `x` along the line, `y` across it, downward."""

    character: Character
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True)
class LineSegment:
    """Consecutive characters of one line without a wide gap."""

    placed: list[PlacedCharacter]

    @cached_property
    def words(self) -> int:
        """Number of words of letters; the digits of an index are not prose."""
        starts = [self.placed[0], *(one for before, one in pairwise(self.placed) if is_word_end(before, one))]
        return sum(one.character.text.isalpha() for one in starts)

    @property
    def left(self) -> float:
        """Start of the segment along its line."""
        return self.placed[0].left

    @property
    def right(self) -> float:
        """End of the segment along its line."""
        return self.placed[-1].right

    @cached_property
    def y(self) -> float:
        """Position of the baseline across the line, downward."""
        return statistics.median(one.y for one in self.placed)

    @cached_property
    def size(self) -> float:
        """Print height."""
        return statistics.median(one.character.size for one in self.placed)


Row = list[LineSegment]


def _placed(one: Character, angle: int) -> PlacedCharacter:
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [(one.left, one.top), (one.right, one.top), (one.left, one.bottom), (one.right, one.bottom)]
    along = [x * cos + y * sin for x, y in corners]
    across = [y * cos - x * sin for x, y in corners]
    x, y = one.x * cos + one.y * sin, one.y * cos - one.x * sin
    return PlacedCharacter(one, x, y, min(along), max(along), min(across), max(across))


def segments_of(characters: Sequence[Character], angle: int) -> Iterator[LineSegment]:
    """Yields the segments of all lines of the page, split at wide gaps."""
    for line in _on_one_baseline([_placed(one, angle) for one in characters]):
        segment = [line[0]]
        for before, one in pairwise(line):
            consecutive = one.character.index == before.character.index + 1
            wide = MIN_WIDE_GAP if consecutive else MIN_GUTTER
            if one.left - before.right > wide * max(before.character.size, one.character.size):
                yield LineSegment(segment)
                segment = []
            segment.append(one)
        yield LineSegment(segment)


def _on_one_baseline(placed: list[PlacedCharacter]) -> Iterator[list[PlacedCharacter]]:
    """Yields lines joined from runs of the content stream, each sorted from left to right."""
    runs: list[list[PlacedCharacter]] = []
    for one in placed:
        last = runs[-1][-1] if runs else None
        level = last is not None and abs(one.y - last.y) <= MAX_LINE_SHIFT * max(
            one.character.size, last.character.size
        )
        if last is None or not level or one.character.follows == "\n" or one.x < last.x - last.character.size:
            runs.append([])
        runs[-1].append(one)
    lines: list[tuple[float, float, list[PlacedCharacter]]] = []
    open_lines: list[int] = []
    for y, size, run in sorted(((_median_y(run), _median_size(run), run) for run in runs), key=lambda item: item[:2]):
        open_lines = [number for number in open_lines if y - lines[number][0] <= 2 * max(size, lines[number][1])]
        near = [
            number
            for number in open_lines
            if abs(lines[number][0] - y) <= MAX_LINE_SHIFT * min(lines[number][1], size)
            and max(lines[number][1], size) <= MAX_SIZE_RATIO * min(lines[number][1], size)
        ]
        if near:
            best = min(near, key=lambda number: abs(lines[number][0] - y))
            lines[best][2].extend(run)
        else:
            open_lines.append(len(lines))
            lines.append((y, size, list(run)))
    for _, _, line in lines:
        yield sorted(line, key=lambda one: (one.x, one.right))


def _median_y(run: list[PlacedCharacter]) -> float:
    return statistics.median(one.y for one in run)


def _median_size(run: list[PlacedCharacter]) -> float:
    return statistics.median(one.character.size for one in run)


def is_word_end(before: PlacedCharacter, one: PlacedCharacter) -> bool:
    """Whether a word ends between two neighbouring characters of a line."""
    gap, size = one.left - before.right, max(before.character.size, one.character.size)
    if one.character.index == before.character.index + 1:
        return bool(one.character.follows) or gap > MIN_SPACE_WITHIN_RUN * size
    return gap > MIN_SPACE * size


def rows_of(segments: Sequence[LineSegment]) -> list[Row]:
    """Returns rows of segments at the same height, each from left to right."""
    rows: list[Row] = []
    for segment in sorted(segments, key=lambda segment: segment.y):
        if rows and segment.y - rows[-1][0].y <= MAX_LINE_SHIFT * min(segment.size, rows[-1][0].size):
            rows[-1].append(segment)
        else:
            rows.append([segment])
    return [sorted(row, key=lambda segment: segment.left) for row in rows]
