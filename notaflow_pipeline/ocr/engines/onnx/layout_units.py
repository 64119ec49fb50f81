"""Finds the pieces of a page that Tesseract's line recogniser would be given, with Tesseract's own layout analysis.

A unit is what Tesseract calls a word after its layout analysis merged similar words, as `Recognize` does: usually the whole
line, or a line's part in one column. What is known about it is what `LSTMRecognizeWord` (ccmain/linerec.cpp) reads.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Segmentation

if TYPE_CHECKING:
    from tesserocr import PyTessBaseAPI

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are the first pixels outside."""

TEXT_BLOCKS = frozenset({1, 2, 3, 5, 6, 7, 8})
"""Block types that Tesseract reads: `PTIsTextType` in its publictypes.h. It leaves out pictures, rules and equations."""

PADDING = 4
"""Pixels around a unit: `kImagePadding` in Tesseract's imagedata.h."""

WRITING_TOP_TO_BOTTOM = 2
"""Tesseract's `WritingDirection` of vertical text (publictypes.h)."""


@dataclass(frozen=True)
class Unit:
    """A piece of a line: the box to cut out, whether it is turned, the boxes of its marks, and its place in the layout.

    Text that is turned runs downwards, the tops of its letters to the right. `marks` are the boxes of the connected
    components, in reading order.
    """

    box: Box
    is_turned: bool
    marks: tuple[Box, ...]
    block: int
    paragraph: int
    line: int


def find_units(engine: "PyTessBaseAPI", image: Image.Image, dpi: int | None, segmentation: Segmentation) -> list[Unit]:
    """The units of a grey page in reading order. Raises `RuntimeError` where Tesseract cannot take the page."""
    engine.SetPageSegMode(segmentation.value)
    engine.SetImageBytes(image.tobytes(), image.width, image.height, 1, image.width)
    if dpi:
        engine.SetSourceResolution(dpi)
    if not engine.AnalyseLayout(merge_similar_words=True):
        return []
    position = engine.GetIterator()
    return list(_units(position, image.size)) if position else []


def _units(position: Any, size: tuple[int, int]) -> Iterator[Unit]:
    from tesserocr import RIL

    block = paragraph = line = 0
    has_more = True
    while has_more:
        if position.IsAtBeginningOf(RIL.BLOCK):
            block, paragraph, line = block + 1, 0, 0
        if position.IsAtBeginningOf(RIL.PARA):
            paragraph, line = paragraph + 1, 0
        line += position.IsAtBeginningOf(RIL.TEXTLINE)
        box = position.BoundingBox(RIL.WORD)
        if box and int(position.BlockType()) in TEXT_BLOCKS:
            is_turned = int(position.Orientation()[1]) == WRITING_TOP_TO_BOTTOM
            cut = _box_of_row(position, box, is_turned=is_turned)
            marks, has_more = _marks(position)
            padded = _padded(cut, size)
            if padded:
                yield Unit(padded, is_turned, marks, block, paragraph, line)
        else:
            has_more = position.Next(RIL.WORD)


def _marks(position: Any) -> tuple[tuple[Box, ...], bool]:
    """The boxes of a unit's marks, with the iterator moved behind the unit, and whether there is another one."""
    from tesserocr import RIL

    boxes = []
    while True:
        box = position.BoundingBox(RIL.SYMBOL)
        if box:
            boxes.append(box)
        if not position.Next(RIL.SYMBOL):
            return tuple(boxes), False
        if position.IsAtBeginningOf(RIL.WORD):
            return tuple(boxes), True


def _box_of_row(position: Any, box: Box, *, is_turned: bool) -> Box:
    """The box, as high at least as the row's letters reach (`Tesseract::LSTMRecognizeWord`, ccmain/linerec.cpp).

    `row_height` is x-height + ascenders - descenders, and descenders are negative. Tesseract counts from the bottom of
    the page and drops the fraction, so from the top the edges are rounded up.
    """
    from tesserocr import RIL

    left, top, right, bottom = box
    baseline = position.Baseline(RIL.WORD)
    row = position.RowAttributes()
    if not baseline or not row:
        return box
    above, below = row["row_height"] + row["descenders"], -row["descenders"]
    (x1, y1), (x2, y2) = baseline
    if is_turned:
        x = (x1 + x2) / 2
        return min(left, math.floor(x - below)), top, max(right, math.floor(x + above)), bottom
    y = (y1 + y2) / 2
    return left, min(top, math.ceil(y - above)), right, max(bottom, math.ceil(y + below))


def _padded(box: Box, size: tuple[int, int]) -> Box | None:
    left, top, right, bottom = box
    left, top = max(0, left - PADDING), max(0, top - PADDING)
    right, bottom = min(size[0], right + PADDING), min(size[1], bottom + PADDING)
    return (left, top, right, bottom) if left < right and top < bottom else None
