"""How does one page become what an engine reads, or text that nobody has to recognise any more?

Pixels only: which way up, how many, and how much of a damaged page is there. Cleaning a page up so that it is read
better does not belong here. One page is in memory at a time, whatever the document's length.
"""

import math
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pypdfium2
from PIL import Image, ImageOps

from notaflow_pipeline.ocr.colours import grey
from notaflow_pipeline.ocr.embedded_scan import POINTS_PER_INCH, embedded_scan, grey_bitmap
from notaflow_pipeline.ocr.failures import DocumentFailure, FailureKind
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.opening import DocumentFormat, mended_pdf, opened_image, opened_pdf, refuse_large_image
from notaflow_pipeline.ocr.text_layer import NO_LAYER, Standing, TextLayer, text_layer

LONGEST_SIDE_PIXELS = 32_767
"""Leptonica and with it Tesseract refuse longer images (`Image too large`)."""

CREDIBLE_DPI = range(70, 1201)
"""Scanners and editors write anything into the resolution tag; outside of this it is taken as absent."""

COARSE_DPI = 150
"""At which a page is tried again that took too long or killed its worker: half the usual, a quarter of the pixels."""

COARSE_SIDE_PIXELS = 1754
"""The same for an image that does not say how large it is: an A4 page's longer side."""


@dataclass(frozen=True)
class LoadedPage:
    """A page as far as it goes without recognition.

    `image` is upright and grey (mode `L`), its resolution in `info["dpi"]` where it is known; None if `text`, the
    page's text layer, says it all. Otherwise `text` is what stands on the page but not in the image: a stamp.
    `damaged` tells that only a part of the page could be decoded.
    """

    image: Image.Image | None
    text: str = field(default="", repr=False)  # personal data: not for tracebacks and logs
    words: int = 0
    damaged: bool = False


def load_page(
    path: Path,
    document_format: DocumentFormat,
    page_number: int,
    dpi: int = 300,
    limits: Limits | None = None,
    *,
    masked: bool = True,
    coarse: bool = False,
) -> LoadedPage:
    """One page's text layer if it has a real one, else its image.

    `page_number` counts from 1. `dpi` is the resolution at which a page of a PDF is drawn that is not one scanned image;
    a page that would exceed `limits.page_pixels` is drawn coarser. Images keep the pixels that they have, unless
    `coarse` asks for few. `masked` is the document's, see `Opened`. Raises `DocumentFailure`.
    """
    limits = limits or Limits()
    if document_format is DocumentFormat.PDF:
        return _pdf_page(path, page_number, COARSE_DPI if coarse else dpi, limits, masked=masked, coarse=coarse)
    try:
        image, damaged = _decoded(path, document_format, page_number, limits, forgiving=False), False
    except DocumentFailure as failure:
        if failure.kind is not FailureKind.CORRUPT:
            raise
        image, damaged = _decoded(path, document_format, page_number, limits, forgiving=True), True
        if _is_even(image):
            raise  # there was nothing behind the header
    return LoadedPage(_coarse(image) if coarse else image, damaged=damaged)


def render_page(
    path: Path, document_format: DocumentFormat, page_number: int, dpi: int = 300, limits: Limits | None = None
) -> Image.Image:
    """One page as an upright grey image whatever text layer it has; the arguments are those of `load_page`."""
    limits = limits or Limits()
    if document_format is not DocumentFormat.PDF:
        return _decoded(path, document_format, page_number, limits, forgiving=False)
    with opened_pdf(path) as document:
        return _drawn(_page(document, page_number, path), dpi, limits)


def page_dpi(image: Image.Image) -> int | None:
    """The resolution that a page image is known to have, in dots per inch."""
    stated = image.info.get("dpi")
    return round(stated[0]) if stated else None


def _decoded(
    path: Path, document_format: DocumentFormat, page_number: int, limits: Limits, *, forgiving: bool
) -> Image.Image:
    with opened_image(path, document_format, limits, forgiving=forgiving) as image:
        image.seek(page_number - 1)
        refuse_large_image(image, limits)
        resolution = _stated_dpi(image)
        image.draft("L", None)  # a JPEG's colours are not even decoded: a third less time, a third of the memory
        ImageOps.exif_transpose(image, in_place=True)  # otherwise an upright page is copied, colours and all
        page = grey(image)
    return _with_dpi(_short_enough(page), resolution)


