"""Removes the black borders that a scanner or a copying stand leaves around a page.

A border begins at the edge of the page image, or behind blank paper at the edge. It spans that edge and holds no text. A bar,
ruling line, frame or fold that has text on its outer side is not a border and is kept.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.input.images.grey_levels import quantile

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Shades = NDArray[np.uint8]

MAX_SIDE_SHARE = 0.25
"""The largest share of the page's width or height that a border can take on one side."""

MIN_DARK_SHARE = 0.6
"""A row or column belongs to a border if at least this share of its pixels is dark."""

MAX_DARK_SHADE = 0.45
"""As a share of the page's median shade: darker pixels are border, bar or bold print."""

MIN_LIGHT_SHADE = 0.7
"""As a share of the page's median shade: lighter pixels are paper or white print."""

MIN_PRINT_CONTRAST = 0.12
"""As a share of the page's median shade: faint print is darker than the paper around it by at least this."""

CELLS_ACROSS = 640
"""The number of cells along the longer side of the strip in which print is searched. On a page this is 75 to 110 cells per
inch, fine enough for letters of six points."""

MAX_STROKE_CELLS = 9
"""An area that is wider than this in both directions is not a stroke of a letter."""

MIN_DARK_STROKES = 8
"""A digit of ten points has about as many strokes, counted along rows or along columns of cells. A ruling line has many in
one direction and one in the other."""

MIN_LIGHT_STROKES = 40
"""The minimum for white print on a black bar. Fewer strokes than a word has can be a scratch or a hole."""


def without_dark_borders(image: Image.Image) -> Image.Image:
    """Returns the page without its black borders, of which at most a quarter of each side is removed."""
    box = box_within_borders(image)
    return image if box == (0, 0, *image.size) else image.crop(box)


def box_within_borders(image: Image.Image) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of the page without its black borders. Takes 3 ms on a page without borders."""
    import numpy as np

    step = max(1, min(16, min(image.size) // 40))
    small = image.reduce(step)
    paper = quantile(small.histogram(), 0.5)
    dark = np.asarray(small) < MAX_DARK_SHADE * paper
    width, height = image.size
    rows, columns = dark.mean(axis=1), dark.mean(axis=0)
    top = _border_steps(rows, lambda n: image.crop((0, 0, width, n * step)), paper) * step
    bottom = _border_steps(rows[::-1], lambda n: image.crop((0, (len(rows) - n) * step, width, height)), paper)
    left = _border_steps(columns, lambda n: image.crop((0, 0, n * step, height)), paper) * step
    right = _border_steps(columns[::-1], lambda n: image.crop(((len(columns) - n) * step, 0, width, height)), paper)
    # the rest of a partial step belongs to the border next to it
    return left, top, width - right * step, height - bottom * step


def _border_steps(shares: "NDArray[np.float64]", strip: "Callable[[int], Image.Image]", paper: int) -> int:
    """Returns the number of steps from the edge that are border. `strip(n)` returns the first n steps of the page."""
    most = int(MAX_SIDE_SHARE * len(shares))
    dark = [share > MIN_DARK_SHARE for share in shares[:most].tolist()]
    ends = [
        number for number, (one, following) in enumerate(pairwise([*dark, False]), start=1) if one and not following
    ]
    return next((end for end in reversed(ends) if not has_print(strip(end), paper)), 0)


def has_print(strip: Image.Image, paper: int) -> bool:
    """Returns whether a strip of a page with paper of this shade holds print, dark on light or white on black."""
    import numpy as np

    cell = max(1, max(strip.size) // CELLS_ACROSS)
    shades = np.asarray(strip.reduce(cell))
    if min(shares := shades.shape) < 1 or max(shares) < MAX_STROKE_CELLS:
        return False
    closed = _darkest_nearby(_lightest_nearby(shades))
    dark_strokes = (closed.astype(np.int16) - shades > MIN_PRINT_CONTRAST * paper) & (closed > MIN_LIGHT_SHADE * paper)
    dark_strokes &= ~_near_solid_area(_lightest_nearby(shades) < MAX_DARK_SHADE * paper)
    light_strokes = (_lightest_nearby(_darkest_nearby(shades)) < MAX_DARK_SHADE * paper) & (
        shades > MIN_LIGHT_SHADE * paper
    )
    return _stroke_count(dark_strokes) >= MIN_DARK_STROKES or _stroke_count(light_strokes) >= MIN_LIGHT_STROKES


def _near_solid_area(solid: "Mask") -> "Mask":
    """Returns a mask of solid dark areas and the cells near them: an uneven edge of such an area is not print."""
    import numpy as np

    return _lightest_nearby(_lightest_nearby(solid.astype(np.uint8))) > 0


def _stroke_count(mask: "Mask") -> int:
    """Returns the number of runs in the mask, along its rows or along its columns, whichever is smaller."""
    import numpy as np

    padded = np.pad(mask, 1)
    return min(int(np.count_nonzero(padded[:, 1:] & ~padded[:, :-1])), int(np.count_nonzero(padded[1:] & ~padded[:-1])))


def _lightest_nearby(shades: "Shades") -> "Shades":
    """Returns for each cell the lightest shade in the square around it."""
    import numpy as np

    reach = MAX_STROKE_CELLS // 2
    for axis in (0, 1):
        padding = [(reach, reach) if axis == one else (0, 0) for one in (0, 1)]
        padded = np.pad(shades, padding, mode="edge")
        shades = np.lib.stride_tricks.sliding_window_view(padded, MAX_STROKE_CELLS, axis=axis).max(axis=-1)
    return shades


def _darkest_nearby(shades: "Shades") -> "Shades":
    return 255 - _lightest_nearby(255 - shades)
