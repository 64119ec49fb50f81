"""Finds and removes ruling lines: horizontal lines under text, and the grid of a table.

Tesseract handles ruling lines itself, and reads whole pages better with them; callers decide which version is read.
"""

from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.input.images.grey_levels import otsu_threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_LENGTH_HEIGHTS = 5.0
"""So many heights of a word a stroke runs on before it is a rule; no letter does."""

INKED_SHARE = 0.9
"""Of a rule's length: one typed from underscores, or scanned faintly, has gaps."""

SOFT_EDGE_HEIGHTS = 0.08
"""What a rule has above and below that is paler than ink, in heights of a word."""

MIN_RULES_DOWN = 3
"""Fewer are the edges of the paper; the ruled tables among the samples have 3 to 8, the corpus pages 2 at most."""

MIN_RULE_SHARE = 0.2
"""Of the height of the page: how far a table's rules run down at least."""


def without_horizontal_lines(image: Image.Image, word_height: float) -> Image.Image | None:
    """A grey image (mode `L`) with its horizontal rules made white; None where it has none. `word_height` in pixels."""
    import numpy as np

    grey = np.asarray(image)
    rules = horizontal_line_pixels(grey <= otsu_threshold(image.histogram()), word_height)
    return Image.fromarray(np.where(rules, np.uint8(255), grey)) if rules.any() else None


def without_table_grid(image: Image.Image, word_height: float) -> Image.Image | None:
    """A grey page with the rules of its table made white, across and down; None where it has no ruled table."""
    import numpy as np

    grey = np.asarray(image)
    ink = grey <= otsu_threshold(image.histogram())
    down = horizontal_line_pixels(ink.T, word_height).T
    tall = down.mean(axis=0) > MIN_RULE_SHARE
    if np.count_nonzero(tall[1:] & ~tall[:-1]) < MIN_RULES_DOWN:
        return None
    return Image.fromarray(np.where(down | horizontal_line_pixels(ink, word_height), np.uint8(255), grey))


def horizontal_line_pixels(ink: "NDArray[np.bool_]", word_height: float) -> "NDArray[np.bool_]":
    """Which pixels belong to a horizontal rule, or to its edge."""
    rules = _long_strokes(ink, max(2, round(MIN_LENGTH_HEIGHTS * word_height)))
    for _ in range(round(SOFT_EDGE_HEIGHTS * word_height)):
        thicker = rules.copy()
        thicker[1:] |= rules[:-1]
        thicker[:-1] |= rules[1:]
        rules = thicker
    return rules


def _long_strokes(ink: "NDArray[np.bool_]", length: int) -> "NDArray[np.bool_]":
    """Which pixels lie in a stretch of a row, `length` pixels long, that is nearly all ink."""
    import numpy as np

    strokes = np.zeros_like(ink)
    rows = np.flatnonzero(np.count_nonzero(ink, axis=1) >= INKED_SHARE * length)
    if len(rows) and ink.shape[1] >= length:
        stretches = _sums(ink[rows], length) >= INKED_SHARE * length
        strokes[rows] = _sums(np.pad(stretches, ((0, 0), (length - 1, length - 1))), length) > 0
    return strokes


def _sums(on: "NDArray[np.bool_]", length: int) -> "NDArray[np.int32]":
    """How many pixels are on in each stretch of a row, by where it begins."""
    import numpy as np

    before = np.zeros((on.shape[0], on.shape[1] + 1), dtype=np.int32)
    np.cumsum(on, axis=1, out=before[:, 1:])
    return before[:, length:] - before[:, :-length]
