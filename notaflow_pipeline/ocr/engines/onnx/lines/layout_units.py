"""Finds the pieces of a page that Tesseract's line recogniser would be given, with Tesseract's own layout analysis.

A unit is what Tesseract calls a word after its layout analysis merged similar words, as `Recognize` does: usually the whole
line, or a line's part in one column. What is known about it is what `LSTMRecognizeWord` (ccmain/linerec.cpp) reads.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.onnx.lines.baselines import (
    BaselinePoints,
    middle_of_baseline,
    points_of,
    points_of_row,
)

if TYPE_CHECKING:
    from tesserocr import PyTessBaseAPI

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are the first pixels outside."""

TEXT_BLOCKS = frozenset({1, 2, 3, 5, 6, 7, 8})
"""Block types that Tesseract reads: `PTIsTextType` in its publictypes.h. It leaves out pictures, rules and equations."""

PADDING = 4
"""Pixels around a unit: `kImagePadding` in Tesseract's imagedata.h."""

WRITING_TOP_TO_BOTTOM = 2
"""Tesseract's `WritingDirection` of vertical text (publictypes.h). Other text says by its orientation how it is turned."""

UPRIGHT_OR_DOWNWARDS = (0, 1)
"""Quarter turns of text whose letters' feet are left of or below their tops."""


@dataclass(frozen=True)
class Unit:
    """A piece of a line: the box to cut out, how it is turned, the boxes of its marks, and its place in the layout.

    `turns` are the quarter turns that make it upright, against the clock: 1 where the text runs downwards, 3 where it runs
    upwards. `marks` are the boxes of the connected components.
    """

    box: Box
    turns: int
    marks: tuple[Box, ...]
    block: int
    paragraph: int
    line: int


@dataclass(frozen=True)
class _Row:
    """The row of a unit: the ends of its baseline, and how far its letters reach above and below it.

    In Tesseract's words these are x-height + ascenders, and -descenders; `RowAttributes` has the sum of all three as
    `row_height`.
    """

    turns: int
    baseline: tuple[tuple[int, int], tuple[int, int]] | None
    above: float
    below: float


@dataclass(frozen=True)
class _FoundUnit:
    """A unit with the box of its ink, which is not yet as high as its row."""

    box: Box
    row: _Row
    marks: tuple[Box, ...]
    place: tuple[int, int, int]

    @property
    def row_key(self) -> tuple[object, ...]:
        """What the units of a row have in common."""
        return self.place, self.row.turns, self.row.above, self.row.below

    @cached_property
    def points(self) -> BaselinePoints:
        """What the unit tells of its row's baseline, along and down the text."""
        ends = [along_and_down(end, self.row.turns) for end in self.row.baseline or ()]
        upright = [upright_box(mark, self.row.turns) for mark in self.marks]
        return points_of(ends, [((mark[0] + mark[2]) / 2, mark[3]) for mark in upright])


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
    for _, row in groupby(_found_units(position), lambda unit: unit.row_key):
        units = list(row)
        points = points_of_row([unit.points for unit in units])
        for unit in units:
            padded = _padded(_box_of_row(unit, points), size)
            if padded:
                yield Unit(padded, unit.row.turns, unit.marks, *unit.place)


def _found_units(position: Any) -> Iterator[_FoundUnit]:
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
            row = _row(position)
            marks, has_more = _marks(position)
            yield _FoundUnit(box, row, marks, (block, paragraph, line))
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


def _row(position: Any) -> _Row:
    from tesserocr import RIL

    attributes = position.RowAttributes() or {"row_height": 0.0, "descenders": 0.0}
    orientation, direction = (int(value) for value in position.Orientation()[:2])
    return _Row(
        turns=1 if direction == WRITING_TOP_TO_BOTTOM else orientation,
        baseline=position.Baseline(RIL.WORD),
        above=attributes["row_height"] + attributes["descenders"],
        below=-attributes["descenders"],
    )


def _box_of_row(unit: _FoundUnit, points: BaselinePoints) -> Box:
    """The box, as high at least as the row's letters reach (`Tesseract::LSTMRecognizeWord`, ccmain/linerec.cpp).

    Tesseract counts from the letters' feet upwards and drops the fraction; blocks that are turned twice or thrice are below
    zero there.
    """
    row = unit.row
    if not row.baseline:
        return unit.box
    rounded = math.ceil if row.turns in UPRIGHT_OR_DOWNWARDS else math.floor
    baseline = middle_of_baseline(unit.points, points, row.above + row.below)
    left, top, right, bottom = upright_box(unit.box, row.turns)
    top, bottom = min(top, rounded(baseline - row.above)), max(bottom, rounded(baseline + row.below))
    return upright_box((left, top, right, bottom), -row.turns)


def along_and_down(point: tuple[int, int], turns: int) -> tuple[int, int]:
    """Where a point of the page is along and down a text that is turned by so many quarters; -`turns` is the way back."""
    x, y = point
    return ((x, y), (y, -x), (-x, -y), (-y, x))[turns % 4]


def upright_box(box: Box, turns: int) -> Box:
    """A box along and down the text, as `along_and_down` has it."""
    (x1, y1), (x2, y2) = along_and_down(box[:2], turns), along_and_down(box[2:], turns)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _padded(box: Box, size: tuple[int, int]) -> Box | None:
    left, top, right, bottom = box
    left, top = max(0, left - PADDING), max(0, top - PADDING)
    right, bottom = min(size[0], right + PADDING), min(size[1], bottom + PADDING)
    return (left, top, right, bottom) if left < right and top < bottom else None
