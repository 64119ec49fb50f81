"""Finds lines of print that the engine's layout analysis missed or cut short.

Tesseract sometimes takes a line for a picture or for noise: its ink is on the page, and no word covers it. Without this
step the 40 corpus pages have a mean error rate of 0.068 instead of 0.052, without the line that libraries print under
their scans (`benchmarks/quality.py`).
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.engines.words import Line, Word, lines_of, word_height
from notaflow_pipeline.ocr.input.images.grey_levels import ink_mask
from notaflow_pipeline.ocr.input.images.ruling_lines import horizontal_line_pixels
from notaflow_pipeline.ocr.recognition.words.reading_order import MAX_WORD_GAP
from notaflow_pipeline.ocr.recognition.words.rows import row_height

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""

MIN_WORDS = 8
"""Fewer words do not show the height of letters and the area of the print."""

LINE_HEIGHT_RANGE = (0.5, 3.0)
"""The height of the ink of a line, as factors of the height of a word. Lower ink is a ruling line, higher ink a picture
or the grid of a table."""

MIN_LINE_LENGTH_HEIGHTS = 4.0
"""The minimum length of a line's ink, in heights of a word. Shorter ink is a mark in the margin."""

MIN_ROW_INK_HEIGHTS = 0.35
"""The minimum of ink in a row of pixels, in heights of a word. Less ink is dust."""

MAX_FILLED_SHARE = 0.75
"""Ink that fills a larger share of its columns is a bar."""

MIN_LINE_CONFIDENCE = 65.0
"""Real lines were read with 67 to 95 on the corpus pages; stamps, edges and pencil with 0 to 50.

With ONNX Runtime, limits of 62 and 66 give the same text on all corpus pages; 70 loses a line of page33.
"""

MIN_LETTERS = 5


def missed_ink_strips(image: Image.Image, words: Sequence[Word]) -> list[Box]:
    """Returns the boxes of ink on a preprocessed page that has the shape of lines of print and no word, from the top."""
    import numpy as np

    if len(words) < MIN_WORDS:
        return []
    height = word_height(words)
    ink = _without_words(ink_mask(image), words, height)
    ink &= ~horizontal_line_pixels(ink, height)  # ruling lines would join the lines above and below them
    left, right = _print_area(words, round(height))
    outermost = (min(word.left for word in words), max(word.right for word in words))
    inner = ink[:, left:right]
    strips = []
    bands = list(_bands(np.count_nonzero(inner, axis=1) > MIN_ROW_INK_HEIGHTS * height))
    for number, (top, bottom) in enumerate(bands):
        above = bands[number - 1][1] if number else 0
        below = bands[number + 1][0] if number + 1 < len(bands) else image.height
        band = inner[top:bottom]
        columns = np.flatnonzero(band.any(axis=0))
        if not LINE_HEIGHT_RANGE[0] * height <= bottom - top <= LINE_HEIGHT_RANGE[1] * height:
            continue
        if len(columns) >= MIN_LINE_LENGTH_HEIGHTS * height and band[:, columns].mean() <= MAX_FILLED_SHARE:
            reach, rise = round(height), round(0.4 * height)
            strips.append(
                (
                    max(0, min(outermost[0], left + int(columns[0])) - reach),
                    max(above, top - rise),
                    min(image.width, max(outermost[1], left + int(columns[-1])) + reach),
                    min(below, bottom + rise),
                )
            )
    return strips


def uncovered_strips(image: Image.Image, words: Sequence[Word]) -> list[Box]:
    """Returns the boxes of all ink that has the shape of lines of print and no word, wherever it lies, from the top.

    There must be words, whose height shows that of the print.
    """
    import numpy as np

    height = word_height(words)
    ink = uncovered_ink(image, words, height)
    reach, rise, strips = round(height), round(0.4 * height), []
    bands = list(_bands(np.count_nonzero(ink, axis=1) > MIN_ROW_INK_HEIGHTS * height))
    for number, (top, bottom) in enumerate(bands):
        columns = np.flatnonzero(ink[top:bottom].any(axis=0))
        if LINE_HEIGHT_RANGE[0] * height <= bottom - top <= LINE_HEIGHT_RANGE[1] * height:
            above = bands[number - 1][1] if number else 0  # a dotted line near print is not read with it
            below = bands[number + 1][0] if number + 1 < len(bands) else image.height
            left, right = max(0, int(columns[0]) - reach), min(image.width, int(columns[-1]) + reach)
            strips.append((left, max(above, top - rise), right, min(below, bottom + rise)))
    return strips


def uncovered_ink(image: Image.Image, words: Sequence[Word], height: float) -> "NDArray[np.bool_]":
    """Returns the pixels of ink that no word covers, without ruling lines; `height` is that of a word."""
    ink = _without_words(ink_mask(image), words, height)
    return ink & ~(horizontal_line_pixels(ink, height) | horizontal_line_pixels(ink.T, height).T)


