"""The text layer of a PDF page, and which part of the page it accounts for.

Some of a layer's words can be seen; they are the page's text if they are words at all. Others are hidden: those that lie
over ink may be what an earlier OCR has read there, those that do not are no text of the page. And some ink has no words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pypdfium2
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.pdf.page_pixels import PageLook, is_accounted_for, look_at, visible
from notaflow_pipeline.ocr.input.pdf.places import bounds_on_page
from notaflow_pipeline.ocr.input.text_layer.characters import Character, characters_of, without_doubles
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, ordered_lines
from notaflow_pipeline.ocr.input.text_layer.layer_trust import is_good_prior_ocr, is_trusted
from notaflow_pipeline.ocr.input.text_layer.unread_ink import Box, Ink, covered_share, ink_of, unread_regions

SCAN_COVER = 0.5
"""A page of which images cover as much as this is a scan, as far as nothing else is known."""

CONTRAST = 40
"""Of 255: what differs less from a typed page's paper is decoration."""

SCAN_CONTRAST = 16
"""The same for a scan, whose ink may be faint."""

MIN_RANGE = 8
"""Of 255: a scan whose darkest and lightest pixels differ by less shows nothing."""

MIN_COVERED = 0.6
"""Of a scan's ink: an earlier OCR whose words cover less is not the page's text; a picture may be the rest."""

MAX_REGIONS = 6
"""Parts of a page that are read one by one; a page with more is read as a whole."""

MIN_WORD_MARGIN = 3
"""Pixels at 100 dpi: ink so near to a word of the layer belongs to it."""

MARGIN_BESIDE, MARGIN_ABOVE = 1.0, 0.4
"""The same in heights of the word: the places of an earlier OCR's words are not exact, least of all their ends."""

TEXT_ANNOTATIONS = frozenset({raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_STAMP})
"""Annotations that may show words: fields of a form, typed notes, stamps."""


@dataclass(frozen=True)
class PageContent:
    """What is on a page.

    `lines` are the words that can be seen, in reading order; `earlier` those of an earlier OCR of the page's image that
    may be good; `unread` the parts of the page (in displayed points) with ink that neither accounts for, `whole` tells
    that this is the page as a whole. `trusted` is false for visible text that is not what it seems: then only a drawing
    of the page with its text tells what it says. `blank` tells that nothing at all can be seen.
    """

    lines: tuple[LayerLine, ...] = ()
    earlier: tuple[LayerLine, ...] = ()
    unread: tuple[tuple[float, float, float, float], ...] = ()
    whole: bool = False
    trusted: bool = True
    blank: bool = False


UNTRUSTED = PageContent(whole=True, trusted=False)


def page_content(page: pypdfium2.PdfPage, user_unit: float = 1.0) -> PageContent | None:
    """What is on a page, None if it has no text layer. Raises `pypdfium2.PdfiumError` if PDFium cannot tell."""
    found = characters_of(page)
    if found is None:
        return UNTRUSTED
    characters, things = found
    if not characters:
        return None
    look = look_at(page, user_unit)
    seen = visible(page, look, characters, things)
    shown = [one for one, marked in zip(characters, seen, strict=True) if marked]
    lines = _lines(shown)
    hidden = _lines([one for one, marked in zip(characters, seen, strict=True) if not marked])
    if not is_accounted_for(look, shown) or (lines and not is_trusted(lines)):
        return UNTRUSTED
    is_scan = image_cover(page) >= SCAN_COVER
    ink = ink_of(look.bare, SCAN_CONTRAST if is_scan else CONTRAST)
    return _content(look, ink, lines, hidden, is_scan=is_scan)


def _content(
    look: PageLook, ink: Ink, lines: tuple[LayerLine, ...], hidden: tuple[LayerLine, ...], *, is_scan: bool
) -> PageContent:
    boxes = _boxes(hidden, look.scale)
    if is_good_prior_ocr(hidden) and _stand_upright(hidden) and covered_share(ink, boxes) >= MIN_COVERED:
        regions = unread_regions(ink, boxes)
        if len(regions) <= MAX_REGIONS and not any(_holds_a_word(region, boxes) for region in regions):
            return PageContent(lines, earlier=hidden, unread=_in_points(regions, look.scale))
    if is_scan:
        whole = bool(np.ptp(look.bare) >= MIN_RANGE)
        return PageContent(lines, whole=whole, blank=not whole and not lines)
    regions = unread_regions(ink)
    if len(regions) > MAX_REGIONS or _area(regions) > SCAN_COVER * look.bare.size:
        return PageContent(lines, whole=True)
    return PageContent(lines, unread=_in_points(regions, look.scale), blank=not regions and not lines)


def image_cover(page: pypdfium2.PdfPage) -> float:
    """The share of a page under images, from 0 to 1."""
    left, bottom, right, top = page.get_bbox()
    page_area = (right - left) * (top - bottom)
    covered = 0.0
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        box = bounds_on_page(image)
        wide = max(0.0, min(box[2], right) - max(box[0], left))
        high = max(0.0, min(box[3], top) - max(box[1], bottom))
        covered += wide * high
    return min(1.0, covered / page_area) if page_area > 0 else 1.0


def annotation_kinds(page: pypdfium2.PdfPage) -> set[int]:
    """The kinds of annotation on a page: stamps, notes, fields of a form, links."""
    kinds = set()
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if annotation:
            kinds.add(raw.FPDFAnnot_GetSubtype(annotation))
            raw.FPDFPage_CloseAnnot(annotation)
    return kinds


def _lines(characters: Sequence[Character]) -> tuple[LayerLine, ...]:
    return tuple(ordered_lines(list(without_doubles(characters))))


def _boxes(lines: Sequence[LayerLine], scale: float) -> list[Box]:
    boxes = []
    for line in lines:
        for word in line.words:
            height = (word.bottom - word.top) * scale
            beside, above = (max(MIN_WORD_MARGIN, round(share * height)) for share in (MARGIN_BESIDE, MARGIN_ABOVE))
            left, top = int(word.left * scale) - beside, int(word.top * scale) - above
            right, bottom = int(word.right * scale) + beside, int(word.bottom * scale) + above
            boxes.append((left, top, right, bottom))
    return boxes


def _holds_a_word(region: Box, words: Sequence[Box]) -> bool:
    """Whether the middle of a word lies in a region, which then cannot be read by itself."""
    left, top, right, bottom = region
    return any(left < (one[0] + one[2]) / 2 < right and top < (one[1] + one[3]) / 2 < bottom for one in words)


def _stand_upright(lines: Sequence[LayerLine]) -> bool:
    return all(line.angle == 0 for line in lines)


def _in_points(boxes: Sequence[Box], scale: float) -> tuple[tuple[float, float, float, float], ...]:
    return tuple((left / scale, top / scale, right / scale, bottom / scale) for left, top, right, bottom in boxes)


def _area(boxes: Sequence[Box]) -> int:
    return sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
