"""Computes the convolution of a network along the border of a line, where Tesseract fills in random numbers.

`Convolve::Forward` (lstm/convolve.cpp) puts noise in the place of each pixel outside of the line, anew for each position
of the kernel. The noise is the same for every line, because `LSTMRecognizer::SetRandomSeed` starts it anew. With it, 0.78 %
of the characters of 125 units differ from Tesseract's without dictionaries, with zeros in its place 1.15 % (our model, 8
bits; with `fra` 1.44 and 2.29 %).

The kernel is three pixels square, as are the pools behind it; positions at the border are those of the outermost pixels.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.engines.onnx.model.network import KERNEL, LINE_HEIGHT, POOL

Floats = NDArray[np.float32]
Places = NDArray[np.int32]

WIDTHS_KEPT = 128
"""Many short words have the same width; one of 1,000 pixels takes 75 kB."""
NUMBERS_AT_ONCE = 8192
"""Enough for lines of 1,300 pixels."""
MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407
"""The constants of `TRand::Iterate` (ccutil/helpers.h), a generator of 64 bits."""
SEED_OF_ITERATION = 0x10000001
"""The multiplier of `LSTMRecognizer::SetRandomSeed` (lstm/lstmrecognizer.h)."""
LARGEST = 127
"""Of `NetworkIO::Randomize` (lstm/networkio.cpp) with 8 bits; 1 among floats."""


def noise_for(iteration: int, width: int) -> Floats:
    """The random numbers for lines of this width and perhaps more, from -1 to 1.

    They are those of a network that was trained for so many iterations.
    """
    return _noise(iteration, -(-noise_needed(width, LINE_HEIGHT) // NUMBERS_AT_ONCE) * NUMBERS_AT_ONCE)


@lru_cache(maxsize=16)
def _noise(iteration: int, count: int) -> Floats:
    factors = np.full(count + 2, MULTIPLIER, np.uint64)
    factors[0] = 1
    powers = np.multiply.accumulate(factors)  # modulo 2**64, as the generator is
    seed = np.uint64(iteration * SEED_OF_ITERATION % 2**64)
    states = np.asarray(powers[1:] * seed + np.add.accumulate(powers[:-1]) * np.uint64(INCREMENT), np.uint64)
    numbers = 2.0 * LARGEST * (states[1:] >> np.uint64(33)) / (2**31 - 1) - LARGEST  # the first one is not used
    return np.asarray(np.copysign(np.floor(np.abs(numbers) + 0.5), numbers) / LARGEST, np.float32)


def noise_needed(width: int, height: int) -> int:
    """Returns the number of random numbers for a line of this size."""
    return 2 * (KERNEL * width + 4) + 2 * KERNEL * (height - 2)


def border_maxima(line: Floats, noise: Floats, weights: Floats) -> Floats:
    """The largest values of the convolution, before tanh, among the positions of each pool that lie at the border.

    Args:
        line: `(height, width)`, the height a multiple of `POOL`, the width `POOL` at least.
        noise: `noise_for` a line of this width.
        weights: of the convolution, a row a channel: `KERNEL` columns from the left, each from the top; then the bias.

    Returns:
        `(pools of a column, pools of a line, channels)`, minus infinity where a pool does not touch the border.
    """
    height, width = line.shape
    rows, pools = height // POOL, width // POOL
    pixels = np.concatenate([line.ravel(), noise[: noise_needed(width, height)]])
    values = pixels.take(_covered_pixels(width, height)) @ weights[:, :-1].T
    largest = values.reshape(POOL, -1, len(weights)).max(axis=0) + weights[:, -1]
    maxima = np.full((rows, pools, len(weights)), -np.inf, np.float32)
    maxima[0], maxima[-1] = largest[:pools], largest[pools : 2 * pools]
    np.maximum(maxima[:, 0], largest[2 * pools : 2 * pools + rows], out=maxima[:, 0])
    if width % POOL == 0:  # else the last column is in no pool
        np.maximum(maxima[:, -1], largest[2 * pools + rows :], out=maxima[:, -1])
    return maxima


@lru_cache(maxsize=WIDTHS_KEPT)
def _covered_pixels(width: int, height: int) -> Places:
    """Returns the indexes of a line's pixels and noise that the kernel covers at each position along the border.

    A row a position: the first of each pool, then the second and the third of each; pools are those of the first row, of
    the last row, of the first and of the last column. The noise is taken in the order of the positions, row by row.
    """
    line = np.arange(height * width, dtype=np.int32).reshape(height, width)
    noise = np.arange(line.size, line.size + noise_needed(width, height), dtype=np.int32)
    side = KERNEL * (height - 2)
    top, sides, bottom = np.split(noise, np.cumsum([KERNEL * width + 4, 2 * side]))
    left, right = sides.reshape(height - 2, 2, KERNEL).swapaxes(0, 1)
    above = _row_windows(line[:2], top, missing=0)
    below = _row_windows(line[-2:], bottom, missing=2)
    first = _column_windows(line[:, :2], left, missing=0)
    last = _column_windows(line[:, -2:], right, missing=2)
    in_pools = width // POOL * POOL
    parts = [above[:in_pools], below[:in_pools], above[:1], first, below[:1], above[-1:], last, below[-1:]]
    by_pools = np.concatenate(parts).reshape(-1, POOL, KERNEL * KERNEL)
    return by_pools.swapaxes(0, 1).reshape(-1, KERNEL * KERNEL)


def _row_windows(rows: Places, noise: Places, missing: int) -> Places:
    """Returns the pixels under the kernel at each position of the first or last row; `missing` is the kernel's row
    outside.
    """
    width = rows.shape[1]
    windows = np.empty((width, KERNEL, KERNEL), np.int32)
    inside = slice(1, 3) if missing == 0 else slice(0, 2)
    windows[:, 1, inside] = rows.T
    windows[1:, 0, inside] = rows.T[:-1]
    windows[:-1, 2, inside] = rows.T[1:]
    windows[0, 0] = noise[:KERNEL]  # a whole column is outside
    windows[-1, 2] = noise[-KERNEL:]
    outside = noise[KERNEL:-KERNEL]
    windows[0, 1:, missing] = outside[:2]
    windows[-1, :2, missing] = outside[-2:]
    windows[1:-1, :, missing] = outside[2:-2].reshape(-1, KERNEL)
    return windows.reshape(width, -1)


def _column_windows(columns: Places, noise: Places, missing: int) -> Places:
    """Returns the pixels under the kernel at each position of the first or last column, without the corners."""
    height = len(columns)
    windows = np.empty((height - 2, KERNEL, KERNEL), np.int32)
    inside = slice(1, 3) if missing == 0 else slice(0, 2)
    for y in range(KERNEL):
        windows[:, inside, y] = columns[y : y + height - 2]
    windows[:, missing] = noise
    return windows.reshape(height - 2, -1)
