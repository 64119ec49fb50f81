"""Finds ink on a page that may be text and that no word of the text layer accounts for.

Ruling lines, frames and filled areas are not text: straight runs longer than the width of a letter are ignored. The other ink
is grouped into regions that are recognised.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.input.images.connected_cells import box_of_cells, connected_cells, marked_cells
from notaflow_pipeline.ocr.input.pdf.text_visibility import Pixels

MIN_RULING_PIXELS = 40
"""Length of a straight run of ink, in pixels at 100 dpi (10 mm), above which it is a ruling line or an area, not a letter."""

CELL = 8
"""Side in pixels of the squares in which ink is counted (2 mm)."""

MIN_CELL_INK = 3
"""Minimum number of ink pixels in a square that contains a part of a letter."""

GROUP = 2
"""Number of squares along a side that are grouped before regions are formed, which takes a quarter of the time."""

MAX_DISTANCE = 3
"""Distance in groups of squares up to which ink belongs to one region (12 mm: the next paragraph)."""

MIN_WIDTH, MIN_HEIGHT = 12, 6
"""Minimum size of a region in pixels; a smaller one is a bullet, a dash or a dotted line."""

MIN_TALL_ROWS, MIN_TALL_CELLS = 4, 2
"""Minimum number of rows with ink in a tall square, and of tall squares in a region; dashes and drawn underscores
have fewer."""

MIN_INK = 30
"""Minimum number of ink pixels in a region that can be a word."""

PAPER_BLOCK = 24

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True)
class Ink:
    """The squares of a page with ink that may be text, and those with ink as high as a letter, by row and column."""

    cells: NDArray[np.bool_]
    tall: NDArray[np.bool_]
    pixels: NDArray[np.bool_]


def ink_of(pixels: Pixels, contrast: int | Pixels) -> Ink:
    """Returns the ink of a page: the pixels that differ from the paper by at least `contrast` of 255, which may be given
    for each pixel."""
    ink = np.abs(pixels.astype(np.int16) - _paper(pixels).astype(np.int16)) >= contrast
    ink &= ~(_long_runs(ink) | _long_runs(ink.T).T)
    squares = _squares(ink)
    cells: NDArray[np.bool_] = squares.sum(axis=(1, 3)) >= MIN_CELL_INK
    tall: NDArray[np.bool_] = squares.any(axis=3).sum(axis=1) >= MIN_TALL_ROWS
    return Ink(cells, tall, ink)


def unread_regions(ink: Ink, covered: Iterable[Box] = ()) -> list[Box]:
    """Returns boxes around the ink outside of `covered`; boxes that are near each other are joined."""
    cells = ink.cells & ~_covered_cells(ink, covered)
    rows, columns = cells.shape
    padded = np.pad(cells, ((0, rows % GROUP), (0, columns % GROUP)))
    groups: NDArray[np.bool_] = padded.reshape(padded.shape[0] // GROUP, GROUP, -1, GROUP).max(axis=(1, 3))
    found = [box_of_cells(near, CELL * GROUP) for near in connected_cells(marked_cells(groups), MAX_DISTANCE)]
    return [box for box in _joined(found) if _can_be_text(ink, box)]


def covered_share(ink: Ink, covered: Sequence[Box]) -> float:
    """Returns the share of the squares with ink that lie in the boxes; 0 without any ink."""
    total = int(ink.cells.sum())
    return float((ink.cells & _covered_cells(ink, covered)).sum()) / total if total else 0.0


def _paper(pixels: Pixels) -> Pixels:
    """Returns the paper grey around each pixel (the upper quartile of a block); in a dark area it is the grey of the
    area."""
    height, width = pixels.shape
    padded = np.pad(pixels, ((0, -height % PAPER_BLOCK), (0, -width % PAPER_BLOCK)), mode="edge")
    rows, columns = padded.shape[0] // PAPER_BLOCK, padded.shape[1] // PAPER_BLOCK
    squares = padded.reshape(rows, PAPER_BLOCK, columns, PAPER_BLOCK).swapaxes(1, 2).reshape(rows, columns, -1)
    usual = np.quantile(squares[:, :, ::5], 0.75, axis=2, method="nearest").astype(np.uint8)
    return usual.repeat(PAPER_BLOCK, axis=0).repeat(PAPER_BLOCK, axis=1)[:height, :width]


def _long_runs(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the mask of the pixels in a horizontal run of at least `MIN_RULING_PIXELS` pixels."""
    height, width = ink.shape
    if width < MIN_RULING_PIXELS:
        return np.zeros_like(ink)
    sums = np.zeros((height, width + 1), dtype=np.int32)
    np.cumsum(ink, axis=1, out=sums[:, 1:])
    starts = (sums[:, MIN_RULING_PIXELS:] - sums[:, :-MIN_RULING_PIXELS]) == MIN_RULING_PIXELS
    marks = np.zeros((height, width + 1), dtype=np.int32)
    marks[:, : starts.shape[1]] += starts
    marks[:, MIN_RULING_PIXELS : MIN_RULING_PIXELS + starts.shape[1]] -= starts
    return marks.cumsum(axis=1)[:, :width] > 0


def _squares(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the pixels indexed by row of squares, row in the square, column of squares and column in the square."""
    height, width = ink.shape
    padded = np.pad(ink, ((0, -height % CELL), (0, -width % CELL)))
    return padded.reshape(padded.shape[0] // CELL, CELL, -1, CELL)


def _covered_cells(ink: Ink, covered: Iterable[Box]) -> NDArray[np.bool_]:
    cells = np.zeros_like(ink.cells)
    for left, top, right, bottom in covered:
        cells[max(0, top // CELL) : -(-bottom // CELL), max(0, left // CELL) : -(-right // CELL)] = True
    return cells


def _joined(boxes: Sequence[Box]) -> list[Box]:
    """Returns the boxes with overlapping ones joined."""
    joined: list[Box] = []
    for box in boxes:
        now = box
        while touching := [other for other in joined if _is_touching(now, other)]:
            joined = [other for other in joined if other not in touching]
            for other in touching:
                now = min(now[0], other[0]), min(now[1], other[1]), max(now[2], other[2]), max(now[3], other[3])
        joined.append(now)
    return sorted(joined, key=lambda box: (box[1], box[0]))


def _is_touching(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _can_be_text(ink: Ink, box: Box) -> bool:
    left, top, right, bottom = box
    rows, columns = np.nonzero(ink.pixels[top:bottom, left:right])
    tall = ink.tall[top // CELL : bottom // CELL, left // CELL : right // CELL].sum()
    if len(rows) < MIN_INK or tall < MIN_TALL_CELLS:
        return False
    return bool(np.ptp(columns) + 1 >= MIN_WIDTH and np.ptp(rows) + 1 >= MIN_HEIGHT)