def _pdf_page(path: Path, page_number: int, dpi: int, limits: Limits, *, masked: bool, coarse: bool) -> LoadedPage:
    with opened_pdf(path) as document:
        page = _page(document, page_number, path)
        layer = _layer(page)
        if layer.standing is Standing.REAL:
            return LoadedPage(None, layer.text, len(layer.words))
        if layer.standing is not Standing.UNRELIABLE and (scan := _scan(page, limits, masked=masked)):
            stamped = layer.standing is Standing.STAMP
            image = _with_dpi(_short_enough(scan), _stated_dpi(scan))
            image = _coarse(image) if coarse else image
            return LoadedPage(image, layer.text if stamped else "", len(layer.words) if stamped else 0)
        return LoadedPage(_drawn(page, dpi, limits))


def _page(document: pypdfium2.PdfDocument, page_number: int, path: Path) -> pypdfium2.PdfPage:
    """A page, if need be from the mended document: PDFium gives up on page trees that are too deep."""
    document.init_forms()  # so that filled-in fields are drawn; this PDFium is built without a script engine
    try:
        return document[page_number - 1]
    except pypdfium2.PdfiumError as error:
        mended = mended_pdf(path, blank_too=True)
        if mended is not None and len(mended) == len(document):
            with suppress(pypdfium2.PdfiumError):
                return mended[page_number - 1]
        raise _damaged_page() from error


def _layer(page: pypdfium2.PdfPage) -> TextLayer:
    with suppress(pypdfium2.PdfiumError):
        return text_layer(page)
    return NO_LAYER


def _scan(page: pypdfium2.PdfPage, limits: Limits, *, masked: bool) -> Image.Image | None:
    with suppress(pypdfium2.PdfiumError):
        return embedded_scan(page, limits, masked=masked)
    return None


def _drawn(page: pypdfium2.PdfPage, dpi: int, limits: Limits) -> Image.Image:
    try:
        scale = _scale(page.get_width(), page.get_height(), dpi, limits)
        # RGB and then grey: PDFium's own grey rendering was measured to take more than twice as long.
        # Annotations are drawn too, because stamps can be annotations.
        image = grey_bitmap(page.render(scale=scale, may_draw_forms=True, draw_annots=True))
    except (pypdfium2.PdfiumError, ValueError) as error:
        raise _damaged_page() from error
    return _with_dpi(image, scale * POINTS_PER_INCH)


def _scale(width_points: float, height_points: float, dpi: int, limits: Limits) -> float:
    """Pixels per point: the wanted resolution, or as much of it as the page's size leaves room for."""
    if not (0 < width_points < math.inf and 0 < height_points < math.inf):
        raise ValueError(f"a page of {width_points} x {height_points} points")
    wanted = dpi / POINTS_PER_INCH
    by_area = math.sqrt(limits.page_pixels / (width_points * height_points))
    by_side = (LONGEST_SIDE_PIXELS - 1) / max(width_points, height_points)
    return min(wanted, by_area, by_side)


def _short_enough(image: Image.Image) -> Image.Image:
    if max(image.size) > LONGEST_SIDE_PIXELS:
        image.thumbnail((LONGEST_SIDE_PIXELS, LONGEST_SIDE_PIXELS))
    return image


def _coarse(image: Image.Image) -> Image.Image:
    """The image at `COARSE_DPI`, if that is less than it has."""
    resolution = image.info.get("dpi")
    share = COARSE_DPI / resolution[0] if resolution else COARSE_SIDE_PIXELS / max(image.size)
    if share >= 1:
        return image
    small = image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))), reducing_gap=2.0)
    return _with_dpi(small, resolution[0] * share if resolution else None)


def _is_even(image: Image.Image) -> bool:
    darkest, lightest = image.getextrema()
    return darkest == lightest


def _stated_dpi(image: Image.Image) -> float | None:
    stated = image.info.get("dpi")
    try:
        return float(stated[0]) if stated else None
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _with_dpi(image: Image.Image, dpi: float | None) -> Image.Image:
    """The image with this resolution and no other information, or with none if it is not credible."""
    credible = dpi is not None and math.isfinite(dpi) and round(dpi) in CREDIBLE_DPI
    image.info = {"dpi": (dpi, dpi)} if credible else {}
    return image


def _damaged_page() -> DocumentFailure:
    return DocumentFailure(FailureKind.CORRUPT, "The page is damaged and cannot be drawn. Fetch the document again.")
