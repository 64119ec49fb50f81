"""Finds and removes ruling lines: horizontal lines under text, and the grid of a table.

Tesseract detects ruling lines itself and reads whole pages better with them. The caller decides which version is read.
"""

from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.input.images.grey_levels import otsu_threshold, quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_LENGTH_HEIGHTS = 5.0
"""Minimum length of a ruling line in word heights; no stroke of a letter is so long."""

MIN_BOX_HEIGHTS, MIN_BOX_SHARE = 1.2, 0.75
"""Minimum height of a box around a single letter, in word heights and as a share of the height of the ink in its row. Letters
in boxes are at most 0.7 times as high as the boxes."""

DOT_HEIGHTS = 0.2
"""Maximum diameter of a dot of a dotted line, in word heights."""

MIN_DOTS = 7
"""The dots in a length of five word heights of a dotted line. Fewer are punctuation."""

MIN_INKED_SHARE = 0.9
"""Minimum share of ink in the length of a ruling line. Lines of underscores and faintly scanned lines have gaps."""

SOFT_EDGE_HEIGHTS = 0.08
"""Width of the pale edge above and below a ruling line, in word heights."""

MIN_VERTICAL_LINES = 3
"""Minimum number of vertical lines in a table. Fewer are edges of the paper: the ruled tables among the samples have
3 to 8, the corpus pages at most 2."""

MIN_VERTICAL_LINE_SHARE = 0.2
"""Minimum height of the vertical lines of a table, as a share of the page height."""

PALE_LENGTH_HEIGHTS = 20.0
"""Minimum length, in word heights, of a ruling line paler than Otsu's threshold. Lines of text have gaps before that."""

MAX_PALE_WIDTH_HEIGHTS = 0.4
"""Maximum width of a pale ruling line, in word heights. What is wider is a shaded row with text on it."""


def without_horizontal_lines(image: Image.Image, word_height: float) -> Image.Image | None:
    """Returns a grey image (mode `L`) without horizontal ruling lines; None if it has none. `word_height` is in pixels."""
    import numpy as np

    grey = np.asarray(image)
    lines = horizontal_line_pixels(grey <= otsu_threshold(image.histogram()), word_height)
    return Image.fromarray(np.where(lines, np.uint8(255), grey)) if lines.any() else None


def without_dotted_lines(image: Image.Image, word_height: float) -> Image.Image | None:
    """Returns a grey image without the dots of dotted lines that touch no letter; None if it has no dotted line."""
    import numpy as np

    grey = np.asarray(image)
    ink = grey <= otsu_threshold(image.histogram())
    reach, length = max(2, round(DOT_HEIGHTS * word_height)), round(MIN_LENGTH_HEIGHTS * word_height)
    if length >= ink.shape[1]:
        return None
    inked = _sums(_sums(np.pad(ink, reach), 2 * reach + 1).T, 2 * reach + 1).T  # in the square around each pixel
    dots = ink & (inked <= reach * reach) & ~_long_strokes(ink.T, reach + 1).T  # the end of a stroke is no dot
    starts = np.pad(dots[:, 1:] & ~dots[:, :-1], ((0, 0), (1, 0)))
    rows = np.flatnonzero(np.count_nonzero(starts, axis=1) >= MIN_DOTS)
    lines = np.zeros_like(dots)
    segments = _sums(starts[rows], length) >= MIN_DOTS
    lines[rows] = dots[rows] & (_sums(np.pad(segments, ((0, 0), (length - 1, length - 1))), length) > 0)
    if not lines.any():
        return None
    return Image.fromarray(np.where(_around(lines, reach), np.uint8(255), grey))


def _around(mask: "NDArray[np.bool_]", reach: int) -> "NDArray[np.bool_]":
    """Returns a mask of the pixels at most half of `reach` from a pixel of the mask: the rest of a dot, and its edge."""
    import numpy as np

    side = reach // 2
    return _sums(_sums(np.pad(mask, side), 2 * side + 1).T, 2 * side + 1).T > 0


