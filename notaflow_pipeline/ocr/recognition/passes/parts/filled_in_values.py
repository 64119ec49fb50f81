"""Reads the values of a form that the layout analysis dropped: print above dotted lines and in rows of boxes.

Tesseract takes a value above a dotted line for a part of the line, and a row of boxes with a letter in each for a picture.
Both stand to the right of all words that it reads, where `missed_lines` does not search. Only pages with low coverage, or
with dots among the words, are searched.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import Line, Word, word_height
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.images.grey_levels import otsu_threshold
from notaflow_pipeline.ocr.input.images.ruling_lines import (
    without_boxes,
    without_dotted_lines,
    without_horizontal_lines,
)
from notaflow_pipeline.ocr.recognition.passes.parts.missed_ink import (
    MIN_WORDS,
    is_same_place,
    new_lines,
    uncovered_strips,
    with_lines,
)
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEADER = ".."
"""Dots in a word are a part of a dotted line."""

MAX_STRIPS = 40
"""The number of strips of a page that are read; a form has as many lines."""

MAX_STRIPS_WITHOUT_VALUE = 6
"""The number of strips in succession without a value after which no more are read: the page has pictures or pencil."""

SURE_CONFIDENCE = 90.0
"""The confidence of a strip that is not read in another way."""

MIN_CONFIDENCE = 75.0
"""The minimum mean confidence of a value. On drawn forms, values have 79 to 97, and dots and boxes read as words 20 to 60."""

MIN_CHARACTERS = 2
"""The minimum number of letters and digits of a value."""

MAX_VALUE_WORDS = 8
"""A line with more words is running text, not a value beside a label."""

MIN_BOXED = 4
"""The minimum number of characters of a value that is written in boxes, one in each."""

MAX_BOXED_WIDTH = 1.3
"""The maximum width of the ink in one box, in heights of a word. More is a word in a cell of a table."""

MIN_BLANK_BOX = 1.5
"""In distances between neighbouring characters: with a larger distance there is a blank box between two of them."""

LETTER_GAP, WORD_GAP = 0.12, 0.7
"""The gaps that are left between characters and between words, in heights of a word."""


def with_filled_in_values(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns the result with the values that were read beside the words of a page with low coverage or dotted lines."""
    if not runner.policy.filled_in_values or len(found.words) < MIN_WORDS:
        return found
    image = found.prepared.image
    dotted = [word for word in found.words if LEADER in word.text]
    undotted = without_dotted_lines(image, word_height(found.words)) if dotted else None
    on_dots = [word for word in dotted if undotted and _is_changed(word, image, undotted)]
    if not on_dots and not found.has_low_coverage:
        return found
    on_dots = [word for word in on_dots if any(map(str.isalnum, word.text))]  # read again without the dots
    values = _values(runner, found, undotted or image, [word for word in found.words if word not in on_dots])
    again = {id(word) for word in on_dots if any(is_same_place(word, one) for line in values for one in line)}
    words = [word for word in found.words if id(word) not in again]
    for line in values:
        words = _with_value(words, line)
    return replace(found, words=words) if values else found


def _is_changed(word: Word, image: Image.Image, undotted: Image.Image) -> bool:
    """Returns whether there were dots of a dotted line in the box of a word."""
    box = (word.left, word.top, word.right, word.bottom)
    return image.crop(box).tobytes() != undotted.crop(box).tobytes()


def _values(runner: PassRunner, found: PassResult, image: Image.Image, words: list[Word]) -> list[Line]:
    """Returns the lines that were read in strips of the image with ink and without words."""
    height = word_height(found.words)
    unruled = without_horizontal_lines(image, height)  # a dotted line is found as a whole only on the whole page
    values: list[Line] = []
    without_value = 0
    for box in uncovered_strips(image, words)[:MAX_STRIPS]:
        if runner.is_short_of_time or without_value >= MAX_STRIPS_WITHOUT_VALUE:
            break
        unboxed = without_boxes(image.crop(box), height)
        strip, columns = condensed(unboxed, height) if unboxed else ((unruled or image).crop(box), None)
        known = [*words, *(word for line in values for word in line)]
        readings = [
            [line for line in new_lines(one, box[:2], known) if _is_value(line)]
            for one in _readings(runner, found, strip, columns)
        ]
        new = max(readings, key=_score, default=[])
        without_value = 0 if new else without_value + 1
        values += new
    return values


