"""Statistics of a grey image: quantiles, and Otsu's threshold between ink and paper."""

import math
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def quantile(counts: list[int], share: float) -> int:
    """Returns the grey value that this share of the pixels in a histogram does not exceed."""
    wanted, seen = share * sum(counts), 0
    for value, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return value
    return len(counts) - 1


def otsu_threshold(counts: list[int]) -> int:
    """Returns the grey value that splits a histogram with the greatest variance between the two parts (N. Otsu,
    1979)."""
    total, moment = sum(counts), sum(value * count for value, count in enumerate(counts))
    below, below_moment, best, best_variance = 0, 0, 0, -1.0
    for value, count in enumerate(counts):
        below += count
        below_moment += value * count
        if 0 < below < total:
            variance = (moment * below / total - below_moment) ** 2 / (below * (total - below))
            if variance > best_variance:
                best, best_variance = value, variance
    return best


def separability(counts: list[int], threshold: int) -> float:
    """Returns the share of a histogram's variance that is between the two parts which a threshold splits (N. Otsu, 1979).

    It is 1 for an image of two shades.
    """
    total = sum(counts)
    mean = sum(value * count for value, count in enumerate(counts)) / total
    variance = sum((value - mean) ** 2 * count for value, count in enumerate(counts))
    between = 0.0
    for part in (range(threshold + 1), range(threshold + 1, len(counts))):
        size = sum(counts[value] for value in part)
        if size:
            between += size * (sum(value * counts[value] for value in part) / size - mean) ** 2
    return between / variance if variance else 1.0


def ink_mask(image: Image.Image) -> "NDArray[np.bool_]":
    """Returns the pixels of a grey image that are not lighter than Otsu's threshold."""
    import numpy as np

    return np.asarray(np.asarray(image) <= otsu_threshold(image.histogram()))


def sample(image: Image.Image, longest: int) -> Image.Image:
    """Returns a reduced copy whose longer side has at most `longest` pixels; each pixel is the mean of a block."""
    return image.reduce(max(1, math.ceil(max(image.size) / longest)))