def uncovered_ink_share(image: Image.Image, words: Sequence[Word]) -> float:
    """Returns the share of the ink in the recognised lines that no word covers; 0 with too few words.

    If Tesseract cuts lines short, it loses their ends. Ruling lines do not count, nor ink above, below or beside the
    print.
    """
    import numpy as np

    if len(words) < MIN_WORDS:
        return 0.0
    words = [_at_half_size(word) for word in words]
    height = word_height(words)
    ink = ink_mask(image.reduce(2))
    ink &= ~(horizontal_line_pixels(ink, height) | horizontal_line_pixels(ink.T, height).T)
    rows = np.zeros(len(ink), dtype=bool)
    for word in words:
        rows[word.top : word.bottom] = True
    columns = slice(*_print_area(words, round(height)))
    bare = _without_words(ink, words, height)
    whole, left = (int(np.count_nonzero(one[rows, columns])) for one in (ink, bare))
    return left / max(whole, 1)


def _at_half_size(word: Word) -> Word:
    return replace(word, left=word.left // 2, top=word.top // 2, width=word.width // 2 + 1, height=word.height // 2 + 1)


def confident_new_lines(found: Sequence[Word], strip: Box, words: Sequence[Word]) -> list[Line]:
    """Returns the lines read in a strip, at their positions on the page, that are new and have high confidence."""
    return [line for line in new_lines(found, strip[:2], words) if _is_confident(line)]


def new_lines(found: Sequence[Word], corner: tuple[int, int], words: Sequence[Word]) -> list[Line]:
    """Returns the lines of words read in a strip, at their positions on the page, without words that are known.

    `corner` is the left upper corner of the strip.
    """
    moved = [replace(word, left=word.left + corner[0], top=word.top + corner[1]) for word in found]
    new = (
        [word for word in line if not any(is_same_place(word, other) for other in words)] for line in lines_of(moved)
    )
    return [line for line in new if line]


def with_lines(words: Sequence[Word], lines: Sequence[Line]) -> list[Word]:
    """Returns the words with each line inserted after the last one above it, in the same block and paragraph.

    A line that is a part of another one is joined to it.
    """
    grouped = lines_of(words)
    unused = min((word.line for word in words), default=0) - 1
    for number, line in zip(range(unused, unused - len(lines), -1), lines, strict=True):
        torn = next((place for place, other in enumerate(grouped) if _is_torn(other, line)), None)
        if torn is not None:
            grouped[torn] = _joined(grouped[torn], line)
            continue
        place = _insertion_index(grouped, line)
        neighbour = grouped[max(place - 1, 0)][0]
        grouped.insert(
            place, [replace(w, block=neighbour.block, paragraph=neighbour.paragraph, line=number) for w in line]
        )
    return [word for line in grouped for word in line]


def _without_words(ink: "NDArray[np.bool_]", words: Sequence[Word], height: float) -> "NDArray[np.bool_]":
    bare = ink.copy()
    around = round(height / 4)
    for word in words:
        bare[max(0, word.top - around) : word.bottom + around, max(0, word.left - around) : word.right + around] = False
    return bare


def _print_area(words: Sequence[Word], margin: int) -> tuple[int, int]:
    """Returns left and right edge of the print on the page, without a twentieth of its words at either side."""
    lefts, rights = sorted(word.left for word in words), sorted(word.right for word in words)
    few = len(words) // 20
    return max(0, lefts[few] - margin), rights[-1 - few] + margin


def _bands(on: "NDArray[np.bool_]") -> Iterator[tuple[int, int]]:
    """Yields for each run of rows that are True the first row, and the row after the last one."""
    edges = [0, *(row for row, (one, other) in enumerate(pairwise(on.tolist()), start=1) if one != other), len(on)]
    return ((top, bottom) for top, bottom in pairwise(edges) if bottom > top and on[top])


def is_same_place(one: Word, other: Word) -> bool:
    """Returns whether two words overlap and are level."""
    level = abs(one.middle - other.middle) < 0.6 * max(one.height, other.height)
    return level and overlap_across(one, other) > 0


def overlap_across(one: Word, other: Word) -> int:
    """Returns the number of columns of pixels in which both words lie; a negative value is the gap between them."""
    return min(one.right, other.right) - max(one.left, other.left)


def _is_confident(line: Line) -> bool:
    letters = sum(len(word.text) for word in line)
    return letters >= MIN_LETTERS and statistics.fmean(word.confidence for word in line) >= MIN_LINE_CONFIDENCE


def _is_torn(line: Line, part: Line) -> bool:
    """Returns whether a part of a line is level with another part, and its words stand between or next to its words."""
    letter = word_height([*line, *part])
    if abs(row_height(line) - row_height(part)) >= 0.5 * letter:
        return False
    nearest = max(overlap_across(word, other) for word in line for other in part)
    return -MAX_WORD_GAP * letter < nearest <= 0


def _joined(line: Line, part: Line) -> Line:
    first = line[0]
    placed = [replace(word, block=first.block, paragraph=first.paragraph, line=first.line) for word in part]
    return sorted([*line, *placed], key=lambda word: word.left)


def _insertion_index(grouped: Sequence[Line], line: Line) -> int:
    middle = statistics.median(word.middle for word in line)
    left, right = min(word.left for word in line), max(word.right for word in line)
    beside = [
        number
        for number, other in enumerate(grouped)
        if min(word.left for word in other) < right and left < max(word.right for word in other)
    ]
    above = [number for number in beside if statistics.median(word.middle for word in grouped[number]) < middle]
    if above:
        return max(above, key=lambda number: statistics.median(word.middle for word in grouped[number])) + 1
    return min(beside, default=len(grouped))
