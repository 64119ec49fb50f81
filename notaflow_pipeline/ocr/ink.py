"""What does a prepared page's ink look like: is there any, is it text or noise, and how small is the print?

What does not belong here: making more of it (`preparing`).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.shades import otsu_threshold, quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FAINTEST_INK = 20
"""Less than so much darker than its paper (of 255), nothing on a page can be read."""

FAINTEST_IN_NOISE = 1.5
"""Of its standard deviation: typescript 65 darker than its paper, in noise of 30, is read with 0.65 of its letters wrong."""

LEAST_INK = 60
"""Square pixels of ink at 150 dpi that the smallest thing worth reading has, such as a page number."""

MARGIN = 0.03
"""The share of each side in which shadows, holes and edges do not count as ink."""

SHORTEST_RUN = 2.2

LARGEST_INK_SHARE = 0.25

SMALL_PRINT_PIXELS = 11
"""At 150 dpi: print of 6.5 and 7 points on the drawn index pages has 10 or 11, of 9 points 13, of 10 points 15.

At 150 dpi 0.73 of the numbers, dates and amounts in print of 6.5 points are read exactly, at 200 dpi 0.98; in 9 points
all of them at either (`benchmarks/tables.py`). A sample of sixty lines scanned at 200 dpi keeps its numbers only at 250,
which is why tables are tried there too (`recognising`); two of the 40 corpus pages are taken for small print.
"""

LETTER_PIXELS = (4, 60)
"""What is lower is dust and horizontal rules, what is higher is vertical rules and pictures."""

LETTERS_ABREAST_PIXELS = 12
"""The width of the strips in which heights are measured: two letters of small print, so that one of them is tall."""


def has_no_ink(prepared: Image.Image, noise: float = 0.0) -> bool:
    """Whether a page whose paper was divided to white carries less than a page number between its margins.

    Ink is what is darker than the paper's grain; on smooth paper that is the faintest pencil, and on a page that had noise
    what stood out of it.
    """
    width, height = prepared.size
    inner = prepared.crop(
        (round(width * MARGIN), round(height * MARGIN), round(width * (1 - MARGIN)), round(height * (1 - MARGIN)))
    )
    counts = inner.histogram()
    paper, lower_quartile = quantile(counts, 0.5), quantile(counts, 0.25)
    grain = (paper - lower_quartile) / 0.674  # the standard deviation of a normal distribution
    faintest = max(6 * grain, FAINTEST_INK, FAINTEST_IN_NOISE * noise)
    return sum(counts[: max(round(paper - faintest), 1)]) < LEAST_INK


@dataclass(frozen=True)
class Texture:
    """What a page's ink looks like: its share of the page, and how many pixels it runs on from left to right.

    Text at 150 dpi covers 1 to 14 % of the 40 corpus pages, in runs of 2.9 to 10.5 pixels. Noise has runs of 1.05 to
    1.9, or covers a third of a page; Tesseract spent 18 s on 5 % of single black pixels and found no word.
    """

    ink_share: float
    run_pixels: float
    print_height_pixels: float = math.inf

    @property
    def small(self) -> bool:
        """Whether it is print that loses numbers at 150 dpi."""
        return self.print_height_pixels <= SMALL_PRINT_PIXELS

    @property
    def speckled(self) -> bool:
        """Whether it is dust and grain for the most part."""
        return self.run_pixels < SHORTEST_RUN

    @property
    def solid(self) -> bool:
        """Whether it covers more than text can."""
        return self.ink_share > LARGEST_INK_SHARE


def texture(image: Image.Image) -> Texture:
    """Measure a page's ink, which is what is darker than Otsu's threshold."""
    import numpy as np

    dark = np.asarray(image) <= otsu_threshold(image.histogram())
    ink = int(np.count_nonzero(dark))
    starts = int(np.count_nonzero(dark[:, 1:] & ~dark[:, :-1]))
    return Texture(ink / dark.size, ink / max(starts, 1), _print_height(dark))


def _print_height(dark: "NDArray[np.bool_]") -> float:
    """The upper quartile of the heights of lines of print, in pixels; infinite without print. 5 ms."""
    import numpy as np

    height, strips = dark.shape[0], dark.shape[1] // LETTERS_ABREAST_PIXELS
    inked = dark[:, : strips * LETTERS_ABREAST_PIXELS].reshape(height, strips, -1).any(axis=2)
    columns = np.zeros((strips, height + 2), dtype=bool)  # a column of paper at either end, so that all ink ends
    columns[:, 1:-1] = inked.T
    starts = np.flatnonzero(columns[:, 1:] & ~columns[:, :-1])
    ends = np.flatnonzero(~columns[:, 1:] & columns[:, :-1])
    heights = ends - starts
    letters = heights[(heights >= LETTER_PIXELS[0]) & (heights <= LETTER_PIXELS[1])]
    return float(np.percentile(letters, 75)) if letters.size else math.inf
