"""Reads the lines of print that `missed_ink` finds."""

from contextlib import suppress
from dataclasses import replace

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import Line, Word, word_height
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.images.ruling_lines import without_horizontal_lines
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage
from notaflow_pipeline.ocr.recognition.passes.alternative_passes import best_of_alternative_passes
from notaflow_pipeline.ocr.recognition.passes.parts.missed_ink import (
    confident_new_lines,
    missed_ink_strips,
    uncovered_ink_share,
    with_lines,
)
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.words.word_statistics import is_table

MAX_UNCOVERED_SHARE = 0.025
"""As a share of the ink in a page's lines. If no word covers more than this, the page is read as one column.

With this pass, the first 20 corpus pages turned by -7, -3 and 3 degrees have error rates of 0.063 instead of 0.068, 0.064
and 0.064 (a loop over the versions of `benchmarks/quality.py`). The error rate of the 40 unturned pages does not change.
"""

MIN_LINES_OF_WRONG_LAYOUT = 3
"""With this number of missed lines, the layout analysis of the page failed, however high the confidence of the others is."""

MAX_ONE_LINE_HEIGHTS = 2.4
"""The height of a strip with one line and the paper around it, in heights of a word. If Tesseract finds no line in it, it is
read as one, whole."""

MAX_STRIPS = 12
"""The number of strips of a page that are read again. It bounds the cost of a page full of pencil or pictures."""


def with_missed_lines(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns the result with the lines that the layout analysis missed, and read as one column if it cut lines short."""
    return _with_cut_lines_completed(runner, _with_missed_lines(runner, found))


def _with_missed_lines(runner: PassRunner, found: PassResult) -> PassResult:
    lines = _missed_lines(runner, found)
    if len(lines) >= MIN_LINES_OF_WRONG_LAYOUT and not runner.is_doubtful(found):
        another = best_of_alternative_passes(runner, found)
        if another is not found:
            found, lines = another, _missed_lines(runner, another)
    return replace(found, words=with_lines(found.words, lines))


def _with_cut_lines_completed(runner: PassRunner, found: PassResult) -> PassResult:
    if not runner.policy.cut_lines or is_table(found.words):
        return found
    if uncovered_ink_share(found.prepared.image, found.words) <= MAX_UNCOVERED_SHARE:
        return found
    column = runner.better(found, found.prepared, segmentation=Segmentation.SINGLE_COLUMN)
    return found if column is found else _with_missed_lines(runner, column)


def _missed_lines(runner: PassRunner, found: PassResult) -> list[Line]:
    lines: list[Line] = []
    if not runner.policy.missed_lines:
        return lines
    image = found.prepared.image
    for strip in missed_ink_strips(image, found.words)[:MAX_STRIPS]:
        known = [*found.words, *(word for line in lines for word in line)]
        part = replace(found.prepared, image=image.crop(strip))
        new = confident_new_lines(_words_of_strip(runner, part, Segmentation.SINGLE_BLOCK), strip, known)
        if not new:
            new = confident_new_lines(_words_of_difficult_strip(runner, part, word_height(found.words)), strip, known)
        lines += new
    return lines


def _words_of_difficult_strip(runner: PassRunner, strip: PreprocessedPage, height: float) -> list[Word]:
    """Returns the words of a strip without its ruling lines, or of one line as a whole; `height` is that of a word."""
    unruled = without_horizontal_lines(strip.image, height)
    strip = replace(strip, image=unruled or strip.image)
    if strip.image.height < MAX_ONE_LINE_HEIGHTS * height:
        return _words_of_strip(runner, strip, Segmentation.RAW_LINE)
    return _words_of_strip(runner, strip, Segmentation.SINGLE_BLOCK) if unruled else []


def _words_of_strip(runner: PassRunner, strip: PreprocessedPage, segmentation: Segmentation) -> list[Word]:
    if not runner.is_short_of_time:
        with suppress(DocumentFailure):
            return runner.run(strip, segmentation=segmentation).words
    return []
