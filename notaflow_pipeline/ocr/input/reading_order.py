"""The order of a text layer: from characters with places to words, lines and columns as a person reads them.

A content stream may hold the labels of a form before all of its values, a table by columns, or letters with accents after
those without. So lines are made of what stands on one baseline, in the direction in which its characters run; side by
side stands what is a row of a table or a form, and one after the other what are columns of prose.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from notaflow_pipeline.ocr.input.characters import UNKNOWN, Character

SAME_LINE = 0.4
"""Of the print height: what differs less in height stands on one line. Superscripts are raised by a third."""

NEW_WORD = 0.18
"""Of the print height: a wider gap between two characters that do not follow each other in the content is a space."""

TORN_WORD = 1.0
"""A gap of so many print heights parts words that the content does not part."""

WIDE_GAP = 1.5
"""A gap of so many line heights between two words of a line is one between columns, and stays visible."""

COLUMN_GAP = "   "

BULLET = "•"
"""What a character that nobody knows becomes, where the layer is believed: it begins a line."""

MIN_COLUMN_LINES = 3
MIN_WORDS_OF_PROSE = 3.0
"""Columns with more words of letters a line are prose; others are cells of a table, and are read row by row."""

LEADER = "....."

MIN_RUNNING_LINES = 0.25
"""Of the lines of prose: so many begin in the midst of a sentence, with a small letter. The lines of a form do not."""

GUTTER = 0.8
"""Of the print height: how wide the white between two columns is at least, and a gap between two texts of a line that do
not follow each other in the content."""


@dataclass(frozen=True)
class LayerWord:
    """A word of the layer; its box in displayed points, y downward, and the numbers of its text objects."""

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    left: float
    top: float
    right: float
    bottom: float
    unmapped: int = 0
    things: frozenset[int] = frozenset()


@dataclass(frozen=True)
class LayerLine:
    """Words of one line from left to right.

    `distance` is the white between it and the line before, in line heights; `angle` its direction in degrees, and `place`
    where it stands across that, see `place_across`.
    """

    words: tuple[LayerWord, ...]
    text: str = field(repr=False)
    distance: float = 0.0
    angle: int = 0
    place: float = 0.0

    @property
    def top(self) -> float:
        """Upper edge in displayed points."""
        return min(word.top for word in self.words)

    @property
    def bottom(self) -> float:
        """Lower edge in displayed points."""
        return max(word.bottom for word in self.words)


def ordered_lines(characters: Sequence[Character]) -> list[LayerLine]:
    """The lines of a page in reading order; text in other directions than most of the page's comes last."""
    by_angle: dict[int, list[Character]] = {}
    for one in characters:
        by_angle.setdefault(one.angle, []).append(one)
    lines: list[LayerLine] = []
    for angle, group in sorted(by_angle.items(), key=lambda item: -len(item[1])):
        pieces = list(_pieces(group, angle))
        rows = [row for block in _blocks(pieces) for row in block]
        lines += _lines(rows, angle)
    return lines


def main_angle(lines: Sequence[LayerLine]) -> int:
    """The direction of most words, in degrees; 0 without any."""
    counts: dict[int, int] = {}
    for line in lines:
        counts[line.angle] = counts.get(line.angle, 0) + len(line.words)
    return max(counts, key=lambda angle: counts[angle], default=0)


def place_across(x: float, y: float, angle: int) -> float:
    """How far down a place is for somebody who reads in this direction."""
    return y * math.cos(math.radians(angle)) - x * math.sin(math.radians(angle))


def text_of_lines(lines: Sequence[LayerLine]) -> str:
    """Lines below each other, with a blank line where the gap between two is a whole line or more."""
    parts = []
    for number, line in enumerate(lines):
        if number:
            parts.append("\n\n" if line.distance > 1 else "\n")
        parts.append(line.text)
    return "".join(parts)


@dataclass(frozen=True)
class _Placed:
    """A character in the coordinates of its direction: `x` along the line, `y` across it, downward."""

    one: Character
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True)
class _Piece:
    """Characters that follow each other on one line without a wide gap."""

    placed: list[_Placed]

    @cached_property
    def words(self) -> int:
        """How many words with letters it has; the figures of an index are no prose."""
        starts = [self.placed[0], *(one for before, one in pairwise(self.placed) if _parted(before, one))]
        return sum(one.one.text.isalpha() for one in starts)

    @property
    def left(self) -> float:
        return self.placed[0].left

    @property
    def right(self) -> float:
        return self.placed[-1].right

    @cached_property
    def y(self) -> float:
        return statistics.median(one.y for one in self.placed)

    @cached_property
    def size(self) -> float:
        return statistics.median(one.one.size for one in self.placed)


