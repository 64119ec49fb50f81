"""The text layer of a PDF page, and the part of the page that it accounts for.

Visible words are the text of the page if they are plausible. Hidden words over ink may be the result of an earlier OCR;
other hidden words are not text of the page. Some ink has no words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pypdfium2
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.pdf.coordinates import bounds_on_page
from notaflow_pipeline.ocr.input.pdf.text_visibility import (
    PageRenderings,
    is_accounted_for,
    render_with_and_without_text,
    visibilities,
)
from notaflow_pipeline.ocr.input.text_layer.characters import Character, characters_of, without_doubles
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, ordered_lines
from notaflow_pipeline.ocr.input.text_layer.layer_trust import is_good_earlier_ocr, is_trusted
from notaflow_pipeline.ocr.input.text_layer.unread_ink import Box, Ink, covered_share, ink_of, unread_regions

MIN_SCAN_COVER = 0.5
"""Share of a page under images above which it counts as a scan."""

MIN_CONTRAST = 40
"""Minimum difference (of 255) between ink and paper of a typed page outside of its images; less is decoration."""

MIN_SCAN_CONTRAST = 16
"""Minimum difference for a scan, whose ink may be faint."""

MIN_RANGE = 8
"""Minimum difference (of 255) between the darkest and the lightest pixel of a scan; one with less is blank."""

MIN_COVERED = 0.6
"""Minimum share of the ink of a scan that the words of an earlier OCR cover; the rest may be a picture."""

MAX_REGIONS = 6
"""Maximum number of regions that are recognised one by one; a page with more is recognised as a whole."""

MIN_WORD_MARGIN = 3
"""Distance in pixels at 100 dpi up to which ink belongs to a word of the layer."""

MARGIN_BESIDE, MARGIN_ABOVE = 1.0, 0.4
"""The same distance in word heights: the positions of the words of an earlier OCR are inexact, most of all their
ends."""

TEXT_ANNOTATIONS = frozenset({raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_STAMP})
"""Annotations that may show words: form fields, typed notes, stamps."""


@dataclass(frozen=True)
class PageContent:
    """Content of a page.

    `lines` are the visible words in reading order; `earlier` those of an earlier OCR of the page image that may be
    good. `unread` are the parts of the page (in displayed points) with ink that neither accounts for; `whole` means
    that this is the whole page. `trusted` is False if the visible text is wrong, so that only a rendering of the page
    with its text can be recognised. `blank` means that nothing is visible.
    """

    lines: tuple[LayerLine, ...] = ()
    earlier: tuple[LayerLine, ...] = ()
    unread: tuple[tuple[float, float, float, float], ...] = ()
    whole: bool = False
    trusted: bool = True
    blank: bool = False


UNTRUSTED = PageContent(whole=True, trusted=False)


def page_content(page: pypdfium2.PdfPage, user_unit: float = 1.0) -> PageContent | None:
    """Returns the content of a page; None if it has no text layer.

    Raises `pypdfium2.PdfiumError` if PDFium cannot extract the text.
    """
    found = characters_of(page)
    if found is None:
        return UNTRUSTED
    characters, text_objects = found
    if not characters:
        return None
    renderings = render_with_and_without_text(page, user_unit)
    seen = visibilities(page, renderings, characters, text_objects)
    shown = [one for one, marked in zip(characters, seen, strict=True) if marked]
    lines = _lines(shown)
    hidden = _lines([one for one, marked in zip(characters, seen, strict=True) if not marked])
    if not is_accounted_for(renderings, shown) or (lines and not is_trusted(lines)):
        return UNTRUSTED
    is_scan = image_cover(page) >= MIN_SCAN_COVER
    contrasts = np.where(renderings.on_image | is_scan, MIN_SCAN_CONTRAST, MIN_CONTRAST).astype(np.uint8)
    ink = ink_of(renderings.bare, contrasts)
    return _content(renderings, ink, lines, hidden, is_scan=is_scan)


def _content(
    renderings: PageRenderings, ink: Ink, lines: tuple[LayerLine, ...], hidden: tuple[LayerLine, ...], *, is_scan: bool
) -> PageContent:
    boxes = _boxes(hidden, renderings.scale)
    if is_good_earlier_ocr(hidden) and _is_upright(hidden) and covered_share(ink, boxes) >= MIN_COVERED:
        regions = unread_regions(ink, boxes)
        if len(regions) <= MAX_REGIONS and not any(_has_word(region, boxes) for region in regions):
            return PageContent(lines, earlier=hidden, unread=_in_points(regions, renderings.scale))
    if is_scan:
        whole = bool(np.ptp(renderings.bare) >= MIN_RANGE)
        return PageContent(lines, whole=whole, blank=not whole and not lines)
    regions = unread_regions(ink)
    if len(regions) > MAX_REGIONS or _area(regions) > MIN_SCAN_COVER * renderings.bare.size:
        return PageContent(lines, whole=True)
    return PageContent(lines, unread=_in_points(regions, renderings.scale), blank=not regions and not lines)


def image_cover(page: pypdfium2.PdfPage) -> float:
    """Returns the share of a page under images, from 0 to 1."""
    left, bottom, right, top = page.get_bbox()
    page_area = (right - left) * (top - bottom)
    covered = 0.0
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        box = bounds_on_page(image)
        wide = max(0.0, min(box[2], right) - max(box[0], left))
        high = max(0.0, min(box[3], top) - max(box[1], bottom))
        covered += wide * high
    return min(1.0, covered / page_area) if page_area > 0 else 1.0


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


def _has_word(region: Box, words: Sequence[Box]) -> bool:
    """Whether the middle of a word lies in a region. Such a region cannot be recognised alone."""
    left, top, right, bottom = region
    return any(left < (one[0] + one[2]) / 2 < right and top < (one[1] + one[3]) / 2 < bottom for one in words)


def _is_upright(lines: Sequence[LayerLine]) -> bool:
    return all(line.angle == 0 for line in lines)


def _in_points(boxes: Sequence[Box], scale: float) -> tuple[tuple[float, float, float, float], ...]:
    return tuple((left / scale, top / scale, right / scale, bottom / scale) for left, top, right, bottom in boxes)


def _area(boxes: Sequence[Box]) -> int:
    return sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
