"""Loads one page of a document: upright, in grey, and as much of a damaged page as can be decoded.

One page is in memory at a time, for documents of any length.
"""

from pathlib import Path

from PIL import Image

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.images.image_files import COARSE_DPI, coarser, decoded_page, page_and_stamps
from notaflow_pipeline.ocr.input.loaded_page import LoadedPage
from notaflow_pipeline.ocr.input.pdf.pdf_pages import load_pdf_page, render_pdf_page
from notaflow_pipeline.ocr.limits import Limits


def load_page(
    path: Path,
    document_format: DocumentFormat,
    page_number: int,
    dpi: int = 300,
    limits: Limits | None = None,
    *,
    coarse: bool = False,
    use_layer: bool = True,
) -> LoadedPage:
    """Loads the text layer of a page as far as it accounts for the page, and images of the rest.

    `page_number` counts from 1. `dpi` is the resolution at which a page of a PDF is rendered if it is not one scanned
    image; a page that would exceed `limits.page_pixels` is rendered at a lower resolution. Images keep their pixels,
    unless `coarse` asks for fewer. Without `use_layer` a page with text is rendered. Raises `DocumentFailure`.
    """
    limits = limits or Limits()
    if document_format is DocumentFormat.PDF:
        dpi = COARSE_DPI if coarse else dpi
        return load_pdf_page(path, page_number, dpi, limits, coarse=coarse, use_layer=use_layer)
    damaged = False
    try:
        image, stamps = page_and_stamps(path, document_format, page_number, limits, accept_damage=False)
    except DocumentFailure as failure:
        if failure.kind is not FailureKind.CORRUPT:
            raise
        image, stamps = decoded_page(path, document_format, page_number, limits, accept_damage=True), None
        damaged = True
        if _is_uniform(image):
            raise  # only the header could be decoded
    return LoadedPage(coarser(image) if coarse else image, damaged=damaged, stamps=stamps)


def render_page(
    path: Path, document_format: DocumentFormat, page_number: int, dpi: int = 300, limits: Limits | None = None
) -> Image.Image:
    """Returns a page as an upright grey image, whatever its text layer; the arguments are those of `load_page`."""
    limits = limits or Limits()
    if document_format is not DocumentFormat.PDF:
        return decoded_page(path, document_format, page_number, limits, accept_damage=False)
    return render_pdf_page(path, page_number, dpi, limits)


def page_dpi(image: Image.Image) -> int | None:
    """Returns the known resolution of a page image in dots per inch; None if it is unknown."""
    stated = image.info.get("dpi")
    return round(stated[0]) if stated else None


def _is_uniform(image: Image.Image) -> bool:
    darkest, lightest = image.getextrema()
    return darkest == lightest