def _readings(
    runner: PassRunner, found: PassResult, strip: Image.Image, columns: "NDArray[np.intp] | None"
) -> Iterator[list[Word]]:
    """Yields the words of a strip, read in two ways until one is sure. `columns` are those of a condensed strip."""
    for segmentation in (Segmentation.SINGLE_BLOCK, Segmentation.AUTOMATIC):
        with suppress(DocumentFailure):
            read = runner.run(replace(found.prepared, image=strip), runner.languages.all, segmentation)
            yield read.words if columns is None else [_at_columns(word, columns) for word in read.words]
            if read.confidence >= SURE_CONFIDENCE:
                return


def condensed(strip: Image.Image, height: float) -> tuple[Image.Image, "NDArray[np.intp]"]:
    """Returns a strip without most of the gaps between its characters, and the columns of the strip that are left.

    The engine reads the characters of a row of boxes as words only if they are near each other. `height` is that of a word.
    The strip is unchanged if it has ink that is wider than a character.
    """
    import numpy as np

    grey = np.asarray(strip)
    kept = np.ones(strip.width, dtype=bool)
    inked = np.flatnonzero((grey <= otsu_threshold(strip.histogram())).any(axis=0))
    groups = np.split(inked, np.flatnonzero(np.diff(inked) > 2 * LETTER_GAP * height) + 1)
    if len(groups) >= MIN_BOXED and all(np.ptp(group) < MAX_BOXED_WIDTH * height for group in groups):
        centres = [(group[0] + group[-1]) / 2 for group in groups]
        pitch = median(other - one for one, other in pairwise(centres))
        for number, (one, other) in enumerate(pairwise(groups)):
            is_blank = centres[number + 1] - centres[number] > MIN_BLANK_BOX * pitch
            kept[one[-1] + 1 + round((WORD_GAP if is_blank else LETTER_GAP) * height) : other[0]] = False
        kept[inked[-1] + round(height) :] = False  # blank boxes
    return Image.fromarray(grey[:, kept]), np.flatnonzero(kept)


def _at_columns(word: Word, columns: "NDArray[np.intp]") -> Word:
    """Returns a word of a condensed strip at its position on the strip."""
    last = len(columns) - 1
    left, right = int(columns[min(word.left, last)]), int(columns[min(word.right, last)])
    return replace(word, left=left, width=max(1, right - left))


def _score(values: Sequence[Line]) -> float:
    """Returns the number of characters of values, weighted by their confidence."""
    return sum(len(word.text) * (word.confidence - MIN_CONFIDENCE / 2) for line in values for word in line)


def _is_value(line: Line) -> bool:
    characters = sum(sum(map(str.isalnum, word.text)) for word in line)
    confidence = sum(word.confidence for word in line) / len(line)
    return characters >= MIN_CHARACTERS and confidence >= MIN_CONFIDENCE


def _with_value(words: Sequence[Word], line: Line) -> list[Word]:
    """Returns the words with a value inserted: in the line of its label if there is one beside it, else below other lines."""
    height = word_height(words)
    middle = median(word.middle for word in line)
    level = [word for word in words if abs(word.middle - middle) < height / 2 and word.right <= line[0].left]
    if not level or len(line) > MAX_VALUE_WORDS:
        return with_lines(words, [line])
    label = max(level, key=lambda word: word.right)
    place = next(number for number, word in enumerate(words) if word is label) + 1
    value = [replace(word, block=label.block, paragraph=label.paragraph, line=label.line) for word in line]
    return [*words[:place], *value, *words[place:]]
