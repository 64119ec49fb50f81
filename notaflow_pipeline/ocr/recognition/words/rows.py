"""Groups words in rows, and finds the cells of rows."""

import statistics
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter, itemgetter

from notaflow_pipeline.ocr.engines.words import Line, Word, word_height

MIN_TABLE_ROWS = 3
"""The number of rows that must stand in columns before the blocks of a page count as the columns of a table."""

MAX_CELL_WORDS = 3.5
"""A block with more words in its average cell is running text."""

MIN_CELL_GAP = 1.5
"""In heights of a letter: words with a wider gap in a row are in two cells."""


def row_height(row: Line) -> float:
    """Returns the middle of a row of words, in pixels from the top."""
    return statistics.median(word.middle for word in row)


def rows_of(words: Sequence[Word]) -> list[Line]:
    """Returns the rows of words at the same height, from the top, each from the left."""
    limit = 0.6 * word_height(words)
    rows: list[Line] = []
    middles: list[float] = []  # of the last row, in ascending order: their median is at their centre
    for middle, word in sorted(((word.middle, word) for word in words), key=itemgetter(0)):
        if rows and middle - (middles[(len(middles) - 1) // 2] + middles[len(middles) // 2]) / 2 < limit:
            rows[-1].append(word)
            middles.append(middle)
        else:
            rows.append([word])
            middles = [middle]
    return [sorted(row, key=attrgetter("left")) for row in rows]


def words_per_cell(rows: list[Line], letter: float) -> float:
    """Returns the mean number of words in a cell. Most rows have a wide gap between two cells. `letter` is its height."""
    gaps = [_wide_gaps(row, letter) for row in rows]
    boundaries = sum(_is_boundary(gap, rows, gaps) for row_gaps in gaps for gap in row_gaps)
    return sum(map(len, rows)) / (len(rows) + boundaries)


def _wide_gaps(row: Line, letter: float) -> list[tuple[int, int]]:
    gaps = ((one.right, other.left) for one, other in pairwise(row))
    return [(start, end) for start, end in gaps if end - start > MIN_CELL_GAP * letter]


def _is_boundary(gap: tuple[int, int], rows: list[Line], gaps: list[list[tuple[int, int]]]) -> bool:
    """Returns whether a gap is the boundary of two cells: most rows across it have a wide gap at one place in it.

    The gaps of justified print can be as wide, but lie at other places in each row.
    """
    start, end = gap
    across = [row_gaps for row, row_gaps in zip(rows, gaps, strict=True) if row[0].left < start and end < row[-1].right]
    beside = [one for row_gaps in across for one in row_gaps if one[0] < end and start < one[1]]
    level = max(sum(other[0] <= max(start, one[0]) < other[1] for other in beside) for one in beside)
    return 2 * level > len(across) and level >= min(MIN_TABLE_ROWS, len(across))
