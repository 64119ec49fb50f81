"""Reads a doubtful page in other ways, until one of them is surely better."""

from collections.abc import Iterator

from notaflow_pipeline.ocr.engine import Segmentation
from notaflow_pipeline.ocr.layout import word_height
from notaflow_pipeline.ocr.preparing import Prepared, finer, smoother, unruled
from notaflow_pipeline.ocr.recognition.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.passes import Try


def best_of_all_ways(runner: PassRunner, first: Try) -> Try:
    """The best of the first pass and the other ways to look at a page."""
    best = first
    for prepared, segmentation in _others(first, ruling=runner.policy.ruling):
        best = runner.better(best, prepared, runner.languages.later, segmentation)
        if (best is not first and not runner.is_doubtful(best)) or runner.is_short_of_time:
            break
    return best


def _others(first: Try, *, ruling: bool) -> Iterator[tuple[Prepared, Segmentation]]:
    """Other ways to look at a page, the most promising first; `ruling` allows the one without a table's rules."""
    fine = finer(first.prepared)
    if first.prepared.steps.denoise:  # it was noisy, and what is left of that comes out again when it is made finer
        yield smoother(fine), Segmentation.SINGLE_COLUMN
    if ruling and first.words:
        height = word_height(first.words) * fine.image.width / first.prepared.image.width
        if table := unruled(fine, height):
            yield table, Segmentation.AUTOMATIC
    yield smoother(first.prepared), Segmentation.AUTOMATIC
    yield fine, Segmentation.SINGLE_COLUMN
