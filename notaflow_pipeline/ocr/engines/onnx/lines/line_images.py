"""Turns a unit of a page into the input of Tesseract's network: 36 pixels high, with its contrast stretched.

The scaling is Leptonica's `pixScale` (scale1.c) to the pixel, because the network was trained on what that makes; the
normalisation is Tesseract's `NetworkIO::FromPix` (lstm/networkio.cpp) in its integer mode.
"""

import math
from bisect import bisect_left, bisect_right
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.engines.onnx.lines.layout_units import Unit

Pixels = NDArray[np.uint8]
LineImage = NDArray[np.float32]
Numbers = TypeVar("Numbers", NDArray[np.uint16], NDArray[np.float64])

LINE_HEIGHT = 36
"""The height of the input of supported networks, `[1,36,0,1 ...]` in their specification."""

MIN_COLUMNS = 3
"""The network makes one step of three columns; `PrepareLSTMInputs` (lstm/input.cpp) refuses narrower lines."""

MAX_COLUMNS = 36_000
"""A line a thousand times as wide as it is high is a rule; the network would need gigabytes for it."""

AREA_MAP_BELOW = 0.7
UNSHARP_FROM = 0.2
UNSHARP_UP_TO = 1.4
HALVINGS = frozenset({0.5, 0.25, 0.125, 0.0625})
DOUBLINGS = frozenset({2.0, 4.0})
SUBPIXELS = 16
"""Leptonica's `pixScaleGeneral` averages below a factor of 0.7, interpolates from there on, and sharpens below 1.4.

Both count in sixteenths of a pixel, but for averages by powers of two.
"""


def line_image(page: Pixels, unit: Unit) -> Pixels | None:
    """The unit cut out of the grey page, upright and scaled; None where nothing can be read in so small a piece."""
    left, top, right, bottom = unit.box
    piece = np.ascontiguousarray(np.rot90(page[top:bottom, left:right], unit.turns))
    height, width = piece.shape
    if not MIN_COLUMNS <= width * LINE_HEIGHT // height <= MAX_COLUMNS or height < MIN_COLUMNS:
        return None
    return _scaled(piece)


