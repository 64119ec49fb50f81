"""Rotates a page upright by reading parts of it."""

from contextlib import suppress
from dataclasses import replace

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.preprocessing.ink_measures import densest_rows_top
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage, rotated_by_quarter, unrotated, upside_down
from notaflow_pipeline.ocr.recognition.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.passes import PassResult
from notaflow_pipeline.ocr.recognition.words import has_vertical_lines

MAX_UPSIDE_DOWN_CONFIDENCE = 55.0
"""Text that stands on its head is read with a mean confidence of 31 to 40, upright text with 85 to 95."""

MIN_WORDS = 10
"""With fewer it cannot be seen from the pixels whether a page lies on its side."""

MIN_CONFIDENCE_OF_FEW_WORDS = 92.0
"""Three words that stood on their heads were read as something else with 87, upright with 96."""

MIN_GAIN = 15.0
"""By how much the confidence in a strip of the page must rise when it is turned before the whole page is read so."""

MIN_GAIN_OF_FEW_WORDS = 5.0

STRIP_SHARE = 0.08
"""Of a page's height: six lines of print, in which twenty of a language's commonest words stand."""


def read_strip(runner: PassRunner, prepared: PreprocessedPage) -> tuple[PreprocessedPage, list[Word]]:
    """The page the right way round, as far as its fullest strip shows that, and the words of the strip."""
    strip = _densest_strip(runner, prepared)
    if _is_surely_sideways(strip):
        prepared = _with_other_rotation(prepared)
        strip = _densest_strip(runner, prepared)
    if strip.prepared.quarter_turns != prepared.quarter_turns:
        prepared = upside_down(prepared)
    return prepared, strip.words


def is_better_unrotated(runner: PassRunner, prepared: PreprocessedPage) -> bool:
    """Whether the middle of a page that was turned by its look is not understood, but is as it lay.

    The columns of a table look like lines that run up and down; reading all of such a page takes twice as long as
    reading it the right way round.
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
    """What was found, or what is found once the words say that the page was turned wrongly, or stands on its head."""
    if _is_surely_sideways(found) or (found.prepared.quarter_turns and has_vertical_lines(found.words)):
        return _not_upside_down(runner, runner.run(_with_other_rotation(found.prepared)))
    found = _not_upside_down(runner, found)
    if found.prepared.quarter_turns % 2 and (runner.is_doubtful(found) or len(found.words) < MIN_WORDS):
        unturned = runner.better(found, unrotated(found.prepared))
        if unturned is not found and not has_vertical_lines(unturned.words):
            return _not_upside_down(runner, unturned)
    return found


def _densest_strip(runner: PassRunner, prepared: PreprocessedPage) -> PassResult:
    """What stands in the fullest strip, which tells language and kind of the page, and whether it stands on its head.

    It costs a tenth of a whole pass at most.
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
    """Whether lines were read that run up the page; a few words read off a frame or off noise say nothing."""
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
    """Whether a strip in the middle of the words is understood when it stands on its head, and not as it is.

    Each is a fifth of a whole pass. The page's own confidence says nothing where its layout was not understood.
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
