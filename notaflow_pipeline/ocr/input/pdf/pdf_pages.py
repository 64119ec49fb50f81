"""One page of a PDF: its text layer where that accounts for the page, and images of what it does not account for."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pypdfium2
from PIL import Image
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.loaded_page import LoadedPage, Region
from notaflow_pipeline.ocr.input.pdf.attachments import attached_to_page, document_of_page
from notaflow_pipeline.ocr.input.pdf.damaged_images import has_damaged_image
from notaflow_pipeline.ocr.input.pdf.page_drawing import PageDrawing, damaged_page
from notaflow_pipeline.ocr.input.pdf.page_objects import page_facts
from notaflow_pipeline.ocr.input.pdf.page_pixels import without_text
from notaflow_pipeline.ocr.input.probe import opened_pdf, repaired_pdf
from notaflow_pipeline.ocr.input.text_layer.earlier_ocr import earlier_ocr
from notaflow_pipeline.ocr.input.text_layer.layer_order import main_angle, place_across
from notaflow_pipeline.ocr.input.text_layer.page_layer import (
    TEXT_ANNOTATIONS,
    UNTRUSTED,
    PageContent,
    annotation_kinds,
    page_content,
)
from notaflow_pipeline.ocr.limits import Limits

COARSE_DPI = 150
"""At which a page is tried again that took too long or killed its worker: half the usual, a quarter of the pixels."""


UPRIGHT = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
"""By the direction of the text. Pillow turns counter-clockwise."""


def load_pdf_page(path: Path, page_number: int, dpi: int, limits: Limits, *, coarse: bool) -> LoadedPage:
    """One page of a PDF, see `rendering.load_page`."""
    facts = page_facts(path, page_number)
    with _opened(path, page_number) as (document, number):
        page = _with_annotations_as_content(document, _page(document, number, path), number)
        drawing = PageDrawing(page, dpi, limits, facts.user_unit, coarse=coarse)
        attached = attached_to_page(page)
        damaged = facts.missing or has_damaged_image(page)
        content = _content(page, facts.user_unit)
        if content is None:
            image, stamps = drawing.scan_or_whole()
            return LoadedPage(image, damaged=damaged, stamps=stamps, attached=attached)
        if not content.trusted:
            image, stamps = drawing.whole_without_stamps()
            return LoadedPage(image, damaged=damaged, stamps=stamps, attached=attached)
        return replace(_loaded(drawing, content), damaged=damaged, attached=attached)


def draw_pdf_page(path: Path, page_number: int, dpi: int, limits: Limits) -> Image.Image:
    """A page as it is seen, whatever text layer it has."""
    with _opened(path, page_number) as (document, number):
        page = _page(document, number, path)
        return PageDrawing(page, dpi, limits, page_facts(path, page_number).user_unit).whole()


@contextmanager
def _opened(path: Path, page_number: int) -> Iterator[tuple[pypdfium2.PdfDocument, int]]:
    """The document that a page is in, which may be attached to the file's own, and its number there."""
    with opened_pdf(path) as whole, ExitStack() as stack:
        try:
            found = stack.enter_context(document_of_page(whole, page_number))
        except pypdfium2.PdfiumError as error:
            raise damaged_page() from error
        yield found


def _loaded(drawing: PageDrawing, content: PageContent) -> LoadedPage:
    with without_text(drawing.page):
        angle = main_angle(content.earlier or content.lines)
        regions = tuple(_region(drawing, box, angle) for box in content.unread)
        unclear = content.whole or content.earlier or content.blank
        image, stamps = drawing.scan_or_whole() if unclear else (None, None)
        earlier = earlier_ocr(drawing.whole(), content.earlier, drawing.page.get_size()) if content.earlier else None
        box = image.info.get("box", (0.0, 0.0, *drawing.page.get_size())) if image else None
    return LoadedPage(image, content.lines, regions, earlier, stamps=stamps, image_box=box)


def _region(drawing: PageDrawing, box: tuple[float, float, float, float], angle: int) -> Region:
    """A part of the page, upright if it is so when the typed text is."""
    image = drawing.part(box)
    if turn := UPRIGHT.get(angle):
        image = image.transpose(turn)
    return Region(image, place_across((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, angle))


def _page(document: pypdfium2.PdfDocument, page_number: int, path: Path) -> pypdfium2.PdfPage:
    """A page, if need be from the repaired document: PDFium gives up on page trees that are too deep."""
    document.init_forms()  # so that filled-in fields are drawn; this PDFium is built without a script engine
    try:
        return _with_a_size(document, page_number)
    except pypdfium2.PdfiumError as error:
        mended = repaired_pdf(path, blank_too=True)
        if mended is not None and len(mended) == len(document):
            with suppress(pypdfium2.PdfiumError):
                return mended[page_number - 1]
        raise damaged_page() from error


def _with_a_size(document: pypdfium2.PdfDocument, page_number: int) -> pypdfium2.PdfPage:
    """A page, the whole of it if its crop box lies off the page: PDFium then shows nothing of it."""
    page = document[page_number - 1]
    if min(page.get_size()) > 0:
        return page
    page.set_cropbox(*page.get_mediabox())
    page.close()
    return document[page_number - 1]


def _with_annotations_as_content(
    document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, page_number: int
) -> pypdfium2.PdfPage:
    """The page with the text of its fields, notes and stamps made part of its text layer, if it has any."""
    if not annotation_kinds(page) & TEXT_ANNOTATIONS:
        return page
    if raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY) != raw.FLATTEN_SUCCESS:
        return page
    page.close()
    with suppress(pypdfium2.PdfiumError):
        return document[page_number - 1]
    raise damaged_page()


def _content(page: pypdfium2.PdfPage, user_unit: float) -> PageContent | None:
    """What the text layer says; where PDFium cannot tell, only the drawn page does."""
    with suppress(pypdfium2.PdfiumError):
        return page_content(page, user_unit)
    return UNTRUSTED
