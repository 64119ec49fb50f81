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
"""Minimum length of a rule in word heights; no stroke of a letter is so long."""

MIN_INKED_SHARE = 0.9
"""Minimum share of ink in the length of a rule. Rules of underscores and faintly scanned rules have gaps."""

SOFT_EDGE_HEIGHTS = 0.08
"""Width of the pale edge above and below a rule, in word heights."""

MIN_RULES_DOWN = 3
"""Minimum number of vertical rules in a table. Fewer are edges of the paper: the ruled tables among the samples have
3 to 8, the corpus pages at most 2."""

MIN_RULE_SHARE = 0.2
"""Minimum height of the vertical rules of a table, as a share of the page height."""

PALE_LENGTH_HEIGHTS = 20.0
"""Minimum length of a rule that is paler than Otsu's threshold, in word heights. Lines of text have gaps before that."""

MAX_PALE_WIDTH_HEIGHTS = 0.4
"""Maximum width of a pale rule, in word heights. What is wider is a shaded row with text on it."""


def without_horizontal_lines(image: Image.Image, word_height: float) -> Image.Image | None:
    """Returns a grey image (mode `L`) without its horizontal rules; None if it has none. `word_height` is in pixels."""
    import numpy as np

    grey = np.asarray(image)
    rules = horizontal_line_pixels(grey <= otsu_threshold(image.histogram()), word_height)
    return Image.fromarray(np.where(rules, np.uint8(255), grey)) if rules.any() else None


def without_table_grid(image: Image.Image, word_height: float) -> Image.Image | None:
    """Returns a grey page without the horizontal and vertical rules of its table; None if it has no ruled table."""
    import numpy as np

    grey = np.asarray(image)
    counts = image.histogram()
    threshold = otsu_threshold(counts)
    ink, pale = grey <= threshold, grey <= (threshold + quantile(counts, 0.5)) / 2
    down = (horizontal_line_pixels(ink.T, word_height) | _pale_line_pixels(pale.T, word_height)).T
    tall = down.mean(axis=0) > MIN_RULE_SHARE
    if np.count_nonzero(tall[1:] & ~tall[:-1]) < MIN_RULES_DOWN:
        return None
    rules = down | horizontal_line_pixels(ink, word_height) | _pale_line_pixels(pale, word_height)
    return Image.fromarray(np.where(rules, np.uint8(255), grey))


def _pale_line_pixels(ink: "NDArray[np.bool_]", word_height: float) -> "NDArray[np.bool_]":
    """Returns the mask of the pixels of long thin rules; `ink` includes shades that are paler than letters.

    A rule of one pixel that lies between two rows of pixels after scaling is half as dark as the letters.
    """
    rules = _long_strokes(ink, round(PALE_LENGTH_HEIGHTS * word_height))
    wide = _long_strokes(rules.T, round(MAX_PALE_WIDTH_HEIGHTS * word_height) + 1).T
    return rules & ~wide


def horizontal_line_pixels(ink: "NDArray[np.bool_]", word_height: float) -> "NDArray[np.bool_]":
    """Returns the mask of the pixels that belong to a horizontal rule or to its edge."""
    rules = _long_strokes(ink, max(2, round(MIN_LENGTH_HEIGHTS * word_height)))
    for _ in range(round(SOFT_EDGE_HEIGHTS * word_height)):
        thicker = rules.copy()
        thicker[1:] |= rules[:-1]
        thicker[:-1] |= rules[1:]
        rules = thicker
    return rules


def _long_strokes(ink: "NDArray[np.bool_]", length: int) -> "NDArray[np.bool_]":
    """Returns the mask of the pixels in a segment of a row, `length` pixels long, that is almost all ink."""
    import numpy as np

    strokes = np.zeros_like(ink)
    rows = np.flatnonzero(np.count_nonzero(ink, axis=1) >= MIN_INKED_SHARE * length)
    if len(rows) and ink.shape[1] >= length:
        segments = _sums(ink[rows], length) >= MIN_INKED_SHARE * length
        strokes[rows] = _sums(np.pad(segments, ((0, 0), (length - 1, length - 1))), length) > 0
    return strokes


def _sums(on: "NDArray[np.bool_]", length: int) -> "NDArray[np.int32]":
    """Returns the number of set pixels in each segment of a row, indexed by its start."""
    import numpy as np

    before = np.zeros((on.shape[0], on.shape[1] + 1), dtype=np.int32)
    np.cumsum(on, axis=1, out=before[:, 1:])
    return before[:, length:] - before[:, :-length]