def normalised(pixels: Pixels) -> LineImage:
    """The pixels from -1 to 1, the black and the white of the text's middle row at the ends of the range.

    Tesseract's network holds inputs in 8 bits, so they are multiples of 1/127 here too.
    """
    black, white = _black_and_white(pixels[pixels.shape[0] // 2].astype(np.int16))
    contrast = (white - black) / 2
    stretched = (np.arange(256) - black) / (contrast if contrast > 0 else 1.0) - 1
    levels = np.clip(np.floor(128 * stretched + 0.5), -127, 127).astype(np.int8)
    found = np.frombuffer(
        pixels.tobytes().translate(levels.tobytes()), np.int8
    )  # a tenth of the time of levels[pixels]
    return np.asarray(found.reshape(pixels.shape).astype(np.float32) / np.float32(127))


def _black_and_white(row: NDArray[np.int16]) -> tuple[float, float]:
    """Quantiles of the local minima and maxima of a row (`ComputeBlackWhite`, lstm/networkio.cpp)."""
    before, here, after = row[:-2], row[1:-1], row[2:]
    minima = here[((here < before) & (here <= after)) | ((here <= before) & (here < after))]
    maxima = here[((here > before) & (here >= after)) | ((here >= before) & (here > after))]
    return _quantile(minima.tolist() or [0], 0.25), _quantile(maxima.tolist() or [255], 0.75)


def _quantile(values: list[int], share: float) -> float:
    """`STATS::ile` (ccstruct/statistc.cpp): the end of the histogram's bucket, less the part of it that is not needed.

    The number of values that it looks for is not rounded.
    """
    values.sort()
    target = min(max(share * len(values), 1.0), float(len(values)))
    bucket = values[math.ceil(target) - 1]
    begin, end = bisect_left(values, bucket), bisect_right(values, bucket)
    return bucket + 1 - (end - target) / (end - begin)


def _scaled(pixels: Pixels) -> Pixels:
    """The pixels at the height of the network's input (`pixScaleGeneral`)."""
    factor = float(np.float32(LINE_HEIGHT / pixels.shape[0]))
    width = int(np.float32(factor) * np.float32(pixels.shape[1]) + 0.5)
    if factor == 1:
        return pixels
    if factor < AREA_MAP_BELOW:
        smaller = pixels
        if factor in HALVINGS:
            while smaller.shape[0] > LINE_HEIGHT:
                smaller = _halved(smaller)
        else:
            smaller = _area_map(pixels, width)
        return _sharpened(smaller, 1, 0.2) if factor > UNSHARP_FROM else smaller
    larger = _interpolated(pixels, width, rounding=0 if factor in DOUBLINGS else SUBPIXELS**2 // 2)
    return _sharpened(larger, 2, 0.4) if factor < UNSHARP_UP_TO else larger


def _interpolated(pixels: Pixels, width: int, rounding: int) -> Pixels:
    """Linear interpolation without a half pixel's shift (`scaleGrayLILow`; by two and four it drops the fraction)."""
    rows, columns = pixels.shape
    y, y_part = _places(rows, LINE_HEIGHT)
    x, x_part = _places(columns, width)
    wide = pixels.astype(np.uint16)  # 255 * 16 * 16 + 128 fits
    below, right = np.minimum(y + 1, rows - 1), np.minimum(x + 1, columns - 1)
    mixed = wide[y] * (SUBPIXELS - y_part)[:, None] + wide[below] * y_part[:, None]
    mixed = _columns(mixed, x) * (SUBPIXELS - x_part) + _columns(mixed, right) * x_part
    return np.asarray((mixed + np.uint16(rounding)) >> 8, np.uint8)


def _columns(values: Numbers, places: NDArray[np.intp]) -> Numbers:
    """The columns at these places, none of which is outside, so that nothing is clipped; without that mode it is slower."""
    return np.take(values, places, axis=1, mode="clip")


def _places(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.uint16]]:
    """Returns the position of each target pixel in the source: whole pixels, and sixteenths."""
    scale = np.float32(16.0 * np.float32(source) / np.float32(target))
    at = (scale * np.arange(target, dtype=np.float32)).astype(np.intp)
    return at >> 4, (at & 15).astype(np.uint16)


def _area_map(pixels: Pixels, width: int) -> Pixels:
    """The mean of the source pixels that a target pixel covers (`scaleGrayAreaMapLow`)."""
    top, bottom = _covered(pixels.shape[0], LINE_HEIGHT)
    left, right = _covered(pixels.shape[1], width)
    # integers, so that single precision holds them: a line of 1,000 rows has sums of 127,000
    rows = _shares(top, bottom, pixels.shape[0]) @ pixels.astype(np.float32)
    sums = np.zeros((LINE_HEIGHT, pixels.shape[1] + 2))
    np.cumsum(rows, axis=1, out=sums[:, 1:-1])
    sums[:, -1] = sums[:, -2]
    means = _sums_until(sums, right) - _sums_until(sums, left)
    means += 128
    means /= (bottom - top)[:, None] * (right - left)
    # at the far edges it takes the source pixel as it is
    at_bottom, at_right = (bottom >> 4) > pixels.shape[0] - 2, (right >> 4) > pixels.shape[1] - 2
    means[at_bottom] = pixels[np.ix_(top[at_bottom] >> 4, left >> 4)]
    means[:, at_right] = pixels[np.ix_(top >> 4, left[at_right] >> 4)]
    return means.astype(np.uint8)


def _covered(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where target pixels begin and end, in sixteenths of source pixels.

    Leptonica computes the beginnings in single precision and the ends in double.
    """
    scale = np.float32(16.0 * np.float32(source) / np.float32(target))
    begins = (scale * np.arange(target, dtype=np.float32)).astype(np.intp)
    ends = np.minimum((np.float64(scale) * np.arange(1, target + 1)).astype(np.intp), 16 * source)
    return begins, ends


def _shares(begins: NDArray[np.intp], ends: NDArray[np.intp], source: int) -> NDArray[np.float32]:
    """How many sixteenths of each source pixel (column) a target pixel (row) covers."""
    edges = 16 * np.arange(source)
    covered = np.minimum(ends[:, None], edges + 16) - np.maximum(begins[:, None], edges)
    return np.asarray(np.maximum(covered, 0), np.float32)


def _sums_until(sums: NDArray[np.float64], place: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sixteen times the sum of the columns before each place, which is in sixteenths."""
    whole, part = place >> 4, place & 15
    return _columns(sums, whole) * (16 - part) + _columns(sums, whole + 1) * part


def _halved(pixels: Pixels) -> Pixels:
    """The mean of two by two pixels, the fraction dropped (`scaleAreaMapLow2`)."""
    wide = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2].astype(np.uint16)
    return np.asarray((wide[::2, ::2] + wide[::2, 1::2] + wide[1::2, ::2] + wide[1::2, 1::2]) >> 2, np.uint8)


def _sharpened(pixels: Pixels, reach: int, fraction: float) -> Pixels:
    """Unsharp masking with a square mean; the border stays as it is (`pixUnsharpMaskingGray2D`, enhance.c)."""
    rows, columns = pixels.shape
    side = 2 * reach + 1
    if rows < side or columns < side:
        return pixels
    # row behind row in one dimension, which is twice as fast; only the border has sums from two rows
    flat = pixels.ravel()
    squares = _sums_of(_sums_of(flat.astype(np.uint16), side, columns), side, 1)
    begin = reach * (columns + 1)
    inner = slice(begin, begin + squares.size)
    values = flat[inner] * np.float32(1 + fraction)
    values -= squares * np.float32(fraction / side**2)
    values += np.float32(0.5)
    sharpened = pixels.copy()
    sharpened.ravel()[inner] = np.clip(values, 0, 255, out=values)
    sharpened[:, :reach], sharpened[:, -reach:] = pixels[:, :reach], pixels[:, -reach:]
    return sharpened


def _sums_of(values: NDArray[np.uint16], count: int, distance: int) -> NDArray[np.uint16]:
    """The sums of so many values at this distance from each other, from each value on."""
    size = values.size - (count - 1) * distance
    sums = values[:size].copy()
    for number in range(1, count):
        sums += values[number * distance : number * distance + size]
    return sums
