"""Reads a page that is a table, where numbers matter most."""

from dataclasses import replace

from PIL import ImageFilter

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import word_height
from notaflow_pipeline.ocr.preprocessing.preprocess import (
    FINE_DPI,
    TARGET_DPI,
    PreprocessedPage,
    at_resolution,
    median_filtered,
    small_print_dpi,
    source_dpi,
    upscaled,
    with_ruling_removed,
)
from notaflow_pipeline.ocr.recognition.passes.parts.unsure_words import (
    with_signs_of_the_typescript_model,
    with_unsure_numbers_read_again,
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

SOFT_EDGE_INCHES = 0.003
"""The radius of the blur of a page of one bit before it is scaled, which makes strokes of the stairs of its edges.

Of the numbers on drawn tables of one bit at 300 dpi 0.95 instead of 0.91 are exact in 6.5 point serif, and all instead of
0.93 in typescript of 8.4 points; radii of 0.0023 to 0.003 inches differ little (`benchmarks/tables.py`).
"""

MAX_COARSE_DPI = 225
"""Small print has strokes of one or two pixels in scans with less; if they have one bit, all languages read more of it."""

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
    return _small_print(runner, _with_separate_digits(prepared), inches)


def _small_print(runner: PassRunner, prepared: PreprocessedPage, inches: float) -> PassResult:
    """Reads the table with the model that suits its print, whose characters are so many inches wide."""
    typed = runner.languages.first
    runner.languages = runner.languages.as_print()
    found = runner.run_or_as_column(prepared)
    is_coarse = _is_one_bit(prepared) and source_dpi(prepared) < MAX_COARSE_DPI
    if is_coarse and MAX_GRAINY_CONFIDENCE <= found.confidence < MIN_PRINT_CONFIDENCE:
        return runner.better(found, prepared, runner.languages.all)
    is_print = inches < 0.9 * MIN_TYPED_INCHES or typed == runner.languages.first
    if found.confidence >= MIN_PRINT_CONFIDENCE or is_print:
        return with_unsure_numbers_read_again(runner, found)
    # characters of a form filled in by typewriter are as narrow as print
    return runner.better(found, prepared, typed)


def _with_separate_digits(prepared: PreprocessedPage) -> PreprocessedPage:
    """Returns the page at the resolution that separates the digits of small print, a page of one bit with soft edges."""
    dpi = _digit_dpi(prepared)
    if _is_one_bit(prepared):
        blur = ImageFilter.GaussianBlur(SOFT_EDGE_INCHES * source_dpi(prepared))
        soft = replace(prepared, source=prepared.source.filter(blur))
        return replace(upscaled(soft, dpi), source=prepared.source)
    return upscaled(prepared, dpi) if (prepared.dpi or 0) < dpi else prepared


def _digit_dpi(prepared: PreprocessedPage) -> int:
    """Returns the resolution that separates small digits: that of the scan within limits, which loses no pixel and invents
    none.
    """
    return max(FINE_DPI, min(small_print_dpi(prepared), round(source_dpi(prepared))))


def _is_one_bit(prepared: PreprocessedPage) -> bool:
    return sum(map(bool, prepared.source.histogram())) <= len(BLACK_AND_WHITE)


def with_finer_digits(runner: PassRunner, best: PassResult) -> PassResult:
    """Reads a table's print again at a resolution that separates its digits, with the model for print.

    Returns `best` if the new pass has clearly less, or if the page is no table or was read at that resolution. Typed digits
    that were read surely are wide enough.
    """
    if (best.prepared.dpi or 0) >= _digit_dpi(best.prepared) or not is_table(best.words):
        return best
    if character_inches(best.words, best.prepared.dpi) >= MIN_TYPED_INCHES and not runner.is_doubtful(best):
        return best
    fine = _with_separate_digits(best.prepared)
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
        return with_signs_of_the_typescript_model(runner, found)
    return runner.better(found, prepared)
