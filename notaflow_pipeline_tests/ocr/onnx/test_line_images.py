"""Tests of line images: scaled exactly like Leptonica, and stretched like Tesseract."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import tesserocr
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from notaflow_pipeline.ocr.engines.onnx.lines.layout_units import Unit
from notaflow_pipeline.ocr.engines.onnx.lines.line_images import line_image, normalised

Pixels = NDArray[np.uint8]


class Leptonica:
    """Leptonica's `pixScale`, from the library in tesserocr's wheel."""

    def __init__(self, path: Path) -> None:
        library = self._library = ctypes.CDLL(str(path))
        for name in ("pixCreate", "pixScale", "pixGetData"):
            getattr(library, name).restype = ctypes.c_void_p
        library.pixScale.argtypes = [ctypes.c_void_p, ctypes.c_float, ctypes.c_float]
        for name in ("pixGetData", "pixGetWpl", "pixGetWidth", "pixGetHeight"):
            getattr(library, name).argtypes = [ctypes.c_void_p]

    def scaled(self, pixels: Pixels, factor: float) -> Pixels:
        library = self._library
        height, width = pixels.shape
        source = library.pixCreate(width, height, 8)
        padded = np.zeros((height, 4 * library.pixGetWpl(source)), np.uint8)
        padded[:, :width] = pixels
        words = padded.view("<u4").byteswap()
        ctypes.memmove(library.pixGetData(source), words.ctypes.data, words.nbytes)
        target = library.pixScale(source, factor, factor)
        size = library.pixGetHeight(target), library.pixGetWpl(target)
        data = ctypes.cast(library.pixGetData(target), ctypes.POINTER(ctypes.c_uint32))
        found = np.ctypeslib.as_array(data, size).byteswap().view(np.uint8)[:, : library.pixGetWidth(target)].copy()
        for image in (source, target):
            library.pixDestroy(ctypes.byref(ctypes.c_void_p(image)))
        return found


@pytest.fixture(scope="module")
def leptonica() -> Leptonica:
    libraries = sorted((Path(tesserocr.__file__).parents[1] / "tesserocr.libs").glob("libleptonica*"))
    if not libraries:
        pytest.skip("tesserocr is not from a wheel")
    return Leptonica(libraries[0])


def grey_page(width: int, height: int) -> Pixels:
    noise = np.random.default_rng(height).integers(0, 256, (height, width), np.uint8)
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1)))


def whole(page: Pixels, turns: int = 0) -> Unit:
    height, width = page.shape
    return Unit((0, 0, width, height), turns, (), 1, 1, 1)


@pytest.mark.parametrize("height", [9, 18, 20, 25, 26, 34, 36, 37, 51, 52, 55, 60, 72, 100, 144, 180, 181, 400])
def test_scaling_is_that_of_leptonica(leptonica: Leptonica, height: int) -> None:
    page = grey_page(333, height)
    found = line_image(page, whole(page))
    assert found is not None
    np.testing.assert_array_equal(found, leptonica.scaled(page, 36 / height))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_unit_is_made_upright(turns: int) -> None:
    page = grey_page(200, 36) if turns == 2 else grey_page(36, 200)
    found = line_image(page, whole(page, turns))
    np.testing.assert_array_equal(found, np.rot90(page, turns))


@pytest.mark.parametrize("size", [(400, 3), (200, 1), (2, 400), (1, 2000), (3, 20000)])
def test_unit_too_small_for_a_letter_is_not_a_line(size: tuple[int, int]) -> None:
    page = np.full(size, 200, np.uint8)
    assert line_image(page, whole(page)) is None


def test_black_and_white_are_those_of_the_middle_row() -> None:
    pixels = np.arange(36 * 12).reshape(36, 12).astype(np.uint8)  # every shade of grey
    pixels[18] = [200, 60, 200, 60, 200, 60, 200, 60, 200, 60, 200, 200]
    line = normalised(pixels)
    # minima are 60, five of them; the first quarter of that bucket, 1.25 values, ends at 60.25. Maxima are 200, four of
    # them, and end at 200.75.
    black, white = 60 + 1.25 / 5, 200 + 3 / 4
    expected = np.clip(np.floor(128 * ((pixels - black) / ((white - black) / 2) - 1) + 0.5), -127, 127) / 127
    assert line == pytest.approx(expected)
    assert line[0, 0] == -1
    assert line.dtype == np.float32


def test_even_paper_is_stretched_over_the_whole_range() -> None:
    line = normalised(np.full((36, 30), 235, np.uint8))
    assert line.min() == line.max()
    assert 0.8 < line[0, 0] < 1