_Row = list[_Piece]


def _placed(one: Character, angle: int) -> _Placed:
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [(one.left, one.top), (one.right, one.top), (one.left, one.bottom), (one.right, one.bottom)]
    along = [x * cos + y * sin for x, y in corners]
    across = [y * cos - x * sin for x, y in corners]
    x, y = one.x * cos + one.y * sin, one.y * cos - one.x * sin
    return _Placed(one, x, y, min(along), max(along), min(across), max(across))


def _pieces(characters: Sequence[Character], angle: int) -> Iterator[_Piece]:
    """Lines of the whole page, each cut at its wide gaps."""
    for line in _on_one_baseline([_placed(one, angle) for one in characters]):
        piece = [line[0]]
        for before, one in pairwise(line):
            consecutive = one.one.index == before.one.index + 1
            wide = WIDE_GAP if consecutive else GUTTER
            if one.left - before.right > wide * max(before.one.size, one.one.size):
                yield _Piece(piece)
                piece = []
            piece.append(one)
        yield _Piece(piece)


def _on_one_baseline(placed: list[_Placed]) -> Iterator[list[_Placed]]:
    """Runs of the content stream joined to lines, each sorted from left to right."""
    runs: list[list[_Placed]] = []
    for one in placed:
        last = runs[-1][-1] if runs else None
        level = last is not None and abs(one.y - last.y) <= SAME_LINE * max(one.one.size, last.one.size)
        if last is None or not level or one.one.follows == "\n" or one.x < last.x - last.one.size:
            runs.append([])
        runs[-1].append(one)
    lines: list[tuple[float, float, list[_Placed]]] = []
    open_lines: list[int] = []
    for y, size, run in sorted(((_level(run), _size(run), run) for run in runs), key=lambda item: item[:2]):
        open_lines = [number for number in open_lines if y - lines[number][0] <= 2 * max(size, lines[number][1])]
        near = [number for number in open_lines if abs(lines[number][0] - y) <= SAME_LINE * min(lines[number][1], size)]
        if near:
            best = min(near, key=lambda number: abs(lines[number][0] - y))
            lines[best][2].extend(run)
        else:
            open_lines.append(len(lines))
            lines.append((y, size, list(run)))
    for _, _, line in lines:
        yield sorted(line, key=lambda one: (one.x, one.right))


def _level(run: list[_Placed]) -> float:
    return statistics.median(one.y for one in run)


def _size(run: list[_Placed]) -> float:
    return statistics.median(one.one.size for one in run)


def _parted(before: _Placed, one: _Placed) -> bool:
    """Whether a word ends between two neighbours of a line."""
    gap, size = one.left - before.right, max(before.one.size, one.one.size)
    if one.one.index == before.one.index + 1:
        return bool(one.one.follows) or gap > TORN_WORD * size
    return gap > NEW_WORD * size


def _rows(pieces: Sequence[_Piece]) -> list[_Row]:
    rows: list[_Row] = []
    for piece in sorted(pieces, key=lambda piece: piece.y):
        if rows and piece.y - rows[-1][0].y <= SAME_LINE * min(piece.size, rows[-1][0].size):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return [sorted(row, key=lambda piece: piece.left) for row in rows]


def _blocks(pieces: Sequence[_Piece]) -> Iterator[list[_Row]]:
    """Groups of rows, one after the other: above a band of columns, each column, below it."""
    rows = _rows(pieces)
    band = _column_band(rows)
    if band is None:
        if rows:
            yield rows
        return
    first, last, gutter = band
    yield from _blocks([piece for row in rows[:first] for piece in row])
    inside = [piece for row in rows[first:last] for piece in row]
    yield from _blocks([piece for piece in inside if piece.left < gutter])
    yield from _blocks([piece for piece in inside if piece.left >= gutter])
    yield from _blocks([piece for row in rows[last:] for piece in row])


