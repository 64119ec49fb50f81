"""Finds white print on the dark areas of a page.

The removal of the background takes such an area for ink. The engine inverts lines that it cannot read, so the
page without preprocessing is read better.
"""

from PIL import Image

from notaflow_pipeline.ocr.input.images.grey_levels import quantile

CELLS_ALONG = 1600
"""The number of cells along the longer side of the page: 145 per inch of a letter page."""

SQUARE_CELLS = 24
"""The side of the squares that are examined: 12 points on a letter page."""

MAX_DARK_SHADE, MIN_LIGHT_SHADE = 0.45, 0.6
"""As shares of the paper's shade, or on a faint page of its contrast: of the dark area, and of the print on it."""

MIN_STROKES, MIN_ROWS = 3, 4
"""The number of light strokes in a row of cells of a square, and of such rows. The edge of a dark area has one stroke."""

MIN_SQUARES = 4
"""The number of such squares on a page with white print. Photographs have none, and 61 of the 62 corpus pages at most one."""


def has_white_print(page: Image.Image) -> bool:
    """Returns whether a page has white print on a dark area. Takes 15 ms."""
    import numpy as np

    small = page.reduce(max(1, round(max(page.size) / CELLS_ALONG)))
    counts = small.histogram()
    paper, ink = quantile(counts, 0.75), quantile(counts, 0.005)
    black = ink if ink >= MAX_DARK_SHADE * paper else 0  # on a faint page nothing is as dark as a dark area
    dark, white = (black + share * (paper - black) for share in (MAX_DARK_SHADE, MIN_LIGHT_SHADE))
    width, height = (side // SQUARE_CELLS * SQUARE_CELLS for side in small.size)
    if not width or not height:
        return False
    shades = np.asarray(small)[:height, :width]
    light = shades > white
    starts = np.zeros_like(light)
    starts[:, 1:] = light[:, 1:] & ~light[:, :-1]
    squares = (height // SQUARE_CELLS, SQUARE_CELLS, width // SQUARE_CELLS, SQUARE_CELLS)
    is_dark = (shades < dark).reshape(squares).mean(axis=(1, 3)) > 0.5
    has_strokes = (starts.reshape(squares).sum(axis=3) >= MIN_STROKES).sum(axis=1) >= MIN_ROWS
    return int(np.count_nonzero(is_dark & has_strokes)) >= MIN_SQUARES
