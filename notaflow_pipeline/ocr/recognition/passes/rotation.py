"""Rotates a page upright by reading parts of it."""

from contextlib import suppress
from dataclasses import replace

from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.preprocessing.ink_measures import densest_rows_top
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage, rotated_by_quarter, unrotated, upside_down
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.words.word_statistics import has_vertical_lines

MAX_UPSIDE_DOWN_CONFIDENCE = 55.0
"""Upside-down text is read with a mean confidence of 31 to 40, upright text with 85 to 95."""

MIN_WORDS = 10
"""With fewer words, the pixels do not show whether a page is sideways."""

MIN_CONFIDENCE_OF_FEW_WORDS = 92.0
"""Three upside-down words were misread with a confidence of 87; upright they had 96."""

MIN_GAIN = 15.0
"""The minimum gain in confidence, in a turned strip of the page, before the whole page is read turned."""

MIN_GAIN_OF_FEW_WORDS = 5.0

STRIP_SHARE = 0.08
"""As a share of a page's height: six lines of print, with twenty of a language's most common words."""


def read_strip(runner: PassRunner, prepared: PreprocessedPage) -> PassResult:
    """Returns the words of the densest strip of the page, with the whole page in the orientation that they show."""
    strip = _densest_strip(runner, prepared)
    if _is_surely_sideways(strip):
        prepared = _with_other_rotation(prepared)
        strip = _densest_strip(runner, prepared)
    if strip.prepared.quarter_turns != prepared.quarter_turns:
        prepared = upside_down(prepared)
    return PassResult(strip.words, prepared)


def is_better_unrotated(runner: PassRunner, prepared: PreprocessedPage) -> bool:
    """Returns whether a page that was turned because of its pixels reads better in its original orientation.

    The middle of the page is read in both. The columns of a table look like vertical lines, and reading such a page sideways
    takes twice as long as reading it upright.
    """
    turned_strip, strip = (_middle_strip(one) for one in (prepared, unrotated(prepared)))
    with suppress(DocumentFailure):
        turned = runner.run(turned_strip)
        if has_vertical_lines(turned.words):
            return True
        if runner.is_doubtful(turned):
            unturned = runner.run(strip)
            clearly = unturned.confidence > turned.confidence + MIN_GAIN
            more = unturned.confidence > turned.confidence and unturned.score > 2 * max(turned.score, 0)
            return (clearly or more) and not has_vertical_lines(unturned.words)
    return False


def upright(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns the result, or that of a page turned again if the words show that it was sideways or upside down."""
    if _is_surely_sideways(found) or (found.prepared.quarter_turns and has_vertical_lines(found.words)):
        return _not_upside_down(runner, runner.run(_with_other_rotation(found.prepared)))
    found = _not_upside_down(runner, found)
    if found.prepared.quarter_turns % 2 and (runner.is_doubtful(found) or len(found.words) < MIN_WORDS):
        unturned = runner.better(found, unrotated(found.prepared))
        if unturned is not found and not has_vertical_lines(unturned.words):
            return _not_upside_down(runner, unturned)
    return found


def _densest_strip(runner: PassRunner, prepared: PreprocessedPage) -> PassResult:
    """Reads the densest strip, which shows the language and the kind of the page, and whether it is upside down.

    It costs at most a tenth of a whole pass.
    """
    height = round(STRIP_SHARE * prepared.image.height)
    top = densest_rows_top(prepared.image, height)
    strip = replace(prepared, image=prepared.image.crop((0, top, prepared.image.width, top + height)))
    found = PassResult([], strip)
    with suppress(DocumentFailure):
        found = runner.run(strip)
        if found.confidence < MAX_UPSIDE_DOWN_CONFIDENCE and len(found.words) >= MIN_WORDS:
            turned = runner.run(upside_down(strip))
            if turned.confidence > found.confidence + MIN_GAIN:
                return turned
    return found


def _is_surely_sideways(found: PassResult) -> bool:
    """Returns whether the lines that were read run vertically; a few words read on a frame or on noise do not count."""
    return (
        len(found.words) >= MIN_WORDS
        and found.confidence >= MAX_UPSIDE_DOWN_CONFIDENCE
        and has_vertical_lines(found.words)
    )


def _with_other_rotation(prepared: PreprocessedPage) -> PreprocessedPage:
    return unrotated(prepared) if prepared.quarter_turns % 2 else rotated_by_quarter(prepared)


def _middle_strip(prepared: PreprocessedPage) -> PreprocessedPage:
    image = prepared.image
    box = (0, round(0.4 * image.height), image.width, round(0.6 * image.height))
    return replace(prepared, image=image.crop(box))


def _not_upside_down(runner: PassRunner, found: PassResult) -> PassResult:
    if _can_be_upside_down(found) and _is_better_upside_down(runner, found):
        return runner.run(upside_down(found.prepared))
    return found


def _can_be_upside_down(one: PassResult) -> bool:
    few = len(one.words) < MIN_WORDS
    sure = MIN_CONFIDENCE_OF_FEW_WORDS if few else MAX_UPSIDE_DOWN_CONFIDENCE
    return bool(one.words) and one.confidence < sure


def _is_better_upside_down(runner: PassRunner, best: PassResult) -> bool:
    """Returns whether a strip in the middle of the words reads well upside down, and badly as it is.

    Each reading costs a fifth of a whole pass. The page's own confidence says nothing if its layout analysis failed.
    """
    image = best.prepared.image
    heights = sorted(word.middle for word in best.words)
    letter = max(word.height for word in best.words)
    centre, reach = heights[len(heights) // 2], max(image.height / 10, 3 * letter)
    top, bottom = round(max(0, centre - reach)), round(min(image.height, centre + reach))
    strip = replace(best.prepared, image=image.crop((0, top, image.width, bottom)))
    margin = MIN_GAIN_OF_FEW_WORDS if len(best.words) < MIN_WORDS else MIN_GAIN
    with suppress(DocumentFailure):
        turned = runner.run_or_as_column(upside_down(strip))
        if turned.confidence > best.confidence + margin:
            return turned.confidence > runner.run(strip).confidence + margin
    return False
