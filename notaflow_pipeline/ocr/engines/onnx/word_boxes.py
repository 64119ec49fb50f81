"""Says where on the page the words of a unit stand: around the marks that lie between their borders.

Borders are steps of the network, some pixels off the characters, so the marks of the layout decide, each by its middle:
`PAGE_RES_IT::ReplaceCurrentWord` (ccstruct/pageres.cpp).
"""

from collections.abc import Sequence

from notaflow_pipeline.ocr.engines.onnx.decoding import ReadWord
from notaflow_pipeline.ocr.engines.onnx.layout_units import Box, Unit
from notaflow_pipeline.ocr.engines.onnx.line_images import LINE_HEIGHT

COLUMNS_OF_STEP = 3
"""Columns of the network's input that make one step of its output."""


def word_boxes(unit: Unit, words: Sequence[ReadWord]) -> list[Box]:
    """A box for each word of a unit; where a word has no mark, the whole height of the unit between its borders."""
    left, top, right, bottom = unit.box
    begin, size, height = (top, bottom - top, right - left) if unit.is_turned else (left, right - left, bottom - top)
    pixels_of_step = COLUMNS_OF_STEP * height / LINE_HEIGHT
    axis = 1 if unit.is_turned else 0
    marks = [((mark[axis] + mark[axis + 2]) / 2, mark) for mark in unit.marks]
    boxes = []
    previous = begin
    for number, word in enumerate(words):
        end = begin + size
        if number + 1 < len(words):  # in the middle between the border of this word and of the next
            middle_step = (word.ends[-1] + words[number + 1].begin) / 2
            end = min(end, round(begin + middle_step * pixels_of_step))
        own = [mark for middle, mark in marks if previous <= middle < end]
        boxes.append(_around(own) if own else _between(unit, previous, max(end, previous + 1)))
        previous = end
    return boxes


def _around(marks: Sequence[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*marks, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _between(unit: Unit, begin: int, end: int) -> Box:
    left, top, right, bottom = unit.box
    return (left, begin, right, end) if unit.is_turned else (begin, top, end, bottom)
