"""Measures which share of a page's ink the recognised words account for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.engines.words import Word, word_height
from notaflow_pipeline.ocr.input.images.connected_cells import connected_cells
from notaflow_pipeline.ocr.input.images.grey_levels import ink_mask
from notaflow_pipeline.ocr.preprocessing.preprocess import TARGET_DPI

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOW_COVERAGE = 0.7
"""A page with less coverage has print that was not read, or pictures."""

STRIP_PIXELS = 8
"""The width of the strips in which ink is measured. It is less than a letter, so that a gap between words stays a gap."""

PRINT_HEIGHT_RANGE = (0.25, 2.0)
"""As factors of the height of a word. Lower ink is dust or a ruling line; higher ink is a picture, a bar or a vertical
ruling line."""

MIN_WORDS = 3
"""The height of fewer words says little about the print of a page."""

DEFAULT_WORD_HEIGHT_PIXELS = 20
"""The height of print of ten to twelve points at 150 dpi."""

MIN_PRINT_STRIPS = 20
"""The number of ink runs that a page needs for its coverage to be meaningful: five letters."""

MIN_UNREAD_STRIPS = 4
"""Strips with print that are marked as unread: a letter."""

LINE_INCHES = (0.045, 0.3)
"""The height of a line of print or of writing. Lower is a dotted line, higher a signature, a logo or a photograph."""

MIN_LINE_MARKS, MIN_MARKS = 8, 16
"""The number of marks beside each other in a line of print, and in all lines of a part of a page. Letters can touch."""

MAX_CELLS_A_SIDE = 200
"""Squares by which unread print is gathered, along the longer side of a page."""


def ink_coverage(image: Image.Image, words: Sequence[Word]) -> float | None:
    """Returns the share of the ink that can be print and lies in the box of a word; None without such ink. 8 ms a page."""
    found = _print_of(image, words)
    if found is None:
        return None
    heights = found.bottoms - found.tops
    return float(heights[found.covered].sum() / heights.sum())


def unread_pixels(image: Image.Image, words: Sequence[Word]) -> int:
    """Returns the area of the strips with ink that can be print and lies in no box of a word."""
    found = _print_of(image, words)
    return 0 if found is None else STRIP_PIXELS * int((found.bottoms - found.tops)[~found.covered].sum())


def has_lines_of_print(image: Image.Image, dpi: int) -> bool:
    """Returns whether a part of a page has ink in the shape of lines of print; a logo or a signature has not."""
    import numpy as np

    small = image.reduce(max(1, round(dpi / TARGET_DPI)))
    inches = 1 / min(dpi, TARGET_DPI)
    dark = ink_mask(small)
    inked = np.pad(dark.any(axis=1), 1)
    edges = np.flatnonzero(inked[1:] != inked[:-1]).tolist()
    marks = 0
    for top, bottom in zip(edges[::2], edges[1::2], strict=True):
        columns = np.asarray(dark[top:bottom].any(axis=0))
        beside = int(np.count_nonzero(columns[1:] & ~columns[:-1]))
        if LINE_INCHES[0] <= inches * (bottom - top) <= LINE_INCHES[1] and beside >= MIN_LINE_MARKS:
            marks += beside
    return marks >= MIN_MARKS


def unread_boxes(image: Image.Image, words: Sequence[Word]) -> list[tuple[int, int, int, int]]:
    """Boxes around the ink that can be print and lies in no box of a word: left, top, width, height."""
    found = _print_of(image, words)
    if found is None:
        return []
    side = max(STRIP_PIXELS, round(found.word_height), max(image.size) // MAX_CELLS_A_SIDE)
    cells: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for top, bottom, strip in zip(
        *(one[~found.covered].tolist() for one in (found.tops, found.bottoms, found.strips)), strict=True
    ):
        cells.setdefault(((top + bottom) // 2 // side, strip * STRIP_PIXELS // side), []).append((top, bottom, strip))
    return sorted(map(_box_around, _connected(cells)), key=lambda box: (box[1], box[0]))


def _connected(cells: dict[tuple[int, int], list[tuple[int, int, int]]]) -> Iterator[list[tuple[int, int, int]]]:
    """Yields the strips of cells that touch, if they are at least as many as a letter has."""
    for group in connected_cells(cells, reach=1):
        strips = [strip for cell in group for strip in cells[cell]]
        if len(strips) >= MIN_UNREAD_STRIPS:
            yield strips


def _box_around(strips: Sequence[tuple[int, int, int]]) -> tuple[int, int, int, int]:
    left, right = min(strip for *_, strip in strips), max(strip for *_, strip in strips) + 1
    top, bottom = min(top for top, *_ in strips), max(bottom for _, bottom, _ in strips)
    return left * STRIP_PIXELS, top, (right - left) * STRIP_PIXELS, bottom - top


@dataclass(frozen=True)
class _Print:
    """Ink that can be print, see `_ink_runs`; whether each run is covered by a word; how high a word is."""

    tops: "NDArray[np.int64]"
    bottoms: "NDArray[np.int64]"
    strips: "NDArray[np.int64]"
    covered: "NDArray[np.bool_]"
    word_height: float


def _print_of(image: Image.Image, words: Sequence[Word]) -> _Print | None:
    import numpy as np

    if min(image.size) < STRIP_PIXELS:
        return None
    dark = ink_mask(image)
    height = word_height(words) if len(words) >= MIN_WORDS else DEFAULT_WORD_HEIGHT_PIXELS
    tops, bottoms, strips = _ink_runs(dark)
    heights = bottoms - tops
    is_print = (heights >= max(3, PRINT_HEIGHT_RANGE[0] * height)) & (heights <= PRINT_HEIGHT_RANGE[1] * height)
    if np.count_nonzero(is_print) < MIN_PRINT_STRIPS:
        return None
    covered = _covered_cells(dark.shape, words, round(height / 4))[(tops + bottoms) // 2, strips]
    return _Print(tops[is_print], bottoms[is_print], strips[is_print], covered[is_print], height)


def _ink_runs(dark: "NDArray[np.bool_]") -> tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]:
    """Returns the vertical runs of ink: first row, row after the last one, and number of the strip of each."""
    import numpy as np

    count = dark.shape[1] // STRIP_PIXELS
    inked = dark[:, : count * STRIP_PIXELS].reshape(dark.shape[0], count, STRIP_PIXELS).any(axis=2).T
    padded = np.pad(inked, ((0, 0), (1, 1)))
    strips, tops = np.nonzero(padded[:, 1:] & ~padded[:, :-1])
    bottoms = np.nonzero(~padded[:, 1:] & padded[:, :-1])[1]
    return tops, bottoms, strips


def _covered_cells(shape: tuple[int, ...], words: Sequence[Word], around: int) -> "NDArray[np.bool_]":
    """Returns a mask of rows and strips: True where the cell lies in the box of a word, or at most `around` pixels from
    it.
    """
    import numpy as np

    covered = np.zeros((shape[0], shape[1] // STRIP_PIXELS + 1), dtype=bool)
    for word in words:
        rows = slice(max(0, word.top - around), word.bottom + around)
        covered[rows, max(0, word.left - around) // STRIP_PIXELS : -(-(word.right + around) // STRIP_PIXELS)] = True
    return covered
