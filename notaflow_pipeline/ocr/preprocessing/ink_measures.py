"""Measures the ink of a page: whether there is any, whether it is text or noise, and the height of the print."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.input.images.connected_cells import box_of_cells, connected_cells
from notaflow_pipeline.ocr.input.images.grey_levels import ink_mask, otsu_threshold, quantile, separability

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""

MIN_INK_CONTRAST = 12
"""In shades of 255. Ink that is less than this darker than its paper cannot be read: JPEG compression alone makes such
differences."""

MIN_INK_CONTRAST_IN_NOISE = 1.5
"""In standard deviations of the noise. Typescript that is 65 shades darker than its paper, in noise of 30, is read with 0.65
of its letters wrong."""

MIN_INK_DEVIATIONS = 6.0
"""In standard deviations of the paper's grain: a pixel that is less than this darker than the paper can be grain."""

CERTAIN_INK_CONTRAST = 60.0
"""In shades of 255: a pixel that is this much darker than its paper, at half the size, is ink however strong the grain is."""

MAX_EVEN_RATIO = 5.0
"""The ratio of the standard deviation of the most uneven square to that of the most even tenth of the squares. Below it, the
page has no print, or print all over. Noise of 2 to 50 shades has a ratio of 1.6 to 4.8, before and after its removal, a
pencilled number in grain has 7, print has 20 to 400."""

MIN_INK_PIXELS = 12
"""The ink pixels of the smallest readable character, at half of 150 dpi. A digit of ten points has about 20."""

MAX_MARK_PIXELS, MARK_DISTANCE = 4000, 12
"""The number of ink pixels of a page with little ink, and the side of the squares that join its pixels to marks; at half of
150 dpi. Two lines of print have 4000 pixels, and a space of ten points has 4."""

MIN_RUN_PIXELS = 2.2

MAX_INK_SHARE = 0.25
"""As a share of the page: print covers less."""

MAX_GRAIN_SEPARABILITY = 0.8
"""Of an image whose shades Otsu's threshold divides: normally distributed ones have 0.64, evenly distributed ones 0.75."""

MAX_SMALL_PRINT_PIXELS = 11
"""The height in pixels at 150 dpi. Print of 6.5 and 7 points on the drawn index pages has 10 or 11, of 9 points 13, of 10
points 15.

At 150 dpi, 0.73 of the numbers, dates and amounts in print of 6.5 points are read exactly, at 200 dpi 0.98; in 9 points all
of them at both resolutions (`benchmarks/tables.py`). A sample of sixty lines scanned at 200 dpi keeps its numbers only at 250
dpi, so tables are also read at that resolution (`recognition.page`). Two of the 40 corpus pages count as small print.
"""

LETTER_HEIGHTS_PIXELS = (4, 60)
"""The range of heights of letters. Lower runs are dust and horizontal ruling lines, higher runs are vertical ruling lines and
pictures."""

STRIP_PIXELS = 12
"""The width of the strips in which heights are measured. It holds two letters of small print, so that one of them is tall."""


def has_no_ink(prepared: Image.Image, noise: float = 0.0) -> bool:
    """Returns whether a page whose background was removed certainly carries less than a page number.

    Ink is what is darker than the paper's grain, on a copy of half the size, where strokes keep at least half of their
    contrast. The grain is that of the most even tenth of the page, so that a page full of print has no more grain than an
    empty one. `noise` is the noise of the page before its removal; ink that does not exceed it cannot be read.
    """
    small = prepared.reduce(2)
    return sum(small.histogram()[: max(_ink_shade(small, noise), 1)]) < MIN_INK_PIXELS


