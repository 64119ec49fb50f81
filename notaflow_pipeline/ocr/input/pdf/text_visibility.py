"""Compares a displayed page with and without its text: finds the characters that are visible and those that are hidden.

A character counts as text of the page only if it changes pixels of the rendered page. Text does not count if it is on a
layer that is switched off, under a white box or an image, in the colour of the paper, transparent, or beyond the crop box.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.pdf.bitmaps import grey_bitmap
from notaflow_pipeline.ocr.input.pdf.coordinates import bounds_on_page, display_affine
from notaflow_pipeline.ocr.input.pdf.embedded_scan import POINTS_PER_INCH
from notaflow_pipeline.ocr.input.text_layer.characters import Character, is_double, without_doubles

RENDERING_DPI = 100
MAX_RENDERING_SIDE = 2200
"""Maximum side of the rendering in pixels; a larger page is rendered at a lower resolution. A letter page takes 18
ms."""

MIN_CHANGE = 8
"""Minimum change (of 255) of a pixel that a character marks."""

MIN_CONTRAST = 12
"""Minimum difference (of 255) between a mark and the area around it. A watermark in a tenth of black has 25."""

MIN_LIGHTER, MIN_LIGHTER_ON_IMAGE = 24, 75
"""Minimum difference of a mark that is lighter: white on the grey paper of a scan is hidden text, white on a drawn area is
not."""

BLOCK_WIDTH, BLOCK_HEIGHT = 48, 12
"""Size in pixels of the block whose median counts as the area around a mark. It is low enough for the heading of
a table, and so wide that letters fill less than half of it."""

MAX_OVERLAPPING = 16
"""Maximum number of overlapping text objects that are checked one by one. A page with more is not legible."""

MIN_OVERLAP = 0.25
"""Minimum overlap as a share of the smaller of two characters; kerned neighbours overlap by less."""

MAX_COMPARISONS = 200_000

MARGIN_PIXELS = 3
"""Distance in pixels up to which marks belong to the box of a character."""

MAX_UNEXPLAINED_MARKS = 60
MAX_UNEXPLAINED_SHARE = 0.005
"""Marks in pixels, and as a share of all marks of text. If more are in no character's box, the layer differs from
the visible text. Two digits of ten points have 60 marks. On the PDFs at hand the largest share was 0.003; digits that
a font maps to spaces are 0.07 of the marks of prose."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PageRenderings:
    """A page rendered with and without its text, at `scale` pixels per point. `on_image` is the mask of its images."""

    shown: Pixels
    bare: Pixels
    scale: float
    on_image: NDArray[np.bool_]


def render_with_and_without_text(page: pypdfium2.PdfPage, user_unit: float = 1.0) -> PageRenderings:
    """Renders a page twice at a low resolution. `user_unit` is the number of points per unit.

    Raises `pypdfium2.PdfiumError` if PDFium cannot render it.
    """
    width, height = page.get_size()
    scale = min(user_unit * RENDERING_DPI / POINTS_PER_INCH, MAX_RENDERING_SIDE / max(width, height, 1e-6))
    shown = rendered_pixels(page, scale)
    with without_text(page):
        bare = rendered_pixels(page, scale)
    return PageRenderings(shown, bare, scale, _mask_of_images(page, bare.shape, scale))


def _mask_of_images(page: pypdfium2.PdfPage, shape: tuple[int, ...], scale: float) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    affine = display_affine(page)
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        sides = np.nan_to_num(np.array(affine.box(*bounds_on_page(image))) * scale)
        left, top, right, bottom = (int(max(0, side)) for side in sides)
        mask[top : bottom + 1, left : right + 1] = True
    return mask


def rendered_pixels(page: pypdfium2.PdfPage, scale: float) -> Pixels:
    """Returns the rendered page in grey."""
    return np.asarray(grey_bitmap(rendered_bitmap(page, scale)))


def rendered_bitmap(
    page: pypdfium2.PdfPage, scale: float, crop: tuple[float, float, float, float] = (0, 0, 0, 0)
) -> pypdfium2.PdfBitmap:
    """Renders a page without the margins `crop` (left, bottom, right and top, in points), with its annotations.

    Annotations are drawn because stamps can be annotations. The page is rendered in colour and then converted to grey,
    because PDFium's own grey rendering took more than twice as long when it was measured.
    """
    return page.render(scale=scale, crop=crop, may_draw_forms=True, draw_annots=True)


@contextmanager
def without_text(page: pypdfium2.PdfPage) -> Iterator[None]:
    """Makes the text of a page invisible in renderings; text of annotations stays visible."""
    modes = []
    for text_object in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT]):
        modes.append((text_object, raw.FPDFTextObj_GetTextRenderMode(text_object)))
        raw.FPDFTextObj_SetTextRenderMode(text_object, raw.FPDF_TEXTRENDERMODE_INVISIBLE)
    try:
        yield
    finally:
        for text_object, mode in modes:
            raw.FPDFTextObj_SetTextRenderMode(text_object, mode)


def visibilities(
    page: pypdfium2.PdfPage, renderings: PageRenderings, characters: Sequence[Character], text_objects: Sequence[Any]
) -> list[bool]:
    """Returns for each character whether it is visible."""
    seen = _visibility_of_words(characters, _has_marks(_marks(renderings), characters, renderings.scale))
    shown = [one for one, marked in zip(characters, seen, strict=True) if marked]
    overlapping = _overlapping(list(without_doubles(shown)))
    if not overlapping or len(overlapping) > MAX_OVERLAPPING:
        return seen
    for number in overlapping:
        raw.FPDFPageObj_SetIsActive(text_objects[number], False)
        without = rendered_pixels(page, renderings.scale)
        raw.FPDFPageObj_SetIsActive(text_objects[number], True)
        changed = np.abs(renderings.shown.astype(np.int16) - without.astype(np.int16)) > MIN_CHANGE
        alone = _visibility_of_words(characters, _has_marks(changed, characters, renderings.scale))
        seen = [
            was and (one.text_object != number or marked)
            for one, was, marked in zip(characters, seen, alone, strict=True)
        ]
    return seen


