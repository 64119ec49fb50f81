"""One page of an image file, or any page image: decoded, upright, grey, and no larger than the engine takes."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import ExifTags, Image, ImageOps

from notaflow_pipeline.ocr.input.images.grey_conversion import grey
from notaflow_pipeline.ocr.input.images.sixteen_bit_grey import eight_bits, full_range
from notaflow_pipeline.ocr.input.images.stamps import Stamp, can_be_separated, stamps_over_print, take_stamps_off
from notaflow_pipeline.ocr.input.probe import DocumentFormat, opened_image, refuse_large_image, seek_page
from notaflow_pipeline.ocr.limits import Limits

LONGEST_SIDE_PIXELS = 32_767
"""Leptonica and with it Tesseract refuse longer images (`Image too large`)."""

CREDIBLE_DPI = range(70, 1201)
"""Scanners and editors write anything into the resolution tag; outside of this it is taken as absent."""

COARSE_DPI = 150
"""At which a page is tried again that took too long or killed its worker."""

COARSE_SIDE_PIXELS = 1754
"""The same for an image that does not say how large it is: an A4 page's longer side."""


def decoded_page(
    path: Path, document_format: DocumentFormat, page_number: int, limits: Limits, *, forgiving: bool
) -> Image.Image:
    """A page of an image file as an upright grey image. Raises `DocumentFailure`."""
    with _opened_page(path, document_format, page_number, limits, forgiving=forgiving) as image:
        image.draft("L", None)  # a JPEG's colours are not even decoded: a third less time, a third of the memory
        return _upright_grey(image)


def page_and_stamps(
    path: Path, document_format: DocumentFormat, page_number: int, limits: Limits, *, forgiving: bool
) -> tuple[Image.Image, Image.Image | None]:
    """The same without the stamps in colour that lie over its print, and a page with nothing but these, if there are any."""
    with _opened_page(path, document_format, page_number, limits, forgiving=forgiving) as image:
        if not can_be_separated(image.mode, image.size):
            return _upright_grey(image), None
        size = image.size
        scale = max(1, max(size) // MIN_DRAFT_PIXELS)
        image.draft("RGB", (size[0] // scale, size[1] // scale))
        stamps = stamps_over_print(image)
        if image.size == size:
            return _without_stamps(image, stamps)
    if not stamps:
        return decoded_page(path, document_format, page_number, limits, forgiving=forgiving), None
    with _opened_page(path, document_format, page_number, limits, forgiving=forgiving) as image:
        return _without_stamps(image, stamps)


MIN_DRAFT_PIXELS = 800
"""The longer side at which stamps are seen still: a JPEG is decoded with as few pixels to look for them."""


@contextmanager
def _opened_page(
    path: Path, document_format: DocumentFormat, page_number: int, limits: Limits, *, forgiving: bool
) -> Iterator[Image.Image]:
    with opened_image(path, document_format, limits, forgiving=forgiving) as image:
        seek_page(image, page_number)
        refuse_large_image(image, limits)
        yield image


def _upright_grey(image: Image.Image) -> Image.Image:
    resolution = _stated_dpi(image)
    ImageOps.exif_transpose(image, in_place=True)  # otherwise an upright page is copied, colours and all
    return with_dpi(short_enough(full_range(grey(eight_bits(image)), image)), resolution)


def _without_stamps(image: Image.Image, stamps: Sequence[Stamp]) -> tuple[Image.Image, Image.Image | None]:
    """A page in colour made upright and grey, without its stamps, and a page with nothing but these."""
    alone = take_stamps_off(image, stamps)
    if alone is not None:
        alone.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
        alone.info.update({key: image.info[key] for key in ("dpi",) if key in image.info})
        alone = _upright_grey(alone)
    return _upright_grey(image), alone


def with_dpi(image: Image.Image, dpi: float | None) -> Image.Image:
    """The image with this resolution and no other information, or with none if it is not credible."""
    credible = dpi is not None and math.isfinite(dpi) and round(dpi) in CREDIBLE_DPI
    image.info = {"dpi": (dpi, dpi)} if credible else {}
    return image


def short_enough(image: Image.Image) -> Image.Image:
    """The image, made smaller if it is longer than the engine takes."""
    if max(image.size) > LONGEST_SIDE_PIXELS:
        image.thumbnail((LONGEST_SIDE_PIXELS, LONGEST_SIDE_PIXELS))
    return image


def coarser(image: Image.Image) -> Image.Image:
    """The image at `COARSE_DPI`, if that is less than it has."""
    resolution = image.info.get("dpi")
    share = COARSE_DPI / resolution[0] if resolution else COARSE_SIDE_PIXELS / max(image.size)
    if share >= 1:
        return image
    small = image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))), reducing_gap=2.0)
    return with_dpi(small, resolution[0] * share if resolution else None)


def _stated_dpi(image: Image.Image) -> float | None:
    stated = image.info.get("dpi")
    try:
        return float(stated[0]) if stated else None
    except (TypeError, ValueError, ZeroDivisionError):
        return None