def _column_band(rows: Sequence[_Row]) -> tuple[int, int, float] | None:
    """The longest band of rows with prose on both sides of a gutter: first row, row after the last, middle of the gutter."""
    tried: list[_Band] = []
    for start, row in enumerate(rows):
        for one, other in pairwise(row):
            if not any(first <= start < last and one.right <= gutter <= other.left for first, last, gutter in tried):
                tried.append(_band_from(rows, start, one.right, other.left))
    bands = [band for band in tried if _parts_prose(rows, band)]
    return max(bands, key=lambda band: band[1] - band[0], default=None)


_Band = tuple[int, int, float]


def _band_from(rows: Sequence[_Row], start: int, low: float, high: float) -> _Band:
    """How far up and down the white between two pieces of a row reaches."""
    end, first = start, start
    for step, numbers in ((1, range(start, len(rows))), (-1, range(start - 1, -1, -1))):
        for number in numbers:
            free = _free(rows[number], low, high)
            if free is None:
                break
            low, high = free
            if step > 0:
                end = number + 1
            else:
                first = number
    return first, end, (low + high) / 2


def _parts_prose(rows: Sequence[_Row], band: _Band) -> bool:
    first, end, gutter = band
    inside = [piece for row in rows[first:end] for piece in row]
    sides = [piece for piece in inside if piece.left < gutter], [piece for piece in inside if piece.left >= gutter]
    return all(map(_is_prose, sides))


def _free(row: _Row, low: float, high: float) -> tuple[float, float] | None:
    """What remains of a gutter beside a row, None if nothing that could be one."""
    for piece in row:
        middle = (low + high) / 2
        if piece.right <= middle:
            low = max(low, piece.right)
        elif piece.left >= middle:
            high = min(high, piece.left)
        elif piece.left - low > high - piece.right:
            high = piece.left
        else:
            low = piece.right
    size = max(piece.size for piece in row)
    return (low, high) if high - low >= GUTTER * size else None


def _is_prose(pieces: Sequence[_Piece]) -> bool:
    if len(_rows(pieces)) < MIN_COLUMN_LINES:
        return False
    if 3 * sum(map(_has_leader, pieces)) >= len(pieces):
        return True
    running = sum(piece.placed[0].one.text.islower() for piece in pieces)
    capitals = not any(one.one.text.islower() for piece in pieces for one in piece.placed)
    if running < MIN_RUNNING_LINES * len(pieces) and not capitals:
        return False
    return sum(piece.words for piece in pieces) / len(pieces) > MIN_WORDS_OF_PROSE


def _has_leader(piece: _Piece) -> bool:
    """Whether dots lead from an entry of a list to its number: such a line belongs to nothing beside it."""
    return LEADER in "".join(one.one.text for one in piece.placed)


def _lines(rows: Sequence[_Row], angle: int) -> Iterator[LayerLine]:
    before: _Row | None = None
    for row in rows:
        words: list[LayerWord] = []
        parts: list[str] = []
        for number, piece in enumerate(row):
            found = list(_words(piece))
            parts += ([COLUMN_GAP] if number else []) + [" ".join(word.text for word in found).replace(UNKNOWN, BULLET)]
            words += found
        yield LayerLine(tuple(words), "".join(parts), _distance(before, row), angle, row[0].y)
        before = row


def _distance(before: _Row | None, row: _Row) -> float:
    """The white between two rows in heights of their print; a row that stands higher up begins a new column."""
    if before is None:
        return math.inf
    top, bottom = min(one.top for one in _all(row)), max(one.bottom for one in _all(before))
    height = max(max(one.bottom for one in _all(row)) - top, bottom - min(one.top for one in _all(before)), 1.0)
    return math.inf if top < min(one.top for one in _all(before)) else (top - bottom) / height


def _all(row: _Row) -> list[_Placed]:
    return [one for piece in row for one in piece.placed]


def _words(piece: _Piece) -> Iterator[LayerWord]:
    word = [piece.placed[0]]
    for before, one in pairwise(piece.placed):
        if _parted(before, one):
            yield _word(word)
            word = []
        word.append(one)
    yield _word(word)


def _word(placed: Sequence[_Placed]) -> LayerWord:
    characters = [one.one for one in placed]
    return LayerWord(
        "".join(one.text for one in characters),
        min(one.left for one in characters),
        min(one.top for one in characters),
        max(one.right for one in characters),
        max(one.bottom for one in characters),
        sum(one.unmapped for one in characters),
        frozenset(one.thing for one in characters),
    )
