"""Annotations of a PDF page: the text of those that PDFium does not draw, and highlights, which hide no text."""

import ctypes
import re
from collections.abc import Iterator

import pypdfium2
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.pdf.coordinates import Affine, display_affine
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, LayerWord

NOT_SHOWN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW

TEXT_KEYS = {
    raw.FPDF_ANNOT_FREETEXT: ("Contents", "RC"),
    raw.FPDF_ANNOT_WIDGET: ("V",),
    raw.FPDF_ANNOT_STAMP: ("Name",),
}
"""Entries with the text that other viewers draw in an annotation without an appearance, in order of preference."""

TEXT_FIELDS = frozenset({"Tx", "Ch"})
"""Types of form fields whose value is text: text fields and choices."""

MAX_LINE_HEIGHT = 14.0
"""Height in points of a line of such a text: PDFium does not report its print height."""

LETTER_WIDTH = 0.5
"""Width of a letter, as a share of the line height."""

MARKUP = re.compile(r"<[^>]*>")
"""Tags of a formatted text (`RC`)."""


def undrawn_lines(page: pypdfium2.PdfPage) -> list[LayerLine]:
    """Returns the text of visible annotations that have no appearance, at the positions of the annotations.

    Other viewers draw such an annotation; PDFium draws the appearance only, and makes one for form fields only.
    """
    affine = display_affine(page)
    return [line for annotation in _annotations(page) for line in _lines(annotation, affine)]


def remove_highlights(page: pypdfium2.PdfPage) -> None:
    """Removes the highlights from a page: they mark words, and an opaque one would hide them."""
    for index in reversed(range(raw.FPDFPage_GetAnnotCount(page))):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        is_highlight = annotation and raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_HIGHLIGHT
        if annotation:
            raw.FPDFPage_CloseAnnot(annotation)
        if is_highlight:
            raw.FPDFPage_RemoveAnnot(page, index)


def _annotations(page: pypdfium2.PdfPage) -> Iterator[object]:
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if annotation:
            yield annotation
            raw.FPDFPage_CloseAnnot(annotation)


def _lines(annotation: object, affine: Affine) -> Iterator[LayerLine]:
    kind = raw.FPDFAnnot_GetSubtype(annotation)
    has_appearance = raw.FPDFAnnot_GetAP(annotation, raw.FPDF_ANNOT_APPEARANCEMODE_NORMAL, None, 0) > ctypes.sizeof(
        raw.FPDF_WCHAR
    )
    if kind not in TEXT_KEYS or has_appearance or raw.FPDFAnnot_GetFlags(annotation) & NOT_SHOWN:
        return
    if kind == raw.FPDF_ANNOT_WIDGET and _value(annotation, "FT") not in TEXT_FIELDS:
        return
    text = next(filter(None, (_value(annotation, key) for key in TEXT_KEYS[kind])), "")
    rectangle = raw.FS_RECTF()
    if not raw.FPDFAnnot_GetRect(annotation, rectangle):
        return
    left, top, right, bottom = affine.box(rectangle.left, rectangle.bottom, rectangle.right, rectangle.top)
    lines = [words for line in MARKUP.sub(" ", text).splitlines() if (words := line.split())]
    for number, words in enumerate(lines):
        height = min((bottom - top) / len(lines), MAX_LINE_HEIGHT)
        yield _line(words, left, top + number * height, right, height)


def _line(words: list[str], left: float, top: float, right: float, height: float) -> LayerLine:
    text = " ".join(words)
    letter = min(LETTER_WIDTH * height, (right - left) / len(text))
    placed = []
    for word in words:
        placed.append(LayerWord(word, left, top, left + letter * len(word), top + height))
        left += letter * (len(word) + 1)
    return LayerLine(tuple(placed), text, position=top + height)


def _value(annotation: object, key: str) -> str:
    """Returns the text of an entry; an empty text without one."""
    size_bytes = raw.FPDFAnnot_GetStringValue(annotation, key.encode(), None, 0)
    buffer = ctypes.create_string_buffer(max(2, size_bytes))
    raw.FPDFAnnot_GetStringValue(
        annotation, key.encode(), ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size_bytes
    )
    return buffer.raw[: max(0, size_bytes - 2)].decode("utf-16-le", "replace")
