"""Reads one page: plans it, reads it with a first pass, and with further passes where they improve the result.

The result is the best of the passes. The other modules of `recognition` hold the parts. `benchmarks/quality.py` prints
the cost and the gain of each decision of the policy.
"""

from dataclasses import replace

from PIL import Image

from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.engines.interface import NOTHING, Engine, Recognition, WordEngine, recognition_of
from notaflow_pipeline.ocr.preprocessing.ink_measures import splits_into_grain
from notaflow_pipeline.ocr.preprocessing.preprocess import (
    FINE_DPI,
    at_resolution,
    is_blank,
    unprocessed,
    unrotated,
)
from notaflow_pipeline.ocr.preprocessing.white_print import has_white_print
from notaflow_pipeline.ocr.recognition.page_plan import Plan, plan, plan_of_turned
from notaflow_pipeline.ocr.recognition.passes.alternative_passes import best_of_alternative_passes
from notaflow_pipeline.ocr.recognition.passes.parts.cut_off_words import with_cut_off_words
from notaflow_pipeline.ocr.recognition.passes.parts.filled_in_values import with_filled_in_values
from notaflow_pipeline.ocr.recognition.passes.parts.missed_lines import with_missed_lines
from notaflow_pipeline.ocr.recognition.passes.parts.number_rows import with_finer_rows
from notaflow_pipeline.ocr.recognition.passes.parts.sideways_lines import with_sideways_lines_read_again
from notaflow_pipeline.ocr.recognition.passes.parts.single_marks import with_single_marks
from notaflow_pipeline.ocr.recognition.passes.parts.unsure_words import with_unsure_words_read_again
from notaflow_pipeline.ocr.recognition.passes.pass_result import DEFAULT_POLICY, PassResult, Policy
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.passes.rotation import is_better_unrotated, read_strip, upright
from notaflow_pipeline.ocr.recognition.passes.tables import read_table, with_finer_digits
from notaflow_pipeline.ocr.recognition.words.language import is_in_other_language
from notaflow_pipeline.ocr.recognition.words.reading_order import ordered_words
from notaflow_pipeline.ocr.recognition.words.thousands_separators import with_thousands_separated
from notaflow_pipeline.ocr.recognition.words.word_positions import words_on_page
from notaflow_pipeline.ocr.recognition.words.word_statistics import (
    MIN_TYPED_INCHES,
    character_inches,
    digit_share,
    is_table,
)

MIN_CONFIDENCE = 25.0
"""Words read on a photograph or a texture have less; an empty text is better than these."""

MAX_CONFIDENCE_IN_WRONG_LANGUAGE = 95.0
"""A page with more confidence is not read again in the other language.

Our French model read a typed English deed with a confidence of 91, and an amount with a letter in it; with English added
it has 94 and is right. Blurred pages gain more: error rates of 0.064 and 0.029 where the confidence was 64.
"""

MAX_DIGIT_SHARE = 0.5
"""As a share of the letters and digits of a page: above it, the language matters little."""


def read_page(
    image: Image.Image,
    dpi: int | None,
    engine: Engine,
    timeout_seconds: float,
    policy: Policy = DEFAULT_POLICY,
) -> Recognition:
    """Reads a grey page image (mode `L`) that is upright by its tags.

    `dpi` is the resolution in the file; it may be wrong or absent. `timeout_seconds` are CPU seconds of this process.
    Engines that do not return the positions of words read the page without preprocessing. Raises `DocumentFailure` and
    `EngineUnavailable` like the engine.
    """
    if not isinstance(engine, WordEngine):
        return engine.recognise(image, dpi, timeout_seconds)
    if is_blank(image):
        return NOTHING
    planned = plan(image, dpi, policy.steps, policy.first_dpi)
    if planned is None:
        return NOTHING
    runner = PassRunner(engine, cpu_seconds() + timeout_seconds, policy)
    return _recognised(runner, image, dpi, planned)


