"""How is the noise of a sensor taken off a page, and the print left as it was?

What does not belong here: dirt and grain that are on the paper (`preparing.without_grain`).
"""

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

WORTH_REMOVING = 6.0
"""A standard deviation, of 255 shades. At 150 dpi the 40 corpus pages have 0 to 4.2, and 8 to 30 when noise of 30 is added to
their scans (`noise_level`, by a loop over `benchmarks/quality.py`'s noisy pages)."""

REACH = 3
"""How far away, in pixels, other places are looked for that look alike: a stroke goes on there, and so does paper."""

STRENGTH = 0.7
"""How much more two places may differ than noise alone lets them, in its standard deviations, before they count as unlike."""

LEAST_WEIGHT = 1e-6

BLOCK_ROWS = 96
"""Rows that are worked on at a time, so that they stay in the processor's cache."""


def noise_level(image: Image.Image) -> float:
    """The standard deviation of a grey page's noise, of 255 shades; print and shadows do not count.

    The median of what is left when everything that changes evenly is taken away (J. Immerkær, Fast noise variance
    estimation, 1996, who takes the mean, which print would raise). 10 ms at 150 dpi.
    """
    import numpy as np

    page = np.asarray(image, dtype=np.float32)
    if min(page.shape) < 3:
        return 0.0
    rows = page[:-2:2] - 2 * page[1:-1:2] + page[2::2]
    uneven = rows[:, :-2:2] - 2 * rows[:, 1:-1:2] + rows[:, 2::2]
    return float(np.median(np.abs(uneven))) / (6 * 0.6745)  # of a normal distribution


def without_noise(image: Image.Image) -> Image.Image:
    """The page with each pixel the mean of those nearby whose surroundings look alike; a clean page as it is.

    Non-local means (A. Buades, B. Coll, J.-M. Morel, 2005), over 49 places and surroundings of 3 x 3. 0.4 to 0.6 s for a
    noisy page at 150 dpi, of which reading it then takes less.
    """
    import numpy as np

    level = noise_level(image)
    if level < WORTH_REMOVING:
        return image
    page = np.asarray(image, dtype=np.float32)
    around = np.pad(page, REACH + 1, mode="reflect")
    clean = np.empty_like(page)
    for top in range(0, page.shape[0], BLOCK_ROWS):
        rows = slice(top, min(page.shape[0], top + BLOCK_ROWS))
        clean[rows] = _means_of_alike(around[rows.start : rows.stop + 2 * REACH + 2], level)
    return Image.fromarray((clean + 0.5).astype(np.uint8))


def _means_of_alike(around: "Pixels", level: float) -> "Pixels":
    """Of every pixel but the outermost `REACH` + 1, on each side."""
    import numpy as np

    total = np.zeros_like(around[REACH + 1 : -REACH - 1, REACH + 1 : -REACH - 1])
    weights = np.zeros_like(total)
    greatest = np.full_like(total, LEAST_WEIGHT)
    here = _moved(around, 0, 0)
    for down in range(-REACH, REACH + 1):
        for right in range(-REACH, REACH + 1):
            if down == right == 0:
                continue
            there = _moved(around, down, right)
            unlike = here - there
            unlike *= unlike
            weight = _mean_of_nine(unlike)
            weight -= 2 * level**2  # as much as noise alone makes them differ
            np.maximum(weight, 0, out=weight)
            weight *= -1 / (STRENGTH * level) ** 2
            np.exp(weight, out=weight)
            weights += weight
            np.maximum(greatest, weight, out=greatest)
            weight *= there[1:-1, 1:-1]
            total += weight
    # a pixel counts for as much as the one most like it: where nothing is, it would stay the speck that it is
    total += greatest * here[1:-1, 1:-1]
    weights += greatest
    total /= weights
    return total


def _moved(around: "Pixels", down: int, right: int) -> "Pixels":
    height, width = around.shape
    return around[REACH + down : height - REACH + down, REACH + right : width - REACH + right]


def _mean_of_nine(values: "Pixels") -> "Pixels":
    rows = values[:-2] + values[1:-1]
    rows += values[2:]
    means = rows[:, :-2] + rows[:, 1:-1]
    means += rows[:, 2:]
    means *= 1 / 9
    return means