def without_boxes(strip: Image.Image, word_height: float) -> Image.Image | None:
    """Returns a strip with one line of print (grey) without the sides of boxes around its letters; None without any."""
    import numpy as np

    grey = np.asarray(strip)
    ink = grey <= otsu_threshold(strip.histogram())
    rows = np.flatnonzero(ink.any(axis=1))
    height = max(2.0, MIN_BOX_HEIGHTS * word_height, MIN_BOX_SHARE * np.ptp(rows) if len(rows) else 0.0)
    across = horizontal_line_pixels(ink, word_height)
    down = _thickened(_long_strokes(ink.T, round(height)), word_height).T
    down &= (down & across).any(axis=0)  # a side that touches no bottom or top is a stroke of a letter
    return Image.fromarray(np.where(down | across, np.uint8(255), grey)) if down.any() else None


def without_table_grid(image: Image.Image, word_height: float) -> Image.Image | None:
    """Returns a grey page without the ruling lines of its table; None if it has no ruled table."""
    import numpy as np

    grey = np.asarray(image)
    counts = image.histogram()
    threshold = otsu_threshold(counts)
    ink, pale = grey <= threshold, grey <= (threshold + quantile(counts, 0.5)) / 2
    down = (horizontal_line_pixels(ink.T, word_height) | _pale_line_pixels(pale.T, word_height)).T
    tall = down.mean(axis=0) > MIN_VERTICAL_LINE_SHARE
    if np.count_nonzero(tall[1:] & ~tall[:-1]) < MIN_VERTICAL_LINES:
        return None
    lines = down | horizontal_line_pixels(ink, word_height) | _pale_line_pixels(pale, word_height)
    return Image.fromarray(np.where(lines, np.uint8(255), grey))


def _pale_line_pixels(ink: "NDArray[np.bool_]", word_height: float) -> "NDArray[np.bool_]":
    """Returns the mask of the pixels of long thin ruling lines; `ink` includes shades that are paler than letters.

    A ruling line of one pixel that lies between two rows of pixels after scaling is half as dark as the letters.
    """
    lines = _long_strokes(ink, round(PALE_LENGTH_HEIGHTS * word_height))
    wide = _long_strokes(lines.T, round(MAX_PALE_WIDTH_HEIGHTS * word_height) + 1).T
    return lines & ~wide


def horizontal_line_pixels(ink: "NDArray[np.bool_]", word_height: float) -> "NDArray[np.bool_]":
    """Returns the mask of the pixels that belong to a horizontal ruling line or to its edge."""
    return _thickened(_long_strokes(ink, max(2, round(MIN_LENGTH_HEIGHTS * word_height))), word_height)


def _thickened(lines: "NDArray[np.bool_]", word_height: float) -> "NDArray[np.bool_]":
    """Returns the mask of ruling lines with their pale edges above and below."""
    for _ in range(round(SOFT_EDGE_HEIGHTS * word_height)):
        thicker = lines.copy()
        thicker[1:] |= lines[:-1]
        thicker[:-1] |= lines[1:]
        lines = thicker
    return lines


def _long_strokes(ink: "NDArray[np.bool_]", length: int) -> "NDArray[np.bool_]":
    """Returns the mask of the pixels in a segment of a row, `length` pixels long, that is almost all ink."""
    import numpy as np

    strokes = np.zeros_like(ink)
    rows = np.flatnonzero(np.count_nonzero(ink, axis=1) >= MIN_INKED_SHARE * length)
    if len(rows) and ink.shape[1] >= length:
        segments = _sums(ink[rows], length) >= MIN_INKED_SHARE * length
        strokes[rows] = _sums(np.pad(segments, ((0, 0), (length - 1, length - 1))), length) > 0
    return strokes


def _sums(on: "NDArray[np.bool_] | NDArray[np.int32]", length: int) -> "NDArray[np.int32]":
    """Returns the sum of the pixels in each segment of a row, indexed by its start."""
    import numpy as np

    before = np.zeros((on.shape[0], on.shape[1] + 1), dtype=np.int32)
    np.cumsum(on, axis=1, out=before[:, 1:])
    return before[:, length:] - before[:, :-length]
