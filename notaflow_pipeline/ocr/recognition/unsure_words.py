"""Reads lines with low-confidence words again, and keeps each word where its confidence is higher.

The second pass uses both languages and blurred strokes, so that it does not repeat the errors of the first.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import Line, Word, word_height
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.recognition.alternative_passes import blurred
from notaflow_pipeline.ocr.recognition.pass_runner import PassRunner
from notaflow_pipeline.ocr.recognition.passes import PassResult
from notaflow_pipeline.ocr.recognition.words import is_table

MAX_UNSURE_CONFIDENCE = 80.0
"""Of 6,800 words on 34 of the 40 corpus pages 585 have less."""

MIN_GAIN = 15.0
"""In confidence; both languages together are surer by 2 to 4 of the same text."""

MIN_LETTERS = 4
"""Of a word that is worth another look; shorter ones are dirt more often."""

MAX_LINES = 4
"""Of a page that are looked at again, the least sure ones. Twelve cost half as much again as the page."""

MARGIN_HEIGHTS = 0.25
"""Above and below a line, in heights of its words; parts of other lines cost time."""

MIN_COMMON_WIDTH = 0.7
"""Of the wider of two words that stand in the same place."""


def with_unsure_words_read_again(runner: PassRunner, found: PassResult) -> PassResult:
    """What was found, with the second reading of its unsure words; a doubtful page and a table stay as they are."""
    languages = runner.languages
    if not runner.policy.unsure_words or languages.first == languages.all:
        return found
    if runner.is_doubtful(found) or is_table(found.words):
        return found
    lines = [list(line) for _, line in groupby(found.words, lambda word: (word.block, word.paragraph, word.line))]
    unsure = [line for line in lines if any(map(_is_unsure, line))]
    better: dict[int, Word] = {}
    for line in sorted(unsure, key=lambda line: min(word.confidence for word in line if _is_unsure(word)))[:MAX_LINES]:
        if runner.is_short_of_time:
            break
        again = _read_again(runner, found, line)
        better |= {
            id(word): other for word in line if _is_unsure(word) and (other := _more_confident_word(word, again))
        }
    return replace(found, words=[better.get(id(word), word) for word in found.words])


def _is_unsure(word: Word) -> bool:
    """Whether a word that is no number was little more than guessed; of numbers the first look at its own size knows more."""
    letters = sum(map(str.isalpha, word.text))
    return word.confidence < MAX_UNSURE_CONFIDENCE and letters >= MIN_LETTERS and not any(map(str.isdigit, word.text))


def _read_again(runner: PassRunner, found: PassResult, line: Line) -> list[Word]:
    """The words of a line, where they stand on the page."""
    image = found.prepared.image
    margin = round(MARGIN_HEIGHTS * word_height(line))
    left, top = max(0, min(w.left for w in line) - 4 * margin), max(0, min(w.top for w in line) - margin)
    right, bottom = max(w.right for w in line) + 4 * margin, max(w.bottom for w in line) + margin
    strip = image.crop((left, top, min(right, image.width), min(bottom, image.height)))
    with suppress(DocumentFailure):
        part = blurred(replace(found.prepared, image=strip))
        words = runner.run(part, runner.languages.all, Segmentation.SINGLE_BLOCK).words
        return [replace(word, left=word.left + left, top=word.top + top) for word in words]
    return []


def _more_confident_word(word: Word, again: Sequence[Word]) -> Word | None:
    """The word as it was read the second time, if that is one word in the same place, and surer."""
    same = [other for other in again if _is_same_place(word, other)]
    if len(same) != 1 or same[0].confidence < word.confidence + MIN_GAIN:
        return None
    return replace(word, text=same[0].text, confidence=same[0].confidence)


def _is_same_place(one: Word, other: Word) -> bool:
    common = min(one.right, other.right) - max(one.left, other.left)
    level = abs(one.middle - other.middle) < 0.5 * max(one.height, other.height)
    return level and common >= MIN_COMMON_WIDTH * max(one.width, other.width)
