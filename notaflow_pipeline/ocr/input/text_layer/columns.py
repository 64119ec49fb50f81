"""Finds columns of prose, which are read one after the other; the cells of tables and forms are read by rows."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from notaflow_pipeline.ocr.input.text_layer.line_segments import MIN_GUTTER, LineSegment, Row, rows_of

MIN_COLUMN_LINES = 3
MIN_WORDS_OF_PROSE = 3.0
"""Mean number of words of letters per line above which columns are prose. Other columns are cells of a table and are
read by rows."""

LEADER = "....."

MIN_RUNNING_LINES = 0.25
"""Minimum share of the lines of prose that begin in the middle of a sentence, with a small letter. Lines of a form
do not."""


def blocks_of(segments: Sequence[LineSegment]) -> Iterator[list[Row]]:
    """Yields groups of rows in reading order: the rows above a band of columns, each column, the rows below the
    band."""
    rows = rows_of(segments)
    band = _column_band(rows)
    if band is None:
        if rows:
            yield rows
        return
    first, last, gutter = band
    yield from blocks_of([segment for row in rows[:first] for segment in row])
    inside = [segment for row in rows[first:last] for segment in row]
    yield from blocks_of([segment for segment in inside if segment.left < gutter])
    yield from blocks_of([segment for segment in inside if segment.left >= gutter])
    yield from blocks_of([segment for row in rows[last:] for segment in row])


def _column_band(rows: Sequence[Row]) -> tuple[int, int, float] | None:
    """Returns the longest band of rows with prose on both sides of a gutter: first row, row after the last, middle
    of the gutter."""
    tried: list[_Band] = []
    for start, row in enumerate(rows):
        for one, other in pairwise(row):
            if not any(first <= start < last and one.right <= gutter <= other.left for first, last, gutter in tried):
                tried.append(_band_from(rows, start, one.right, other.left))
    bands = [band for band in tried if _has_prose_on_both_sides(rows, band)]
    return max(bands, key=lambda band: band[1] - band[0], default=None)


_Band = tuple[int, int, float]


def _band_from(rows: Sequence[Row], start: int, low: float, high: float) -> _Band:
    """Returns how far up and down the gap between two segments of a row extends."""
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


def _has_prose_on_both_sides(rows: Sequence[Row], band: _Band) -> bool:
    first, end, gutter = band
    inside = [segment for row in rows[first:end] for segment in row]
    sides = (
        [segment for segment in inside if segment.left < gutter],
        [segment for segment in inside if segment.left >= gutter],
    )
    return all(map(_is_prose, sides))


def _free(row: Row, low: float, high: float) -> tuple[float, float] | None:
    """Returns the part of a gutter that is free in a row; None if it is too narrow for a gutter."""
    for segment in row:
        middle = (low + high) / 2
        if segment.right <= middle:
            low = max(low, segment.right)
        elif segment.left >= middle:
            high = min(high, segment.left)
        elif segment.left - low > high - segment.right:
            high = segment.left
        else:
            low = segment.right
    size = max(segment.size for segment in row)
    return (low, high) if high - low >= MIN_GUTTER * size else None


def _is_prose(segments: Sequence[LineSegment]) -> bool:
    if len(rows_of(segments)) < MIN_COLUMN_LINES:
        return False
    if 3 * sum(map(_has_leader, segments)) >= len(segments):
        return True
    running = sum(segment.placed[0].character.text.islower() for segment in segments)
    capitals = not any(one.character.text.islower() for segment in segments for one in segment.placed)
    if running < MIN_RUNNING_LINES * len(segments) and not capitals:
        return False
    return sum(segment.words for segment in segments) / len(segments) > MIN_WORDS_OF_PROSE


def _has_leader(segment: LineSegment) -> bool:
    """Whether dots connect an entry of a list with its number. Such a line does not belong to the text beside it."""
    return LEADER in "".join(one.character.text for one in segment.placed)
