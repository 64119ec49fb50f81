"""Reads a page that is a table, where numbers matter most."""

from dataclasses import replace

from PIL import ImageFilter

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import word_height
from notaflow_pipeline.ocr.preprocessing.preprocess import (
    FINE_DPI,
    SMALL_PRINT_DPI,
    TARGET_DPI,
    PreprocessedPage,
    at_resolution,
    median_filtered,
    small_print_dpi,
    upscaled,
    with_ruling_removed,
)
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.words.word_statistics import MIN_TYPED_INCHES, character_inches, is_table

MIN_TABLE_COVERAGE = 0.9
"""The minimum coverage of a pass that can have missed rows."""

MIN_PRINT_CONFIDENCE = 90.0
"""For a table in small print that was read as print. Below it, the table can be typed, or grain can disturb the reading."""

MAX_GRAINY_CONFIDENCE = 70.0
"""A page of one bit with less is full of specks, which `with_finer_digits` removes."""

BLACK_AND_WHITE = (0, 255)

SOFT_EDGE_PIXELS = 0.5
"""The radius of the blur of a page of one bit; 0.4 and 0.6 read as many numbers."""

MIN_KEPT_WIDTH = 0.95
"""As a share of the pixels of a page: with fewer, a page of one bit was reduced, which makes its edges soft."""

MIN_FINER_SCORE = 0.9
"""As a share of the score of the table's first pass. Below it, the finer pass lost a part of the table."""


def read_table(
    runner: PassRunner, prepared: PreprocessedPage, strip: PassResult, *, has_small_digits: bool
) -> PassResult:
    """Reads a page of rows of cells, at the resolution and with the model that suit its print.

    `strip` are the words of a strip of the page, with the page at the resolution at which they were read.
    """
    inches = character_inches(strip.words, strip.prepared.dpi)
    if inches >= MIN_TYPED_INCHES:
        height = word_height(strip.words) * TARGET_DPI / (strip.prepared.dpi or TARGET_DPI)
        return _typed_table(runner, at_resolution(prepared, TARGET_DPI), height)
    if not has_small_digits:
        return runner.run_or_as_column(prepared)
    prepared = upscaled(prepared, small_print_dpi(prepared)) if (prepared.dpi or 0) < SMALL_PRINT_DPI else prepared
    typed = runner.languages.first
    runner.languages = runner.languages.as_print()
    found = runner.run_or_as_column(prepared)
    if MAX_GRAINY_CONFIDENCE <= found.confidence < MIN_PRINT_CONFIDENCE and (soft := _with_soft_edges(prepared)):
        found = runner.better(found, soft, runner.languages.all)
    is_print = inches < 0.9 * MIN_TYPED_INCHES or typed == runner.languages.first
    if found.confidence >= MIN_PRINT_CONFIDENCE or is_print:
        return found
    # characters of a form filled in by typewriter are as narrow as print
    return runner.better(found, prepared, typed)


def _with_soft_edges(prepared: PreprocessedPage) -> PreprocessedPage | None:
    """Returns a coarse page of one bit at its own resolution with soft edges; None for other pages.

    Enlarged, the stairs of its edges look like strokes. On drawn pages at 200 dpi in 6.5 and 8 points, and in 8 points in 60
    lines, 0.87, 1.00 and 0.99 of the numbers are exact with this pass, 0.60, 0.91 and 0.96 without it, 0.70, 0.91 and 0.94
    with the `tesseract` program (`benchmarks/tables.py`).
    """
    counts = prepared.source.histogram()
    page = at_resolution(prepared, FINE_DPI)
    if sum(map(bool, counts)) > len(BLACK_AND_WHITE) or page.image.width < prepared.source.width * MIN_KEPT_WIDTH:
        return None
    return replace(page, image=page.image.filter(ImageFilter.GaussianBlur(SOFT_EDGE_PIXELS)))


def with_finer_digits(runner: PassRunner, best: PassResult) -> PassResult:
    """Reads a table's print again at a resolution that separates its digits, with the model for print.

    Returns `best` if the new pass has clearly less, or if the page is no table or was read at that resolution. Typed digits
    that were read surely are wide enough.
    """
    if (best.prepared.dpi or 0) >= SMALL_PRINT_DPI or not is_table(best.words):
        return best
    if character_inches(best.words, best.prepared.dpi) >= MIN_TYPED_INCHES and not runner.is_doubtful(best):
        return best
    fine = upscaled(best.prepared, small_print_dpi(best.prepared))
    found = runner.better(PassResult([], fine), fine, runner.languages.print)
    if found.confidence < MIN_PRINT_CONFIDENCE and not runner.is_short_of_time:
        # a finer image has more grain, too
        found = runner.better(found, median_filtered(fine), runner.languages.print)
    if found.score <= MIN_FINER_SCORE * best.score:
        return best
    runner.languages = runner.languages.as_print()
    return found


def _typed_table(runner: PassRunner, prepared: PreprocessedPage, height: float) -> PassResult:
    """Reads a typed page of rows of cells; `height` is that of its words in pixels.

    A ruled table is read without its ruling lines: all numbers of drawn tables in 10 and 12 points are found this way, and
    0.77 to 1.00 of them with the lines.
    """
    unruled = with_ruling_removed(prepared, height) if runner.policy.ruling else None
    found = _by_lines_or_layout(runner, PassResult([], prepared), unruled or prepared)
    return _by_lines_or_layout(runner, found, prepared) if unruled and runner.is_doubtful(found) else found


def _by_lines_or_layout(runner: PassRunner, best: PassResult, prepared: PreprocessedPage) -> PassResult:
    """Reads the page line by line, or with layout analysis if that reading is incomplete; returns the best result.

    Layout analysis cuts such rows, and takes the single sign at their end for dirt: `65 000, 0e 6` instead of `65 000,00
    $`. Across the ruling lines of a table, the engine does not recognise lines of text. Line by line, of the numbers on seven
    drawn tables in 10 and 12 points 0.996 are exact with all languages, and 0.987 with the first.
    """
    found = runner.better(best, prepared, runner.languages.all, Segmentation.SINGLE_BLOCK)
    if not runner.is_doubtful(found) and found.coverage is not None and found.coverage >= MIN_TABLE_COVERAGE:
        return found
    return runner.better(found, prepared)
