"""Loads a page of a PDF: its text layer if that accounts for the page, and images of the rest."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pypdfium2
from PIL import Image
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.loaded_page import LoadedPage, Region
from notaflow_pipeline.ocr.input.pdf.annotations import remove_highlights, undrawn_lines
from notaflow_pipeline.ocr.input.pdf.attachments import attached_to_page, document_of_page
from notaflow_pipeline.ocr.input.pdf.coordinates import UPRIGHT
from notaflow_pipeline.ocr.input.pdf.damaged_images import has_damaged_image
from notaflow_pipeline.ocr.input.pdf.embedded_scan import annotation_kinds
from notaflow_pipeline.ocr.input.pdf.page_objects import page_facts
from notaflow_pipeline.ocr.input.pdf.page_rendering import PageRenderer, damaged_page
from notaflow_pipeline.ocr.input.pdf.text_visibility import without_text
from notaflow_pipeline.ocr.input.probe import opened_pdf, repaired_pdf
from notaflow_pipeline.ocr.input.text_layer.earlier_ocr import earlier_ocr
from notaflow_pipeline.ocr.input.text_layer.layer_order import main_angle, position_across
from notaflow_pipeline.ocr.input.text_layer.layer_sample import layer_sample
from notaflow_pipeline.ocr.input.text_layer.page_layer import (
    TEXT_ANNOTATIONS,
    UNTRUSTED,
    PageContent,
    page_content,
)
from notaflow_pipeline.ocr.input.typed_lines import with_typed_lines
from notaflow_pipeline.ocr.limits import Limits


def load_pdf_page(
    path: Path, page_number: int, dpi: int, limits: Limits, *, coarse: bool, use_layer: bool = True
) -> LoadedPage:
    """Loads a page of a PDF, see `page_loading.load_page`."""
    facts = page_facts(path, page_number)
    with _opened(path, page_number) as (document, number):
        page = _page(document, number, path)
        undrawn, attached = undrawn_lines(page), attached_to_page(page)
        page = _with_annotations_as_content(document, page, number)
        renderer = PageRenderer(page, dpi, limits, facts.user_unit, coarse=coarse)
        content = _content(page, facts.user_unit) if use_layer else UNTRUSTED
        loaded = _loaded(renderer, content) if content and content.trusted else _image_page(renderer, content)
        return replace(
            loaded,
            lines=tuple(with_typed_lines(loaded.lines, undrawn)) if undrawn else loaded.lines,
            damaged=facts.missing or has_damaged_image(page),
            attached=attached,
        )


def render_pdf_page(path: Path, page_number: int, dpi: int, limits: Limits) -> Image.Image:
    """Returns the rendered page, whatever its text layer."""
    with _opened(path, page_number) as (document, number):
        page = _page(document, number, path)
        return PageRenderer(page, dpi, limits, page_facts(path, page_number).user_unit).whole()


@contextmanager
def _opened(path: Path, page_number: int) -> Iterator[tuple[pypdfium2.PdfDocument, int]]:
    """Yields the document that contains a page, which may be attached to the file, and the number of the page there."""
    with opened_pdf(path) as whole, ExitStack() as stack:
        try:
            found = stack.enter_context(document_of_page(whole, page_number))
        except pypdfium2.PdfiumError as error:
            raise damaged_page() from error
        yield found


def _image_page(renderer: PageRenderer, content: PageContent | None) -> LoadedPage:
    """Returns a page without a text layer, or with one that is wrong."""
    image, stamps = renderer.whole_without_stamps() if content else renderer.scan_or_whole()
    size = renderer.page.get_size()
    return LoadedPage(image, stamps=stamps, image_box=image.info.get("box", (0.0, 0.0, *size)), size=size)


def _loaded(renderer: PageRenderer, content: PageContent) -> LoadedPage:
    with without_text(renderer.page):
        angle = main_angle(content.earlier or content.lines)
        regions = tuple(_region(renderer, box, angle) for box in content.unread)
        unclear = content.whole or content.earlier or content.blank
        image, stamps = renderer.scan_or_whole() if unclear else (None, None)
        earlier = earlier_ocr(renderer.whole(), content.earlier, renderer.page.get_size()) if content.earlier else None
        size = renderer.page.get_size()
        box = image.info.get("box", (0.0, 0.0, *size)) if image else None
    sample = layer_sample(renderer.page, content.lines, renderer.user_unit)
    return LoadedPage(image, content.lines, regions, earlier, stamps=stamps, image_box=box, size=size, sample=sample)


def _region(renderer: PageRenderer, box: tuple[float, float, float, float], angle: int) -> Region:
    """Returns a part of the page, rotated like the typed text."""
    image = renderer.part(box)
    if turn := UPRIGHT.get(angle):
        image = image.transpose(turn)
    return Region(image, position_across((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, angle), box)


def _page(document: pypdfium2.PdfDocument, page_number: int, path: Path) -> pypdfium2.PdfPage:
    """Returns a page, if necessary from the repaired document: PDFium does not open pages of very deep page trees."""
    document.init_forms()  # makes PDFium draw filled-in fields; this PDFium is built without a script engine
    try:
        return _page_with_size(document, page_number)
    except pypdfium2.PdfiumError as error:
        repaired = repaired_pdf(path, blank_too=True)
        if repaired is not None and len(repaired) == len(document):
            with suppress(pypdfium2.PdfiumError):
                return repaired[page_number - 1]
        raise damaged_page() from error


def _page_with_size(document: pypdfium2.PdfDocument, page_number: int) -> pypdfium2.PdfPage:
    """Returns a page. If its crop box lies outside of it, the crop box is replaced, because PDFium would show
    nothing."""
    page = document[page_number - 1]
    remove_highlights(page)
    if min(page.get_size()) > 0:
        return page
    page.set_cropbox(*page.get_mediabox())
    page.close()
    return document[page_number - 1]


def _with_annotations_as_content(
    document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, page_number: int
) -> pypdfium2.PdfPage:
    """Returns the page with the text of its fields, notes and stamps added to its text layer, if there is any."""
    if not annotation_kinds(page) & TEXT_ANNOTATIONS:
        return page
    if raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY) != raw.FLATTEN_SUCCESS:
        return page
    page.close()
    with suppress(pypdfium2.PdfiumError):
        return document[page_number - 1]
    raise damaged_page()


def _content(page: pypdfium2.PdfPage, user_unit: float) -> PageContent | None:
    """Returns the content of a page; only the rendered page counts if PDFium cannot extract the text."""
    with suppress(pypdfium2.PdfiumError):
        return page_content(page, user_unit)
    return UNTRUSTED
