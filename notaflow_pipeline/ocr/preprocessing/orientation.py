"""Detects sideways pages and skew from pixels alone; `recognition.passes.rotation` reads pages to find upside-down ones."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from notaflow_pipeline.ocr.input.images.grey_levels import quantile, sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ANGLES = range(-8, 9)
"""In degrees. A page with a larger skew was laid so on purpose."""

MIN_SKEW_DEGREES = 1.0

MIN_SKEW_GAIN = 1.15

MIN_SIDEWAYS_RATIO = 1.3


def is_sideways(image: Image.Image) -> bool:
    """Returns whether lines of text run vertically: columns of pixels then differ more from their neighbours than rows do.

    On the 40 corpus pages columns differ at most 0.94 times as much as rows. Where the two are similar, both are measured at
    the angle at which they differ most, because the lines of a skewed page run across its rows.
    """
    sample_of_ink = _ink_sample(image, 600)
    ink, lying = _ink_of(sample_of_ink), _ink_of(sample_of_ink.transpose(Image.Transpose.ROTATE_90))
    if lying.profile_power(0) < 0.5 * ink.profile_power(0):
        return False
    return max(map(lying.profile_power, ANGLES)) > MIN_SIDEWAYS_RATIO * max(map(ink.profile_power, ANGLES))


def skew_degrees(image: Image.Image, min_degrees: float = MIN_SKEW_DEGREES) -> float:
    """Returns the counter-clockwise rotation in degrees that makes the lines of a page level; 0 below `min_degrees`.

    It is the angle at which the rows of a small copy differ most (projection profile: W. Postl, 1986). Takes 6 ms. On the 40
    corpus pages turned by 3, 5 and 7 degrees in both directions, the result differs by at most a quarter of a degree from
    that of the unturned page; on copies of 600 instead of 900 pixels, one of these 240 was wrong by 7 degrees. Small angles
    are not corrected: on 30 pages, deskewing by any measured angle raised the error rate from 0.169 to 0.174. On the corpus,
    which is nearly straight, it changes nothing. `benchmarks/quality.py --variants` measures the gain on skewed pages.
    """
    ink = _ink_of(_ink_sample(image, 900))
    best = max(ANGLES, key=ink.profile_power)
    fine = max((best + step for step in (-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75)), key=ink.profile_power)
    level = ink.profile_power(0)
    gain = ink.profile_power(fine) / level if level else 1.0
    return fine if abs(fine) >= min_degrees and gain > MIN_SKEW_GAIN else 0.0


def profile_power(image: Image.Image) -> float:
    """Returns how much the rows of a page differ from their neighbours: most where its lines are level."""
    return _ink_of(_ink_sample(image, 900)).profile_power(0)


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    """Returns the page turned counter-clockwise, on white."""
    return image.rotate(degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=255)


def deskewed(image: Image.Image) -> Image.Image:
    """Returns a page of ruled lines with its skew removed, also a small one."""
    skew = skew_degrees(image, 0.25)
    return rotated(image, skew) if skew else image


@dataclass(frozen=True)
class _Ink:
    """The pixels of a page that are not paper: distances from its centre to the right and down, and their darkness."""

    right: "NDArray[np.float32]"
    down: "NDArray[np.float32]"
    darkness: "NDArray[np.uint8]"
    width: int
    height: int

    def profile_power(self, degrees: float) -> float:
        """Returns how much the rows differ from their neighbours after a turn, as the mean squared difference."""
        import numpy as np

        angle = math.radians(degrees)
        # turned by at most 8 degrees, no pixel leaves the page by as much as the width
        rows = self.down * math.cos(angle) - self.right * math.sin(angle) + (self.height / 2 + self.width)
        sums = np.bincount(rows.astype(np.intp), self.darkness, self.height + 2 * self.width)
        differences = np.diff(sums[self.width : self.width + self.height] / self.width)
        return float(differences @ differences) / self.height


def _ink_of(sample_of_ink: Image.Image) -> _Ink:
    import numpy as np

    darkness = np.asarray(sample_of_ink)
    height, width = darkness.shape
    rows, columns = np.nonzero(darkness)
    right, down = (columns + (0.5 - width / 2)).astype(np.float32), (rows + (0.5 - height / 2)).astype(np.float32)
    return _Ink(right, down, darkness[rows, columns], width, height)


def _ink_sample(image: Image.Image, longest: int) -> Image.Image:
    """Returns a small negative of a page without its margins; the darkest ink is as light as possible, the paper is black.

    Faint pages have as strong a profile as others. Edges, holes and shadows at the margins are left out.
    """
    width, height = image.size
    inner = image.crop((width // 12, height // 12, width - width // 12, height - height // 12))
    negative = ImageOps.invert(sample(inner, longest))
    counts = negative.histogram()
    paper, ink = quantile(counts, 0.5), quantile(counts, 0.99)
    floor = paper + 0.3 * (ink - paper)
    span = max(ink - floor, 1.0)
    return negative.point([min(255, max(0, round(255 * (value - floor) / span))) for value in range(256)])
