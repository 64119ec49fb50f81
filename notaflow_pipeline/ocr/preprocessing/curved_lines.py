"""Measures how lines of print rise or fall across a page, as they do near the fold of a book, and makes them level.

The page is cut into narrow vertical strips. From the middle to the left and to the right, each strip is shifted up or down
until its lines meet those of the strips before it. The sum of these shifts is the curve. One curve holds for all lines of a
page.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.preprocessing.orientation import profile_power

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Profile = NDArray[np.float32]

COPY_WIDTH = 640
"""The width in pixels of the reduced copy on which the curve is measured: 75 pixels per inch."""

STRIP_PIXELS = 12
"""The width of a strip in pixels of the copy. It holds two letters; within it, the steepest line rises by less than half of
the distance between lines."""

MAX_RISE_CHANGE = 2
"""In pixels of the copy: the largest difference between the rise of a strip and the rise of the strip before it."""

SHIFT_STEP = 0.5

MEAN_ROWS = 31
"""In pixels of the copy: the ink of a row is compared with the mean over this many rows, which is three lines of print."""

MIN_INK_SHARE = 0.05
"""As a share of the median strip's ink: a strip with less ink does not show where its lines are."""

MIN_SIMILARITY = 0.25
"""The correlation of a strip with the strips before it, at best 1. Below this value no shift makes their lines meet."""

NEW_STRIP_WEIGHT = 0.2
"""The weight of a strip in the profile with which the next strip is compared."""

MIN_CURVE = 0.003
"""As a share of the page's width, after the slope was subtracted (a slope is skew): a quarter of a line of print."""

MIN_GAIN = 1.5
"""The minimum factor by which the difference between rows of the page must grow when the lines are made level.

On pages drawn with curved lines it grows by a factor of 1.8 to 2.3, on two of the 62 corpus pages by 2.0 and 2.5, and on no
other page by more than 1.1. With level lines, these two have error rates of 0.030 and 0.047 instead of 0.031 and 0.049.
"""


@dataclass(frozen=True)
class LineCurve:
    """The fall of lines below their level at equal distances across a page, as shares of the page's width.

    `quarter_turns` is the number of quarter turns that the page had when it was measured.
    """

    falls: tuple[float, ...]
    quarter_turns: int = 0

    def fall_pixels(self, x: float, page_width: int) -> float:
        """Returns how far a line has fallen at `x` pixels from the left edge, in pixels."""
        import numpy as np

        return float(_falls(self, np.array([x]), page_width)[0])

    def straightened(self, image: Image.Image) -> Image.Image:
        """Returns the page with level lines."""
        import numpy as np

        page = np.asarray(image)
        columns = np.arange(image.width, dtype=np.float64)
        falls = np.round(_falls(self, columns + 0.5, image.width)).astype(np.intp)
        rows = np.clip(np.arange(image.height)[:, None] + falls[None, :], 0, image.height - 1)
        return Image.fromarray(np.take_along_axis(page, rows, axis=0))


def line_curve(image: Image.Image, quarter_turns: int = 0) -> LineCurve | None:
    """Returns the curve of the lines of an upright page, or None if they are level or slope evenly. Takes 15 ms."""
    import numpy as np

    factor = max(1, round(image.width / COPY_WIDTH))
    profiles = _profiles(image.reduce(factor))
    if len(profiles) < 2:
        return None
    falls = _line_shifts(profiles)
    numbers = np.arange(len(falls))
    slope = np.polyval(np.polyfit(numbers, falls, 1), numbers)
    if float(np.ptp(falls - slope)) * factor < MIN_CURVE * image.width:
        return None
    curve = LineCurve(tuple((falls * factor / image.width).tolist()), quarter_turns)
    return curve if profile_power(curve.straightened(image)) > MIN_GAIN * profile_power(image) else None


def _falls(curve: LineCurve, x: "NDArray[np.float64]", page_width: int) -> "NDArray[np.float64]":
    import numpy as np

    count = len(curve.falls)
    places = (np.arange(count) + 0.5) * page_width / count
    return np.asarray(np.interp(x, places, curve.falls) * page_width)


def _profiles(small: Image.Image) -> "Profile":
    """Returns for each row of each strip how much more ink it has than the rows around it."""
    import numpy as np

    count = small.width // STRIP_PIXELS
    ink = 255 - np.asarray(small, dtype=np.float32)[:, : count * STRIP_PIXELS]
    rows = ink.reshape(small.height, count, STRIP_PIXELS).sum(axis=2).T
    around = np.pad(rows, ((0, 0), (MEAN_ROWS // 2 + 1, MEAN_ROWS // 2)), mode="edge")
    sums = np.cumsum(around, axis=1, dtype=np.float64)
    return np.asarray(rows - (sums[:, MEAN_ROWS:] - sums[:, :-MEAN_ROWS]) / MEAN_ROWS, dtype=np.float32)


def _line_shifts(profiles: "Profile") -> "NDArray[np.float64]":
    """Returns how far down the lines of each strip are, compared with the middle strip."""
    import numpy as np

    inks = (profiles**2).sum(axis=1)
    enough = MIN_INK_SHARE * float(np.median(inks))
    moves = np.zeros(len(profiles))
    middle = len(profiles) // 2
    for side in (range(middle + 1, len(profiles)), range(middle - 1, -1, -1)):
        before, move, rise = profiles[middle], 0.0, 0.0
        for number in side:
            tried = move + rise + np.arange(-MAX_RISE_CHANGE, MAX_RISE_CHANGE + SHIFT_STEP, SHIFT_STEP)
            similarity = [float(before @ _shifted(profiles[number], one)) for one in tried]
            best = int(np.argmax(similarity))
            alike = similarity[best] > MIN_SIMILARITY * float(np.sqrt((before**2).sum() * inks[number]))
            if inks[number] > enough and alike:
                rise = (rise + float(tried[best]) - move) / 2
                move = float(tried[best])
                before = (1 - NEW_STRIP_WEIGHT) * before + NEW_STRIP_WEIGHT * _shifted(profiles[number], move)
            moves[number] = move
    return moves


def _shifted(profile: "Profile", rows: float) -> "Profile":
    """Returns a profile moved up by `rows`, which can have a fraction."""
    import numpy as np

    whole = int(np.floor(rows))
    part = np.float32(rows - whole)
    begin = whole % len(profile)
    rolled = np.concatenate((profile[begin:], profile[: begin + 1]))  # `numpy.roll` takes three times as long
    return rolled[:-1] * (1 - part) + rolled[1:] * part
