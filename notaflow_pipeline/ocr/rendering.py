"""How does one page become the grey image that an engine reads?

Pixels only: which way up, which colours, how many. Cleaning a page up so that it is read better does not belong here.
One page is in memory at a time, whatever the document's length.
"""

import math
from pathlib import Path

import pypdfium2
from PIL import Image, ImageOps

from notaflow_pipeline.ocr.failures import DocumentFailure, FailureKind
from notaflow_pipeline.ocr.opening import DocumentFormat, Limits, opened_image, opened_pdf, refuse_large_image

POINTS_PER_INCH = 72
LONGEST_SIDE_PIXELS = 32_767
"""Leptonica and with it Tesseract refuse longer images (`Image too large`)."""

CREDIBLE_DPI = range(70, 1201)
"""Scanners and editors write anything into the resolution tag; outside of this it is taken as absent."""


def render_page(
    path: Path, document_format: DocumentFormat, page_number: int, dpi: int = 300, limits: Limits | None = None
) -> Image.Image:
    """One page as an upright grey (mode `L`) image, its resolution in `info["dpi"]` where it is known.

    `page_number` counts from 1. `dpi` is the resolution at which a PDF page is drawn; a page that would exceed
    `limits.page_pixels` is drawn coarser. Images keep the pixels that they have. Raises `DocumentFailure`.
    """
    limits = limits or Limits()
    if document_format is DocumentFormat.PDF:
        return _pdf_page(path, page_number, dpi, limits)
    with opened_image(path, document_format, limits) as image:
        image.seek(page_number - 1)
        refuse_large_image(image, limits)
        resolution = _credible_dpi(image)
        page = grey(ImageOps.exif_transpose(image))
    return _with_dpi(_short_enough(page), resolution)


def page_dpi(image: Image.Image) -> int | None:
    """The resolution that a page image is known to have, in dots per inch."""
    stated = image.info.get("dpi")
    return round(stated[0]) if stated else None


def grey(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as 8-bit grey, with whatever is transparent on white paper."""
    if image.has_transparency_data:
        image = _on_white(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    if image.mode == "LAB":
        return image.getchannel("L")  # lightness is already what is wanted, and Pillow converts LAB to nothing else
    if image.mode in {"CMYK", "HSV"}:
        image = image.convert("RGB")
    return image if type(image) is Image.Image and image.mode == "L" else image.convert("L")


def _on_white(image: Image.Image) -> Image.Image:
    colours = image.convert("RGBA")
    paper = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(paper, colours)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upper eight of sixteen bits; Pillow's own conversion would clip everything above 255 to white."""
    if image.mode != "F":
        image = image.convert("I")
    _, brightest = image.getextrema()
    if not isinstance(brightest, int | float):  # several bands never occur in these modes
        raise TypeError(image.mode)
    shift = 1.0 if 1 < brightest <= 255 else 1 / 256 if 255 < brightest <= 65535 else 255 / max(brightest, 1)
    return image.point(lambda value: value * shift + 0).convert("L")


def _pdf_page(path: Path, page_number: int, dpi: int, limits: Limits) -> Image.Image:
    with opened_pdf(path) as document:
        try:
            document.init_forms()  # so that filled-in fields are drawn; this PDFium is built without a script engine
            page = document[page_number - 1]
            scale = _scale(page.get_width(), page.get_height(), dpi, limits)
            # RGB and then grey: PDFium's own grey rendering was measured to take more than twice as long.
            # Annotations are drawn too, because stamps can be annotations.
            colours = page.render(scale=scale, may_draw_forms=True, draw_annots=True).to_pil()
        except (pypdfium2.PdfiumError, ValueError) as error:
            raise DocumentFailure(
                FailureKind.CORRUPT, "The page is damaged and cannot be drawn. Fetch the document again."
            ) from error
        return _with_dpi(grey(colours), scale * POINTS_PER_INCH)


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


def _credible_dpi(image: Image.Image) -> float | None:
    stated = image.info.get("dpi")
    try:
        dpi = float(stated[0]) if stated else math.nan
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return dpi if math.isfinite(dpi) and round(dpi) in CREDIBLE_DPI else None


def _with_dpi(image: Image.Image, dpi: float | None) -> Image.Image:
    image.info = {"dpi": (dpi, dpi)} if dpi else {}
    return image
