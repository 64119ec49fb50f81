"""Reads a doubtful page with other preprocessing or segmentation, until a pass is clearly better."""

from collections.abc import Iterator
from dataclasses import replace

from PIL import ImageFilter

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import word_height
from notaflow_pipeline.ocr.preprocessing.preprocess import (
    TARGET_DPI,
    PreprocessedPage,
    median_filtered,
    upscaled,
    with_ruling_removed,
)
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner

BLUR_PIXELS = 0.8
"""At 150 dpi. The blur joins the broken strokes of faint typescript; a median filter removes more of them.

The four of the 40 corpus pages that are doubtful and faint have error rates of 0.201, 0.142, 0.118 and 0.161 with it, and
0.228, 0.142, 0.124 and 0.177 without. Their sum is also lower with blurs of 0.5, 0.7 and 1.0 pixels, and higher with 0.6.
"""


def best_of_alternative_passes(runner: PassRunner, first: PassResult) -> PassResult:
    """Returns the best of the first pass and the alternative passes."""
    best = first
    for prepared, segmentation in _alternatives(first, ruling=runner.policy.ruling):
        best = runner.better(best, prepared, runner.languages.later, segmentation)
        if (best is not first and _is_good(runner, best)) or runner.is_short_of_time:
            break
    return best


def _is_good(runner: PassRunner, found: PassResult) -> bool:
    """Returns whether no other pass is needed.

    Confidence does not suffice: a pass that missed half of a faint page had 80.3, and a later one read all of it with 79.
    """
    return not runner.is_doubtful(found) and not found.has_low_coverage


def _alternatives(first: PassResult, *, ruling: bool) -> Iterator[tuple[PreprocessedPage, Segmentation]]:
    """Yields preprocessing and segmentation of the alternative passes, the most promising first.

    `ruling` allows the pass without the ruling lines of a table and without grain: of 18 dates and numbers of an old index
    among the samples, 14 are read this way, and 7 without it (a test has the page).
    """
    fine = upscaled(first.prepared)
    if first.prepared.steps.denoise:  # upscaling makes the remaining noise visible again
        yield median_filtered(fine), Segmentation.SINGLE_COLUMN
    if ruling and first.words:
        height = word_height(first.words) * fine.image.width / first.prepared.image.width
        if table := with_ruling_removed(fine, height):
            yield median_filtered(table), Segmentation.AUTOMATIC
    yield blurred(first.prepared), Segmentation.AUTOMATIC
    yield median_filtered(first.prepared), Segmentation.AUTOMATIC
    yield fine, Segmentation.SINGLE_COLUMN


def blurred(prepared: PreprocessedPage) -> PreprocessedPage:
    """Returns the same page with its broken strokes joined."""
    radius = BLUR_PIXELS * (prepared.dpi or TARGET_DPI) / TARGET_DPI
    return replace(prepared, image=prepared.image.filter(ImageFilter.GaussianBlur(radius)))