def _recognised(runner: PassRunner, image: Image.Image, dpi: int | None, planned: Plan) -> Recognition:
    """Returns the best of the passes. If it is doubtful, one more pass reads the page without preprocessing.

    So does a page with white print on dark areas: the removal of the background takes such areas for ink, and neither
    confidence nor coverage shows the words that are lost.
    """
    found = _best_pass(runner, planned)
    is_unsure = runner.is_doubtful(found) or found.has_low_coverage or has_white_print(found.prepared.source)
    if runner.policy.plain_pass and is_unsure and not splits_into_grain(image):
        found = runner.better(found, unprocessed(image, dpi), runner.languages.plain)
    found = with_sideways_lines_read_again(runner, found)
    is_dropped = found.coverage is not None and found.confidence < MIN_CONFIDENCE
    return replace(_result(found, runner.passes), coverage=0.0 if is_dropped else found.coverage)


def _best_pass(runner: PassRunner, planned: Plan) -> PassResult:
    planned, strip = _oriented(runner, planned)
    found = _first_pass(runner, planned, strip)
    if planned.is_picture:
        return found
    found = with_single_marks(runner, found, planned.noise)
    found = upright(runner, found)
    if planned.has_small_digits:
        found = with_finer_digits(runner, found)
    if _can_be_in_another_language(runner, found):
        found = runner.better(found, found.prepared, runner.languages.all)
    if runner.is_doubtful(found):
        found = best_of_alternative_passes(runner, found)
    found = with_missed_lines(runner, with_finer_rows(runner, found))
    found = with_cut_off_words(runner, found)
    found = with_filled_in_values(runner, found)
    if is_table(strip.words) or is_table(found.words):
        return found  # read again cell by cell, its words get no better
    return with_unsure_words_read_again(runner, found)


def _oriented(runner: PassRunner, planned: Plan) -> tuple[Plan, PassResult]:
    """Returns the plan for the page in the orientation that a strip of it shows, and the words of the strip."""
    prepared = planned.prepared
    if prepared.quarter_turns and is_better_unrotated(runner, prepared):
        prepared = unrotated(prepared)
    strip = read_strip(runner, prepared) if runner.policy.strip else PassResult([], prepared)
    if (strip.prepared.quarter_turns - planned.prepared.quarter_turns) % 2:
        return plan_of_turned(planned, strip.prepared, runner.policy.first_dpi), strip
    return replace(planned, prepared=strip.prepared), strip


def _first_pass(runner: PassRunner, planned: Plan, strip: PassResult) -> PassResult:
    """Reads the whole page; the words of a strip of it show its language and its kind of print."""
    prepared = planned.prepared
    if not runner.policy.strip:
        return runner.run_or_as_column(prepared)
    if runner.languages.print != runner.languages.plain and is_in_other_language(strip.words, runner.languages.plain):
        runner.languages = runner.languages.with_all()
    if is_table(strip.words):
        return read_table(runner, prepared, strip, has_small_digits=planned.has_small_digits)
    if planned.is_reduced and character_inches(strip.words, strip.prepared.dpi) < MIN_TYPED_INCHES:
        prepared = at_resolution(prepared, FINE_DPI)
    return runner.run_or_as_column(prepared)


def _can_be_in_another_language(runner: PassRunner, found: PassResult) -> bool:
    languages = runner.languages
    return (
        languages.first not in (languages.all, languages.plain)
        and digit_share(found.words) <= MAX_DIGIT_SHARE
        and found.confidence < MAX_CONFIDENCE_IN_WRONG_LANGUAGE
        and is_in_other_language(found.words, languages.plain)
    )


def _result(best: PassResult, passes: int) -> Recognition:
    words = best.words if best.confidence >= MIN_CONFIDENCE else []
    image = best.prepared.image
    words = ordered_words(with_thousands_separated(image, words), *image.size)
    return replace(recognition_of(words, passes), placed=words_on_page(words, best.prepared), image=image)