def ink_boxes(prepared: Image.Image, noise: float = 0.0) -> list[Box]:
    """Returns boxes around the marks of ink on a page with little ink, the largest first; nothing if it has much ink.

    The arguments are those of `has_no_ink`. Marks that are near each other are in one box.
    """
    import numpy as np

    small = prepared.reduce(2)
    rows, columns = np.nonzero(np.asarray(small) < max(_ink_shade(small, noise), 1))
    if len(rows) >= MAX_MARK_PIXELS:
        return []
    places: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        places.setdefault((row // MARK_DISTANCE, column // MARK_DISTANCE), []).append((row, column))
    groups = ([place for cell in group for place in places[cell]] for group in connected_cells(places, reach=1))
    marks = [mark for mark in groups if len(mark) >= MIN_INK_PIXELS]
    return [box_of_cells(mark, 2) for mark in sorted(marks, key=len, reverse=True)]


def _ink_shade(small: Image.Image, noise: float) -> int:
    """Returns the shade below which pixels of a page at half its size are ink, see `has_no_ink`."""
    import numpy as np

    counts = small.histogram()
    paper = quantile(counts, 0.75)  # also correct on a page that is mainly dark
    unevenness = _square_deviations(np.asarray(small))
    grain = float(np.percentile(unevenness, 10))
    if float(unevenness.max()) < MAX_EVEN_RATIO * max(grain, 0.3):  # even all over the page: grain, or tiny print
        faintest = max(CERTAIN_INK_CONTRAST, MIN_INK_CONTRAST_IN_NOISE * noise)
    else:
        faintest = max(
            min(MIN_INK_DEVIATIONS * grain, CERTAIN_INK_CONTRAST),
            MIN_INK_CONTRAST / 2,
            MIN_INK_CONTRAST_IN_NOISE / 2 * noise,
        )
    return round(paper - faintest)


def splits_into_grain(image: Image.Image) -> bool:
    """Returns whether Otsu's threshold divides the paper of an image itself, because it has hardly any ink.

    The engine takes the grain for ink then. It spent 129 CPU seconds on a blank page of 300 dpi with noise of four shades and
    one figure on it.
    """
    counts = image.histogram()
    threshold = otsu_threshold(counts)
    is_split = quantile(counts, 0.5) - threshold < MIN_INK_CONTRAST
    return is_split and separability(counts, threshold) < MAX_GRAIN_SEPARABILITY


def _square_deviations(shades: "NDArray[np.uint8]") -> "NDArray[np.float64]":
    """Returns the standard deviation of each square of 8 x 8 pixels, or of the whole image if it is smaller than a square."""
    import numpy as np

    height, width = (side // 8 * 8 for side in shades.shape)
    if not height or not width:
        return np.array([np.std(shades)])
    squares = shades[:height, :width].reshape(height // 8, 8, width // 8, 8).astype(np.float32)
    return np.asarray(np.std(squares, axis=(1, 3)), dtype=np.float64)


@dataclass(frozen=True)
class InkMeasures:
    """The ink of a page: its share of the page, the mean length of its horizontal runs, and the height of the print.

    Text at 150 dpi covers 1 to 14 % of the 40 corpus pages, in runs of 2.9 to 10.5 pixels. Noise has runs of 1.05 to 1.9
    pixels, or covers a third of a page. Tesseract spent 18 s on a page with 5 % of single black pixels and found no word.
    """

    ink_share: float
    run_pixels: float
    print_height_pixels: float = math.inf

    @property
    def is_small_print(self) -> bool:
        """Whether the print is so small that numbers are misread at 150 dpi."""
        return self.print_height_pixels <= MAX_SMALL_PRINT_PIXELS

    @property
    def is_speckled(self) -> bool:
        """Whether the ink is mainly dust and grain."""
        return self.run_pixels < MIN_RUN_PIXELS

    @property
    def is_solid(self) -> bool:
        """Whether the ink covers more of the page than text can."""
        return self.ink_share > MAX_INK_SHARE


def densest_rows_top(image: Image.Image, height: int) -> int:
    """Returns the first of the `height` rows with the most changes from paper to ink; pictures have fewer than print."""
    import numpy as np

    dark = ink_mask(image)
    changes = np.cumsum(np.count_nonzero(dark[:, 1:] & ~dark[:, :-1], axis=1))
    if len(changes) <= height:
        return 0
    return int(np.argmax(changes[height:] - changes[:-height])) + 1


def measure_ink(image: Image.Image) -> InkMeasures:
    """Measures a page's ink: the pixels that are darker than Otsu's threshold."""
    import numpy as np

    dark = ink_mask(image)
    ink = int(np.count_nonzero(dark))
    starts = int(np.count_nonzero(dark[:, 1:] & ~dark[:, :-1]))
    return InkMeasures(ink / dark.size, ink / max(starts, 1), _print_height(dark))


def _print_height(dark: "NDArray[np.bool_]") -> float:
    """Returns the upper quartile of the heights of lines of print, in pixels; infinite without print. Takes 5 ms."""
    import numpy as np

    height, strips = dark.shape[0], dark.shape[1] // STRIP_PIXELS
    inked = dark[:, : strips * STRIP_PIXELS].reshape(height, strips, -1).any(axis=2)
    columns = np.zeros((strips, height + 2), dtype=bool)  # a column of paper at either end, so that all ink ends
    columns[:, 1:-1] = inked.T
    starts = np.flatnonzero(columns[:, 1:] & ~columns[:, :-1])
    ends = np.flatnonzero(~columns[:, 1:] & columns[:, :-1])
    heights = ends - starts
    letters = heights[(heights >= LETTER_HEIGHTS_PIXELS[0]) & (heights <= LETTER_HEIGHTS_PIXELS[1])]
    return float(np.percentile(letters, 75)) if letters.size else math.inf
