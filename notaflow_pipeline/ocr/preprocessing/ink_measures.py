"""Measures the ink of a page: whether there is any, whether it is text or noise, and the print height."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.input.images.grey_levels import otsu_threshold, quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_INK_CONTRAST = 12
"""Less than so much darker than its paper (of 255), nothing on a page can be read: JPEG alone makes such differences."""

MIN_INK_CONTRAST_IN_NOISE = 1.5
"""Of its standard deviation: typescript 65 darker than its paper, in noise of 30, is read with 0.65 of its letters wrong."""

MIN_INK_DEVIATIONS = 6.0
"""Standard deviations of the paper's grain: less far from its shade, a pixel can be grain."""

CERTAIN_INK_CONTRAST = 60.0
"""So much darker than its paper at half the size, a pixel is ink whatever the grain is."""

MAX_EVEN_RATIO = 5.0
"""Where the most uneven square is less than so many times as uneven as the most even tenth, there is no print, or print all
over. Noise of 2 to 50 shades has 1.6 to 4.8, as it is and when it was taken off, a pencilled number in grain 7, print 20 to
400.
"""

MIN_INK_PIXELS = 12
"""Pixels of ink at half of 150 dpi that the smallest thing worth reading has; a figure of ten points has some 20."""

MIN_RUN_PIXELS = 2.2

MAX_INK_SHARE = 0.25

MAX_SMALL_PRINT_PIXELS = 11
"""At 150 dpi: print of 6.5 and 7 points on the drawn index pages has 10 or 11, of 9 points 13, of 10 points 15.

At 150 dpi 0.73 of the numbers, dates and amounts in print of 6.5 points are read exactly, at 200 dpi 0.98; in 9 points
all of them at either (`benchmarks/tables.py`). A sample of sixty lines scanned at 200 dpi keeps its numbers only at 250,
which is why tables are tried there too (`recognition.page`); two of the 40 corpus pages are taken for small print.
"""

LETTER_HEIGHTS_PIXELS = (4, 60)
"""What is lower is dust and horizontal rules, what is higher is vertical rules and pictures."""

STRIP_PIXELS = 12
"""The width of the strips in which heights are measured: two letters of small print, so that one of them is tall."""


def has_no_ink(prepared: Image.Image, noise: float = 0.0) -> bool:
    """Whether a page whose paper was divided to white surely carries less than a page number.

    Ink is what is darker than the paper's grain, on a copy of half the size, where strokes keep half of their contrast at
    least. The grain is that of the most even tenth of the page, so that a page full of print has no more of it than an
    empty one. `noise` is what the page had before it was taken off; what does not stand out of that cannot be read.
    """
    import numpy as np

    small = prepared.reduce(2)
    counts = small.histogram()
    paper = quantile(counts, 0.75)  # also on a page that is dark for the most part
    unevenness = _square_deviations(np.asarray(small))
    grain = float(np.percentile(unevenness, 10))
    if float(unevenness.max()) < MAX_EVEN_RATIO * max(
        grain, 0.3
    ):  # the same all over the page: grain, or a page full of tiny print
        faintest = max(CERTAIN_INK_CONTRAST, MIN_INK_CONTRAST_IN_NOISE * noise)
    else:
        faintest = max(
            min(MIN_INK_DEVIATIONS * grain, CERTAIN_INK_CONTRAST),
            MIN_INK_CONTRAST / 2,
            MIN_INK_CONTRAST_IN_NOISE / 2 * noise,
        )
    return sum(counts[: max(round(paper - faintest), 1)]) < MIN_INK_PIXELS


def _square_deviations(shades: "NDArray[np.uint8]") -> "NDArray[np.float64]":
    """The standard deviation of each square of 8 x 8 pixels; of the whole where it is smaller."""
    import numpy as np

    height, width = (side // 8 * 8 for side in shades.shape)
    if not height or not width:
        return np.array([np.std(shades)])
    squares = shades[:height, :width].reshape(height // 8, 8, width // 8, 8).astype(np.float32)
    return np.asarray(np.std(squares, axis=(1, 3)), dtype=np.float64)


@dataclass(frozen=True)
class InkMeasures:
    """What a page's ink looks like: its share of the page, and how many pixels it runs on from left to right.

    Text at 150 dpi covers 1 to 14 % of the 40 corpus pages, in runs of 2.9 to 10.5 pixels. Noise has runs of 1.05 to
    1.9, or covers a third of a page; Tesseract spent 18 s on 5 % of single black pixels and found no word.
    """

    ink_share: float
    run_pixels: float
    print_height_pixels: float = math.inf

    @property
    def is_small_print(self) -> bool:
        """Whether it is print that loses numbers at 150 dpi."""
        return self.print_height_pixels <= MAX_SMALL_PRINT_PIXELS

    @property
    def is_speckled(self) -> bool:
        """Whether it is dust and grain for the most part."""
        return self.run_pixels < MIN_RUN_PIXELS

    @property
    def is_solid(self) -> bool:
        """Whether it covers more than text can."""
        return self.ink_share > MAX_INK_SHARE


def densest_rows_top(image: Image.Image, height: int) -> int:
    """The first of so many rows of a page that have the most changes from paper to ink: print has more than pictures."""
    import numpy as np

    dark = np.asarray(image) <= otsu_threshold(image.histogram())
    changes = np.cumsum(np.count_nonzero(dark[:, 1:] & ~dark[:, :-1], axis=1))
    if len(changes) <= height:
        return 0
    return int(np.argmax(changes[height:] - changes[:-height])) + 1


def measure_ink(image: Image.Image) -> InkMeasures:
    """Measure a page's ink, which is what is darker than Otsu's threshold."""
    import numpy as np

    dark = np.asarray(image) <= otsu_threshold(image.histogram())
    ink = int(np.count_nonzero(dark))
    starts = int(np.count_nonzero(dark[:, 1:] & ~dark[:, :-1]))
    return InkMeasures(ink / dark.size, ink / max(starts, 1), _print_height(dark))


def _print_height(dark: "NDArray[np.bool_]") -> float:
    """The upper quartile of the heights of lines of print, in pixels; infinite without print. 5 ms."""
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
