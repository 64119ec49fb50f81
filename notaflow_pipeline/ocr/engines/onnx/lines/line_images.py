"""Turns a unit of a page into the input of Tesseract's network: 36 pixels high, with its contrast stretched.

The scaling is Leptonica's `pixScale` (scale1.c) to the pixel, because the network was trained on what that makes; the
normalisation is Tesseract's `NetworkIO::FromPix` (lstm/networkio.cpp) in its integer mode.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from notaflow_pipeline.ocr.engines.onnx.lines.layout_units import Unit

Pixels = NDArray[np.uint8]
LineImage = NDArray[np.float32]

LINE_HEIGHT = 36
"""The height of the input of supported networks, `[1,36,0,1 ...]` in their specification."""

MIN_COLUMNS = 3
"""The network makes one step of three columns; `PrepareLSTMInputs` (lstm/input.cpp) refuses narrower lines."""

MAX_COLUMNS = 36_000
"""A line a thousand times as wide as it is high is a rule; the network would need gigabytes for it."""

TURNS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}
"""By quarter turns against the clock."""

AREA_MAP_BELOW = 0.7
UNSHARP_FROM = 0.2
UNSHARP_UP_TO = 1.4
HALVINGS = frozenset({0.5, 0.25, 0.125, 0.0625})
DOUBLINGS = frozenset({2.0, 4.0})
SUBPIXELS = 16
"""Leptonica's `pixScaleGeneral` averages below a factor of 0.7, interpolates from there on, and sharpens below 1.4.

Both count in sixteenths of a pixel, but for averages by powers of two.
"""


def line_image(page: Image.Image, unit: Unit) -> Pixels | None:
    """The unit cut out of the grey page, upright and scaled; None where nothing can be read in so small a piece."""
    piece = page.crop(unit.box)
    if unit.turns:
        piece = piece.transpose(TURNS[unit.turns])
    columns = piece.width * LINE_HEIGHT // piece.height
    if not MIN_COLUMNS <= columns <= MAX_COLUMNS or piece.height < MIN_COLUMNS:
        return None
    return _scaled(np.asarray(piece))


def normalised(pixels: Pixels) -> LineImage:
    """The pixels from -1 to 1, the black and the white of the text's middle row at the ends of the range.

    Tesseract's network holds inputs in 8 bits, so they are multiples of 1/127 here too.
    """
    black, white = _black_and_white(pixels[pixels.shape[0] // 2].astype(np.int16))
    contrast = (white - black) / 2
    stretched = (np.arange(256) - black) / (contrast if contrast > 0 else 1.0) - 1
    levels = np.clip(np.floor(128 * stretched + 0.5), -127, 127) / 127
    return np.asarray(levels.astype(np.float32)[pixels])


def _black_and_white(row: NDArray[np.int16]) -> tuple[float, float]:
    """Quantiles of the local minima and maxima of a row (`ComputeBlackWhite`, lstm/networkio.cpp)."""
    before, here, after = row[:-2], row[1:-1], row[2:]
    minima = here[((here < before) & (here <= after)) | ((here <= before) & (here < after))]
    maxima = here[((here > before) & (here >= after)) | ((here >= before) & (here > after))]
    return (
        _quantile(minima if minima.size else np.zeros(1, np.int16), 0.25),
        _quantile(maxima if maxima.size else np.full(1, 255, np.int16), 0.75),
    )


def _quantile(values: NDArray[np.int16], share: float) -> float:
    """`STATS::ile` (ccstruct/statistc.cpp): the end of the histogram's bucket, less the part of it that is not needed.

    The number of values that it looks for is not rounded.
    """
    counts = np.bincount(values, minlength=256)
    target = min(max(share * values.size, 1.0), float(values.size))
    sums = np.cumsum(counts)
    bucket = int(np.searchsorted(sums, target))
    return float(bucket + 1 - (sums[bucket] - target) / counts[bucket])


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
    mixed = mixed[:, x] * (SUBPIXELS - x_part) + mixed[:, right] * x_part
    return np.asarray((mixed + np.uint16(rounding)) >> 8, np.uint8)


def _places(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.uint16]]:
    """Returns the position of each target pixel in the source: whole pixels, and sixteenths."""
    scale = np.float32(16.0 * np.float32(source) / np.float32(target))
    at = (scale * np.arange(target, dtype=np.float32)).astype(np.intp)
    return at >> 4, (at & 15).astype(np.uint16)


def _area_map(pixels: Pixels, width: int) -> Pixels:
    """The mean of the source pixels that a target pixel covers (`scaleGrayAreaMapLow`)."""
    top, bottom, sums = _covered(pixels.astype(np.int64), LINE_HEIGHT)
    left, right, sums = _covered(np.ascontiguousarray(sums.T), width)
    area = (bottom - top)[:, None] * (right - left)
    means = ((sums.T + 128) // area).astype(np.uint8)
    # at the far edges it takes the source pixel as it is
    at_edge = ((bottom >> 4) > pixels.shape[0] - 2)[:, None] | ((right >> 4) > pixels.shape[1] - 2)
    return np.where(at_edge, pixels[np.ix_(top >> 4, left >> 4)], means)


def _covered(values: NDArray[np.int64], target: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where target pixels begin and end, in sixteenths of source rows, and the sums of the rows between.

    Leptonica computes the beginnings in single precision and the ends in double.
    """
    source = values.shape[0]
    scale = np.float32(16.0 * np.float32(source) / np.float32(target))
    begins = (scale * np.arange(target, dtype=np.float32)).astype(np.int64)
    ends = np.minimum((np.float64(scale) * np.arange(1, target + 1)).astype(np.int64), 16 * source)
    sums = np.zeros((source + 2, values.shape[1]), np.int64)
    np.cumsum(values, axis=0, out=sums[1:-1])
    sums[-1] = sums[-2]
    return begins, ends, _sum_until(sums, ends) - _sum_until(sums, begins)


def _sum_until(sums: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    whole, part = place >> 4, (place & 15)[:, None]
    return np.asarray(16 * sums[whole] + part * (sums[whole + 1] - sums[whole]))


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
    wide = pixels.astype(np.uint16)
    tall = sum(wide[i : rows - side + 1 + i] for i in range(1, side)) + wide[: rows - side + 1]
    square = sum(tall[:, i : columns - side + 1 + i] for i in range(1, side)) + tall[:, : columns - side + 1]
    inner = (slice(reach, rows - reach), slice(reach, columns - reach))
    value = pixels[inner].astype(np.float32) * np.float32(1 + fraction) - square * np.float32(fraction / side**2)
    sharpened = pixels.copy()
    sharpened[inner] = np.clip(value + np.float32(0.5), 0, 255).astype(np.uint8)
    return sharpened
