"""Locates the words of a unit on the page: around the marks that lie between their borders.

Borders are steps of the network, some pixels off the characters, so the marks of the layout decide, each by its middle:
`PAGE_RES_IT::ReplaceCurrentWord` (ccstruct/pageres.cpp).
"""

from collections.abc import Sequence

from notaflow_pipeline.ocr.engines.onnx.decoding.words import ReadWord
from notaflow_pipeline.ocr.engines.onnx.lines.layout_units import Box, Unit, upright_box
from notaflow_pipeline.ocr.engines.onnx.lines.line_images import LINE_HEIGHT

COLUMNS_OF_STEP = 3
"""Columns of the network's input that make one step of its output."""


def word_boxes(unit: Unit, words: Sequence[ReadWord]) -> list[Box]:
    """A box for each word of a unit; where a word has no mark, the whole height of the unit between its borders."""
    left, top, right, bottom = upright_box(unit.box, unit.turns)
    pixels_of_step = COLUMNS_OF_STEP * (bottom - top) / LINE_HEIGHT
    marks = [upright_box(mark, unit.turns) for mark in unit.marks]
    boxes = []
    begin = left
    for number, word in enumerate(words):
        end = right
        if number + 1 < len(words):  # in the middle between the border of this word and of the next
            middle_step = (word.ends[-1] + words[number + 1].begin) / 2
            end = min(right, round(left + middle_step * pixels_of_step))
        own = [mark for mark in marks if begin <= (mark[0] + mark[2]) / 2 < end]
        box = _around(own) if own else (begin, top, max(end, begin + 1), bottom)
        boxes.append(upright_box(box, -unit.turns))
        begin = end
    return boxes


def _around(marks: Sequence[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*marks, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
