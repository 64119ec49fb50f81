"""Reads low-confidence words again, and keeps each word where its confidence is higher.

Lines of text are read again with both languages and blurred, so that the second pass does not repeat the errors of the
first. The numbers and signs of a table in small print are read again with both languages over the same layout, the signs
of a typed table with the model for typescript.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import Line, Word, lines_of, word_height
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.recognition.passes.alternative_passes import blurred
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner

MAX_UNSURE_CONFIDENCE = 80.0
"""Of 6,800 words on 34 of the 40 corpus pages, 585 have less."""

MIN_GAIN = 15.0
"""In confidence. Both languages together have 2 to 4 more for the same text."""

MIN_LETTERS = 4
"""The minimum length of a word that is read again; shorter ones are more often dirt."""

MAX_LINES = 4
"""The number of lines of a page that are read again, those with the lowest confidence. Reading twelve again costs
half as much as the page."""

MAX_UNSURE_NUMBER_CONFIDENCE, MAX_UNSURE_NUMBER_SHARE, MIN_NUMBER_GAIN = 90.0, 0.06, 2.0
"""With a larger share of unsure numbers, a table's small print is read again in all languages.

Tesseract's French model takes the comma of small digits for a point, its English one less often: on a double page at 200 dpi
0.97 of the numbers are exact this way, and 0.90 without (`benchmarks/tables.py`). Signs count as numbers: the French model
takes the dollar sign of small typescript for `#`.
"""

MIN_SIGN_GAIN = -10.0
"""A sign of the model for typescript counts although it is as much less sure than that of all languages."""

MARGIN_HEIGHTS = 0.25
"""The margin above and below a line, in heights of its words. Parts of other lines cost time."""

MIN_COMMON_WIDTH = 0.7
"""As a share of the wider of two words in the same place."""


def with_unsure_words_read_again(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns the result with the second reading of low-confidence words; a doubtful page is not changed."""
    languages = runner.languages
    if not runner.policy.unsure_words or languages.first == languages.all:
        return found
    if runner.is_doubtful(found):
        return found
    unsure = [line for line in lines_of(found.words) if any(map(_is_unsure, line))]
    better: dict[int, Word] = {}
    for line in sorted(unsure, key=lambda line: min(word.confidence for word in line if _is_unsure(word)))[:MAX_LINES]:
        if runner.is_short_of_time:
            break
        again = _read_again(runner, found, line)
        better |= {
            id(word): other for word in line if _is_unsure(word) and (other := _more_confident_word(word, again))
        }
    return _with_replaced(found, better)


def with_unsure_numbers_read_again(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns the result with the second reading of low-confidence numbers, if a table has many; a doubtful page is not
    changed.
    """
    languages = runner.languages
    if not runner.policy.unsure_words or languages.first == languages.all or runner.is_doubtful(found):
        return found
    numbers = [word for word in found.words if _is_number_or_sign(word)]
    unsure = [word for word in numbers if word.confidence < MAX_UNSURE_NUMBER_CONFIDENCE]
    if len(unsure) <= MAX_UNSURE_NUMBER_SHARE * len(numbers) or runner.is_short_of_time:
        return found
    with suppress(DocumentFailure):
        again = runner.run(found.prepared, languages.all).words
        read = ((word, _more_confident_word(word, again, MIN_NUMBER_GAIN)) for word in unsure)
        return _with_replaced(found, {id(word): one for word, one in read if one and _has_same_digits(word, one)})
    return found


def with_signs_of_the_typescript_model(runner: PassRunner, found: PassResult) -> PassResult:
    """Returns what all languages read line by line with the signs, such as the dollar sign, that the typescript model reads.

    On a drawn table in 10 points at 150 dpi (`benchmarks/table_pages.py`), Tesseract's English model takes two of the five
    dollar signs for cent signs, as surely as the model for typescript reads all of them. The engine keeps the lines that it
    has read with a model, so this costs little.
    """
    languages = runner.languages
    signs = [word for word in found.words if _is_sign(word)]
    if not signs or languages.first in (languages.all, languages.print) or runner.is_short_of_time:
        return found
    with suppress(DocumentFailure):
        again = runner.run(found.prepared, languages.first, Segmentation.SINGLE_BLOCK).words
        read = ((word, _more_confident_word(word, again, MIN_SIGN_GAIN)) for word in signs)
        return _with_replaced(found, {id(word): one for word, one in read if one and _is_sign(one)})
    return found


def _with_replaced(found: PassResult, better: dict[int, Word]) -> PassResult:
    """Returns the result with some of its words, which are given by their identity, replaced."""
    return replace(found, words=[better.get(id(word), word) for word in found.words]) if better else found


def _is_number_or_sign(word: Word) -> bool:
    return any(map(str.isdigit, word.text)) or _is_sign(word)


def _is_sign(word: Word) -> bool:
    """Returns whether a word has neither letters nor digits, such as the dollar sign of an amount."""
    return not any(map(str.isalnum, word.text))


def _has_same_digits(word: Word, other: Word) -> bool:
    """Returns whether a second reading has as many digits and no sign more, such as the ruling line beside a number."""
    one, two = (sum(map(str.isdigit, number.text)) for number in (word, other))
    return one == two and len(other.text) <= len(word.text)


def _is_unsure(word: Word) -> bool:
    """Returns whether a word without digits has low confidence; numbers are read better in the first pass."""
    letters = sum(map(str.isalpha, word.text))
    return word.confidence < MAX_UNSURE_CONFIDENCE and letters >= MIN_LETTERS and not any(map(str.isdigit, word.text))


def _read_again(runner: PassRunner, found: PassResult, line: Line) -> list[Word]:
    """Returns the words of a line, at their positions on the page."""
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


def _more_confident_word(word: Word, again: Sequence[Word], min_gain: float = MIN_GAIN) -> Word | None:
    """Returns the word of the second reading if it is one word in the same place with higher confidence."""
    same = [other for other in again if _is_same_place(word, other)]
    if len(same) != 1 or same[0].confidence < word.confidence + min_gain:
        return None
    return replace(word, text=same[0].text, confidence=same[0].confidence)


def _is_same_place(one: Word, other: Word) -> bool:
    common = min(one.right, other.right) - max(one.left, other.left)
    level = abs(one.middle - other.middle) < 0.5 * max(one.height, other.height)
    return level and common >= MIN_COMMON_WIDTH * max(one.width, other.width)
