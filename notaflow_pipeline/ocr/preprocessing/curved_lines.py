"""Measures how lines of print rise or fall across a page, as they do towards the fold of a book, and makes them level.

The page is cut into narrow upright strips. From the middle to either side each strip is moved up or down until its lines
meet those before it; what all of these moves add up to is the curve. It is the same for all lines of a page.
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
"""Pixels across the copy on which a curve is measured: 75 an inch."""

STRIP_PIXELS = 12
"""Pixels of that copy, the width of a strip: two letters, in which the steepest line rises less than half of its pitch."""

MAX_RISE_CHANGE = 2
"""Pixels of that copy by which a strip may rise more or less than the one before it."""

SHIFT_STEP = 0.5

MEAN_ROWS = 31
"""Pixels of that copy: a strip's ink is compared with its mean over so many rows, three lines of print."""

MIN_INK_SHARE = 0.05
"""Of the usual strip's: with less, it says nothing of its lines."""

MIN_SIMILARITY = 0.25
"""Of a strip and those before it, at best 1; below it their lines do not meet anywhere."""

NEW_STRIP_WEIGHT = 0.2
"""How much a strip counts in what the next one is compared with."""

MIN_CURVE = 0.003
"""Of the page's width, and without a slope, which is skew: a quarter of a line of print."""

MIN_GAIN = 1.5
"""How much more the rows of a page must differ once the lines are level.

On pages drawn with curved lines they differ 1.8 to 2.3 times as much, on two of the 62 corpus pages 2.0 and 2.5 times, and on
no other more than 1.1 times. Made level, these two have error rates of 0.030 and 0.047 instead of 0.031 and 0.049.
"""


@dataclass(frozen=True)
class LineCurve:
    """How far lines fall below their level at places across a page, as shares of its width, at even distances.

    `quarter_turns` are those that the page was turned by when it was measured.
    """

    falls: tuple[float, ...]
    quarter_turns: int = 0

    def fall_pixels(self, x: float, page_width: int) -> float:
        """How far a line falls at so many pixels from the left edge."""
        import numpy as np

        return float(_falls(self, np.array([x]), page_width)[0])

    def straightened(self, image: Image.Image) -> Image.Image:
        """The page with its lines level."""
        import numpy as np

        page = np.asarray(image)
        columns = np.arange(image.width, dtype=np.float64)
        falls = np.round(_falls(self, columns + 0.5, image.width)).astype(np.intp)
        rows = np.clip(np.arange(image.height)[:, None] + falls[None, :], 0, image.height - 1)
        return Image.fromarray(np.take_along_axis(page, rows, axis=0))


def line_curve(image: Image.Image, quarter_turns: int = 0) -> LineCurve | None:
    """How the lines of an upright page are curved; None where they are level, or slope evenly. 15 ms."""
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
    """How much more ink each row of each strip has than the rows around it."""
    import numpy as np

    count = small.width // STRIP_PIXELS
    ink = 255 - np.asarray(small, dtype=np.float32)[:, : count * STRIP_PIXELS]
    rows = ink.reshape(small.height, count, STRIP_PIXELS).sum(axis=2).T
    around = np.pad(rows, ((0, 0), (MEAN_ROWS // 2 + 1, MEAN_ROWS // 2)), mode="edge")
    sums = np.cumsum(around, axis=1, dtype=np.float64)
    return np.asarray(rows - (sums[:, MEAN_ROWS:] - sums[:, :-MEAN_ROWS]) / MEAN_ROWS, dtype=np.float32)


def _line_shifts(profiles: "Profile") -> "NDArray[np.float64]":
    """How far down the lines of each strip stand, compared with the middle one."""
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
    """A profile moved up, also by parts of a row."""
    import numpy as np

    whole = int(np.floor(rows))
    part = np.float32(rows - whole)
    return np.roll(profile, -whole) * (1 - part) + np.roll(profile, -whole - 1) * part
