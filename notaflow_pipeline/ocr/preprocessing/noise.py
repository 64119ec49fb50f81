"""Measures sensor noise and dust of a page image, and removes the noise. Dust is removed by `preprocess.without_grain`."""

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

MIN_REMOVED_NOISE = 6.0
"""A standard deviation, in shades of 255. At 150 dpi the 40 corpus pages have 0 to 4.2, and 8 to 30 when noise of 30 is added
to their scans (`noise_level`, measured over the noisy pages of `benchmarks/quality.py`)."""

SQUARE_PIXELS = 8
"""The side in pixels of the squares that are transformed. A stroke of typescript fills a quarter of a square."""

STEP = 2
"""Pixels from one grid of squares to the next. Each pixel lies in 16 squares, of which the mean is taken."""

MIN_COEFFICIENT = 2.5
"""In standard deviations of the noise: in the first step, smaller coefficients count as noise."""

MIN_WEIGHT = 1e-6

MIN_SPECK_CONTRAST = 100
"""In shades of 255: a speck of dust is darker than each of the eight pixels around it by more than this."""

MIN_SPECK_SHARE = 0.002
"""As a share of a page's pixels. The grey corpus pages have at most 0.0002, also with noise of 30. A page on which every
hundredth pixel was made black or white has 0.004."""

BAND_ROWS = 256
"""The number of rows that are processed at a time, so that they fit in the processor's cache and a large page needs no more
memory."""


def noise_level(image: Image.Image) -> float:
    """Returns the standard deviation of a grey page's noise, in shades of 255; print and shadows do not count.

    It is the median of the second differences of the page (J. Immerkær, Fast noise variance estimation, 1996, takes the mean,
    which print would raise). Takes 10 ms at 150 dpi.
    """
    import numpy as np

    page = np.asarray(image, dtype=np.float32)
    if min(page.shape) < 3:
        return 0.0
    rows = page[:-2:2] - 2 * page[1:-1:2] + page[2::2]
    uneven = rows[:, :-2:2] - 2 * rows[:, 1:-1:2] + rows[:, 2::2]
    return float(np.median(np.abs(uneven))) / (6 * 0.6745)  # of a normal distribution


def has_dust(image: Image.Image) -> bool:
    """Returns whether single black pixels are strewn over a grey page. Takes 2 ms; an eighth of the page is examined.

    On a page of one bit, they can be the grey of a dithered page.
    """
    import numpy as np

    width, height = image.size
    part = image.crop((width // 4, 3 * height // 8, width - width // 4, height - 3 * height // 8))
    if min(part.size) < 3 or sum(map(bool, part.histogram())) <= 2:
        return False
    page = np.asarray(part)
    across = np.minimum(np.minimum(page[:, :-2], page[:, 1:-1]), page[:, 2:])
    beside = np.minimum(page[1:-1, :-2], page[1:-1, 2:])
    around = np.minimum(np.minimum(across[:-2], across[2:]), beside)
    speck = page[1:-1, 1:-1]
    return float(np.mean((around > speck) & (around - speck > MIN_SPECK_CONTRAST))) >= MIN_SPECK_SHARE


def without_noise(image: Image.Image) -> Image.Image:
    """Returns the page without sensor noise; a page without noise is returned unchanged.

    Squares of 8 x 8 pixels are transformed into cosine coefficients (G. Yu, G. Sapiro, DCT image denoising, 2011) in two
    steps. The first step keeps only large coefficients. The second step weights each coefficient by its share of signal,
    which is estimated from the result of the first (as in K. Dabov and others, Image denoising by sparse 3-D transform-domain
    collaborative filtering, 2007). Takes 0.7 s for
    1.4 million noisy pixels; the pass that follows takes less time than on the noisy page.
    """
    import numpy as np

    level = noise_level(image)
    if level < MIN_REMOVED_NOISE:
        return image
    margin = 2 * SQUARE_PIXELS  # of a band: each of the two steps needs one square around its result
    padding = [(margin, margin + -side % SQUARE_PIXELS) for side in (image.height, image.width)]
    page = np.pad(np.asarray(image, dtype=np.float32), padding, mode="symmetric")
    clean = np.empty((image.height, image.width), np.uint8)
    for top in range(0, image.height, BAND_ROWS):
        band = page[top : top + BAND_ROWS + 2 * margin]
        found = _filtered(band, _filtered(band, None, level), level)[margin:-margin, margin : margin + image.width]
        rows = clean[top : top + BAND_ROWS]
        rows[:] = np.clip(found[: len(rows)] + 0.5, 0, 255)
    return Image.fromarray(clean)


def _filtered(page: "Pixels", known: "Pixels | None", level: float) -> "Pixels":
    """Returns the mean of the filtered squares of all grids. `known` is the result of the first step, None in the first step.

    The sides of the page are multiples of `SQUARE_PIXELS`.
    """
    import numpy as np

    transform = _cosine_transform()
    height, width = (side - SQUARE_PIXELS for side in page.shape)
    total, weights = np.zeros_like(page), np.full_like(page, MIN_WEIGHT)
    for top in range(0, SQUARE_PIXELS, STEP):
        for left in range(0, SQUARE_PIXELS, STEP):
            grid = np.s_[top : top + height, left : left + width]
            coefficients = _split_squares(page[grid]) @ transform.T
            if known is None:
                share = (np.abs(coefficients) > MIN_COEFFICIENT * level).astype(np.float32)
            else:
                share = (_split_squares(known[grid]) @ transform.T) ** 2
                share /= share + level**2
            share[:, 0] = 1  # the square's mean shade
            weight = 1 / np.sum(share**2, axis=1, keepdims=True)  # the fewer coefficients, the less noise is left
            coefficients *= share
            total[grid] += _joined_squares((coefficients @ transform) * weight, height, width)
            weights[grid] += _joined_squares(np.broadcast_to(weight, coefficients.shape), height, width)
    return total / weights


def _cosine_transform() -> "Pixels":
    """Returns the orthonormal discrete cosine transform of a square, one row per coefficient; the first is the mean."""
    import numpy as np

    place = np.arange(SQUARE_PIXELS)
    line = np.sqrt(2 / SQUARE_PIXELS) * np.cos(np.pi * np.outer(place, 2 * place + 1) / (2 * SQUARE_PIXELS))
    line[0] /= np.sqrt(2)
    return np.kron(line, line).astype(np.float32)


def _split_squares(page: "Pixels") -> "Pixels":
    """Returns the squares of a page, one row of 64 pixels for each."""
    height, width = page.shape
    parted = page.reshape(height // SQUARE_PIXELS, SQUARE_PIXELS, width // SQUARE_PIXELS, SQUARE_PIXELS)
    return parted.transpose(0, 2, 1, 3).reshape(-1, SQUARE_PIXELS * SQUARE_PIXELS)


def _joined_squares(squares: "Pixels", height: int, width: int) -> "Pixels":
    """Returns the page whose squares `_split_squares` returned."""
    parted = squares.reshape(height // SQUARE_PIXELS, width // SQUARE_PIXELS, SQUARE_PIXELS, SQUARE_PIXELS)
    return parted.transpose(0, 2, 1, 3).reshape(height, width)