def is_accounted_for(renderings: PageRenderings, characters: Sequence[Character]) -> bool:
    """Whether the marks of the text lie in the boxes of these characters; the boxes may be wrong because of faulty
    fonts."""
    marks = _marks(renderings)
    total = int(marks.sum())
    for one in characters:
        sides = np.nan_to_num(
            np.array([one.left, one.top, one.right, one.bottom]) * renderings.scale, posinf=1e6, neginf=-1e6
        )
        left, top, right, bottom = (
            int(max(0, side)) for side in (*(sides[:2] - MARGIN_PIXELS), *(sides[2:] + MARGIN_PIXELS))
        )
        marks[top:bottom, left:right] = False
    unexplained = int(marks.sum())
    return unexplained < MAX_UNEXPLAINED_MARKS or unexplained <= MAX_UNEXPLAINED_SHARE * total


def _marks(renderings: PageRenderings) -> NDArray[np.bool_]:
    """Returns the mask of the pixels that text makes darker than the area around them, or clearly lighter."""
    around = _surrounding_grey(renderings.bare).astype(np.int16)
    one, other = renderings.shown.astype(np.int16), renderings.bare.astype(np.int16)
    darker = (other - one > MIN_CHANGE) & (around - one > MIN_CONTRAST)
    min_lighter = np.where(renderings.on_image, MIN_LIGHTER_ON_IMAGE, MIN_LIGHTER)
    lighter = (one - other > MIN_CHANGE) & (one - around > min_lighter)
    marks: NDArray[np.bool_] = darker | lighter
    return marks


def _has_marks(marks: NDArray[np.bool_], characters: Sequence[Character], scale: float) -> list[bool]:
    """Returns for each character whether there is a mark in its box."""
    height, width = marks.shape
    sums = np.zeros((height + 1, width + 1), dtype=np.int32)
    sums[1:, 1:] = marks.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    boxes = np.array([(one.left, one.top, one.right, one.bottom) for one in characters], dtype=np.float64)
    boxes = np.nan_to_num(boxes * scale, posinf=1e6, neginf=-1e6)
    left, right = (np.clip(boxes[:, side] + more, 0, width).astype(int) for side, more in ((0, 0), (2, 1)))
    top, bottom = (np.clip(boxes[:, side] + more, 0, height).astype(int) for side, more in ((1, 0), (3, 1)))
    counts = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return [bool(count > 0) for count in counts]


def _surrounding_grey(pixels: Pixels) -> Pixels:
    """Returns the median of the block that contains each pixel."""
    height, width = pixels.shape
    padded = np.pad(pixels, ((0, -height % BLOCK_HEIGHT), (0, -width % BLOCK_WIDTH)), mode="edge")
    rows, columns = padded.shape[0] // BLOCK_HEIGHT, padded.shape[1] // BLOCK_WIDTH
    blocks = padded.reshape(rows, BLOCK_HEIGHT, columns, BLOCK_WIDTH).swapaxes(1, 2).reshape(rows, columns, -1)
    medians = np.median(blocks[:, :, ::5], axis=2).astype(np.uint8)
    around: Pixels = medians.repeat(BLOCK_HEIGHT, axis=0).repeat(BLOCK_WIDTH, axis=1)[:height, :width]
    return around


def _visibility_of_words(characters: Sequence[Character], seen: Sequence[bool]) -> list[bool]:
    """Returns the visibility of whole words: a word is hidden if less than half of it is visible."""
    starts = [number for number, one in enumerate(characters) if number == 0 or one.follows]
    found: list[bool] = []
    for start, end in pairwise([*starts, len(characters)]):
        shown = sum(seen[start:end])
        found += [2 * shown >= end - start] * (end - start)
    return found


def _overlapping(characters: Sequence[Character]) -> list[int]:
    """Returns the numbers of the text objects with a character that lies over a different character of another
    object."""
    cells: dict[tuple[int, int], list[Character]] = {}
    for one in characters:
        size = 12.0
        cells.setdefault((int(one.left // size), int(one.top // size)), []).append(one)
    found: set[int] = set()
    left = MAX_COMPARISONS
    for (column, row), inside in cells.items():
        near = [*inside]
        for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
            near += cells.get((column + dx, row + dy), [])
        left -= len(near) ** 2 // 2
        if len(found) > MAX_OVERLAPPING or left < 0:
            break
        pairs = combinations(near, 2)
        found.update(
            number
            for one, other in pairs
            if _is_conflict(one, other)
            for number in (one.text_object, other.text_object)
        )
    return sorted(found)


def _is_conflict(one: Character, other: Character) -> bool:
    """Whether two characters of different objects overlap and are not the same character drawn twice."""
    if one.text_object == other.text_object or _overlap(one, other) <= MIN_OVERLAP:
        return False
    return not is_double(one, other)


def _overlap(one: Character, other: Character) -> float:
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.bottom, other.bottom) - max(one.top, other.top)
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box.right - box.left) * (box.bottom - box.top) for box in (one, other)]
    return wide * high / max(min(areas), 1e-9)
