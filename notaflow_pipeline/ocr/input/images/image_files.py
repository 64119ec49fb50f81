"""Decodes a page of an image file: upright, grey, and not larger than the engine accepts."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import ExifTags, Image, ImageOps

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.images.grey_conversion import grey
from notaflow_pipeline.ocr.input.images.sixteen_bit_grey import eight_bits, full_range
from notaflow_pipeline.ocr.input.images.stamps import Stamp, can_be_searched, remove_stamps, stamps_over_print
from notaflow_pipeline.ocr.input.probe import opened_image, refuse_large_image, seek_page
from notaflow_pipeline.ocr.limits import Limits

MAX_SIDE_PIXELS = 32_767
"""Maximum side of an image. Leptonica, and therefore Tesseract, refuses larger ones (`Image too large`)."""

CREDIBLE_DPI = range(70, 1201)
"""Credible resolutions. Scanners and editors often write a wrong resolution; a value outside this range counts as
absent."""

MAX_DPI_RATIO, MAX_CREDIBLE_DPI_RATIO = 1.1, 2.6
"""Ratio of the two resolutions of an image up to which its pixels count as square, and from which a tag is wrong. A fax has
204 x 98 dpi."""

MAX_PAPER_SIDE_RATIO = 1.75
"""Maximum ratio of the sides of a sheet of paper; a legal sheet has 1.65."""

MAX_ENLARGED_PIXELS = 40_000_000
"""Maximum size of a page that is enlarged in one direction; a larger one is reduced in the other."""

COARSE_DPI = 150
"""Resolution at which a page is retried after it took too long or ended its worker: a quarter of the usual pixels."""

COARSE_SIDE_PIXELS = 1754
"""Longer side in pixels of such a page if the image has no resolution: the side of A4 at `COARSE_DPI`."""


def decoded_page(
    path: Path, document_format: DocumentFormat, page_number: int, limits: Limits, *, accept_damage: bool
) -> Image.Image:
    """Returns a page of an image file as an upright grey image. Raises `DocumentFailure`."""
    with _opened_page(path, document_format, page_number, limits, accept_damage=accept_damage) as image:
        image.draft("L", None)  # skips the colours of a JPEG: a third less time, a third of the memory
        return _upright_grey(image)


def page_and_stamps(
    path: Path, document_format: DocumentFormat, page_number: int, limits: Limits, *, accept_damage: bool
) -> tuple[Image.Image, Image.Image | None]:
    """Returns a page without the coloured stamps over its print, and an image of only these stamps; None without
    any."""
    with _opened_page(path, document_format, page_number, limits, accept_damage=accept_damage) as image:
        if not can_be_searched(image.mode, image.size):
            return _upright_grey(image), None
        size = image.size
        scale = max(1, max(size) // MIN_DRAFT_PIXELS)
        image.draft("RGB", (size[0] // scale, size[1] // scale))
        stamps = stamps_over_print(image)
        if image.size == size:
            return _without_stamps(image, stamps)
    if not stamps:
        return decoded_page(path, document_format, page_number, limits, accept_damage=accept_damage), None
    with _opened_page(path, document_format, page_number, limits, accept_damage=accept_damage) as image:
        return _without_stamps(image, stamps)


MIN_DRAFT_PIXELS = 800
"""Longer side at which stamps can still be found. A JPEG is decoded at this size to search for them."""


@contextmanager
def _opened_page(
    path: Path, document_format: DocumentFormat, page_number: int, limits: Limits, *, accept_damage: bool
) -> Iterator[Image.Image]:
    with opened_image(path, document_format, limits, accept_damage=accept_damage) as image:
        seek_page(image, page_number)
        refuse_large_image(image, limits)
        yield image


def _upright_grey(image: Image.Image) -> Image.Image:
    across, down = _stated_dpi(image)
    if image.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS:
        across, down = down, across
    ImageOps.exif_transpose(image, in_place=True)  # in place, because otherwise an upright page is copied in colour
    page, resolution = with_square_pixels(full_range(grey(eight_bits(image)), image), across, down)
    return with_dpi(within_engine_size(page), resolution)


def with_square_pixels(page: Image.Image, across: float | None, down: float | None) -> tuple[Image.Image, float | None]:
    """Returns a page whose pixels are as wide as high, and its resolution; a fax has 204 dots per inch across and 98 down.

    Two resolutions that would give an ordinary page the proportions of a slip are not credible, and the page is returned as
    it is.
    """
    if across is None or down is None or not (round(across) in CREDIBLE_DPI and round(down) in CREDIBLE_DPI):
        return page, across
    if not MAX_DPI_RATIO < max(across, down) / min(across, down) < MAX_CREDIBLE_DPI_RATIO:
        return page, across
    resolution = max(across, down)
    if page.width * page.height * resolution / min(across, down) > MAX_ENLARGED_PIXELS:
        resolution = min(across, down)
    size = round(page.width * resolution / across), round(page.height * resolution / down)
    if _is_like_paper(page.size) and not _is_like_paper(size):
        return page, across
    return page.resize(size, Image.Resampling.BICUBIC), resolution


SIDEWAYS = frozenset({5, 6, 7, 8})
"""Values of the EXIF orientation of an image whose rows are columns of the page."""


def _is_like_paper(size: tuple[int, int]) -> bool:
    return max(size) <= MAX_PAPER_SIDE_RATIO * min(size)


def _without_stamps(image: Image.Image, stamps: Sequence[Stamp]) -> tuple[Image.Image, Image.Image | None]:
    """Returns a colour page upright, grey and without its stamps, and an image of only the stamps."""
    only_stamps = remove_stamps(image, stamps)
    if only_stamps is not None:
        only_stamps.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
        only_stamps.info.update({key: image.info[key] for key in ("dpi",) if key in image.info})
        only_stamps = _upright_grey(only_stamps)
    return _upright_grey(image), only_stamps


def with_dpi(image: Image.Image, dpi: float | None) -> Image.Image:
    """Sets the resolution of an image and removes its other information; a resolution that is not credible is
    removed too."""
    credible = dpi is not None and math.isfinite(dpi) and round(dpi) in CREDIBLE_DPI
    image.info = {"dpi": (dpi, dpi)} if credible else {}
    return image


def within_engine_size(image: Image.Image) -> Image.Image:
    """Returns the image, reduced if it is longer than the engine accepts."""
    if max(image.size) > MAX_SIDE_PIXELS:
        image.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    return image


def coarser(image: Image.Image) -> Image.Image:
    """Returns the image at `COARSE_DPI`, if its resolution is higher."""
    resolution = image.info.get("dpi")
    share = COARSE_DPI / resolution[0] if resolution else COARSE_SIDE_PIXELS / max(image.size)
    if share >= 1:
        return image
    small = image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))), reducing_gap=2.0)
    return with_dpi(small, resolution[0] * share if resolution else None)


def _stated_dpi(image: Image.Image) -> tuple[float | None, float | None]:
    """Returns the resolution across and down."""
    stated = image.info.get("dpi")
    try:
        found = (float(stated[0]), float(stated[1])) if stated else (None, None)
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return None, None
    return found if all(one is None or math.isfinite(one) for one in found) else (None, None)
