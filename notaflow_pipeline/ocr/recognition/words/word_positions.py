"""Maps the words of a preprocessed page to positions on the original page."""

import math
from collections.abc import Sequence
from dataclasses import replace

from notaflow_pipeline.ocr.engines.words import Line, Word, paragraphs, text_of_line
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, LayerWord
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage

MAX_SCALE_RATIO = 1.03
"""The largest ratio of horizontal to vertical scale; with a larger one, the page was cropped after its rotation."""


def words_on_page(words: Sequence[Word], prepared: PreprocessedPage) -> tuple[Word, ...]:
    """Returns the words with their positions on the page before it was cropped, scaled and deskewed.

    Returns nothing if the page was turned by a quarter or a half, or if its positions are unknown.
    """
    angle = math.radians(prepared.skew_degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    width, height = prepared.source.size
    across = prepared.image.width / (width * cos + height * abs(sin))
    down = prepared.image.height / (height * cos + width * abs(sin))
    if prepared.quarter_turns or not 1 / MAX_SCALE_RATIO < across / down < MAX_SCALE_RATIO:
        return ()
    factor = (across + down) / 2
    left, top = prepared.origin[0] + width / 2, prepared.origin[1] + height / 2
    placed = []
    for word in words:
        x = word.left + word.width / 2 - prepared.image.width / 2
        y = word.middle - prepared.image.height / 2
        if prepared.curve:
            y += prepared.curve.fall_pixels(word.left + word.width / 2, prepared.image.width)
        wide, high = word.width / factor, word.height / factor
        x, y = left + (x * cos - y * sin) / factor, top + (x * sin + y * cos) / factor
        corner = round(x - wide / 2), round(y - high / 2)
        placed.append(replace(word, left=corner[0], top=corner[1], width=round(wide), height=round(high)))
    return tuple(placed)


def lines_of_words(
    words: Sequence[Word], size: tuple[int, int], box: tuple[float, float, float, float]
) -> list[LayerLine]:
    """Returns the lines of an image of this size as lines of the page on which the image fills this box."""
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]

    def line_of(line: Line, distance: float) -> LayerLine:
        placed = [
            LayerWord(
                word.text,
                box[0] + word.left * across,
                box[1] + word.top * down,
                box[0] + word.right * across,
                box[1] + word.bottom * down,
            )
            for word in line
        ]
        return LayerLine(tuple(placed), text_of_line(line), distance, position=max(word.bottom for word in placed))

    return [
        line_of(line, 0.0 if number else math.inf)
        for paragraph in paragraphs(words)
        for number, line in enumerate(paragraph)
    ]
