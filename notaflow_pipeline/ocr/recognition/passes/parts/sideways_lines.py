"""Reads doubtful sideways lines of an upright page again, upright and in both directions.

Tesseract expects sideways text to run in one direction. It also takes for sideways text what is none: a column of short
numbers, and the edge of a sheet on a faint page.
"""

import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import LOW_CONFIDENCE, Segmentation
from notaflow_pipeline.ocr.engines.words import Line, Word, edges_of, lines_of
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.recognition.passes.pass_result import GUESS_CONFIDENCE, PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.words.word_statistics import has_vertical_lines

MIN_SIDEWAYS_RATIO = 2.0
"""The minimum height of a sideways line, as a multiple of its width."""

MIN_CHARACTERS = 3
"""A narrow letter or a mark alone is as high as a sideways line."""

MARGIN_WIDTHS = 0.4
"""The paper around a line, in widths of the line."""

MAX_LINES = 20
"""The number of lines of a page that are read again. It bounds the cost of a hatched plan."""

UPRIGHT, UPWARDS, DOWNWARDS = None, Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_90


def with_sideways_lines_read_again(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns the result with each doubtful sideways line as it reads best, and without it if it does not read at all."""
    if not runner.policy.sideways_lines or has_vertical_lines(found.words):
        return found
    lines = lines_of(found.words)
    doubtful = [number for number, line in enumerate(lines) if _is_doubtful_and_sideways(line)]
    for number in doubtful[:MAX_LINES]:
        if not runner.is_short_of_time:
            lines[number] = _read_again(runner, found, lines[number])
    return replace(found, words=[word for line in lines for word in line]) if doubtful else found


def _is_doubtful_and_sideways(line: Line) -> bool:
    left, top, right, bottom = edges_of(line)
    is_sideways = bottom - top > MIN_SIDEWAYS_RATIO * (right - left) and _characters(line) >= MIN_CHARACTERS
    return is_sideways and _confidence(line) < LOW_CONFIDENCE


def _read_again(runner: PassRunner, found: PassResult, line: Line) -> Line:
    """Returns the words of a sideways line as they read best; nothing if all readings are guesses.

    In the best direction, edges of sheets have a confidence of 0 to 43, and sideways print has 62 to 93: on the corpus's
    pages and layouts, as they are and degraded.
    """
    left, top, right, bottom = edges_of(line)
    margin = round(MARGIN_WIDTHS * (right - left))
    image = found.prepared.image
    corner = max(0, left - margin), max(0, top - margin)
    strip = image.crop((*corner, min(image.width, right + margin), min(image.height, bottom + margin)))
    readings = [line]
    for direction in (UPRIGHT, UPWARDS, DOWNWARDS):
        part = replace(found.prepared, image=strip if direction is None else strip.transpose(direction))
        with suppress(DocumentFailure):
            again = runner.run(part, runner.languages.all, Segmentation.SINGLE_BLOCK).words
            readings.append([_placed(word, direction, strip, corner, line[0]) for word in again])
    if len(readings) == 1:
        return line  # the engine failed in all directions
    best = max((one for one in readings if _characters(one) >= MIN_CHARACTERS), key=_confidence)
    return best if _confidence(best) > GUESS_CONFIDENCE else []


def _placed(
    word: Word, direction: Image.Transpose | None, strip: Image.Image, corner: tuple[int, int], known: Word
) -> Word:
    """Returns a word of a turned strip at its position on the page, in a line of its own next to a known word's."""
    box = word.left, word.top, word.width, word.height
    if direction is UPWARDS:
        box = word.top, strip.height - word.right, word.height, word.width
    elif direction is DOWNWARDS:
        box = strip.width - word.bottom, word.left, word.height, word.width
    left, top, width, height = box
    return replace(
        word,
        block=known.block,
        paragraph=known.paragraph,
        line=known.line - word.line,
        left=corner[0] + left,
        top=corner[1] + top,
        width=width,
        height=height,
    )


def _characters(words: Sequence[Word]) -> int:
    return sum(len(word.text) for word in words)


def _confidence(words: Sequence[Word]) -> float:
    return statistics.fmean(word.confidence for word in words)
