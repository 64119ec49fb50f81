"""Chooses between the words that two models read in the same unit, as Tesseract does."""

import math
import re
from collections.abc import Sequence

from notaflow_pipeline.ocr.engines.onnx.decoding.words import ReadWord

MIN_CERTAINTY = -2.5
CERTAINTY_PER_LETTER = -0.5
SMALL_WORD = 2
"""Of a sure word: `stopper_nondict_certainty_base`, `stopper_certainty_per_char` and `stopper_smallword_size` of
Tesseract's dict/dict.cpp.
"""

MAX_RATING_RATIO = 1.5
MAX_CERTAINTY_MARGIN = 5.5
"""By how much a word of the dictionary may be less sure than one that is none: `classify_max_rating_ratio` and
`classify_max_certainty_margin` (ccmain/tesseractclass.cpp).
"""

_LETTERS = re.compile(r"[^\W\d_]+")


def are_acceptable(words: Sequence[ReadWord]) -> bool:
    """Returns whether all of them are words with high certainty, so that no other language is tried
    (`Dict::AcceptableResult`).
    """
    return bool(words) and all(map(_is_acceptable, words))


def _is_acceptable(word: ReadWord) -> bool:
    if not word.is_word:
        return False
    runs = _LETTERS.findall(word.text)
    letters = "".join(runs)
    least = MIN_CERTAINTY
    if letters.isupper() or letters[1:].islower() or len(letters) == 1:
        least += CERTAINTY_PER_LETTER * max(0, min(map(len, runs)) - SMALL_WORD)
    return word.certainty > least


def better_words(best: Sequence[ReadWord], new: Sequence[ReadWord]) -> tuple[list[ReadWord], int]:
    """The better words of both, and how many more came from the new ones than from the old (`SelectBestWords`).

    Compared are the shortest runs of words that end at the same place.
    """
    chosen: list[ReadWord] = []
    gained = b = n = 0
    while b < len(best) or n < len(new):
        first_b, first_n = b, n
        b, n = _end_of_run(best, new, b, n)
        of_best, of_new = best[first_b : b + 1], new[first_n : n + 1]
        b, n = min(b + 1, len(best)), min(n + 1, len(new))
        if of_new and (not of_best or _is_better(of_new, of_best)):
            chosen += of_new
            gained += len(of_new)
        else:
            chosen += of_best
            gained -= len(of_best)
    return chosen, gained


def _end_of_run(best: Sequence[ReadWord], new: Sequence[ReadWord], b: int, n: int) -> tuple[int, int]:
    """The words behind which both have their gap (`SelectBestWords`, ccmain/control.cpp)."""
    while b < len(best) or n < len(new):
        (b_right, b_next), (n_right, n_next) = _gap(best, b), _gap(new, n)
        if max(b_right, n_right) < min(b_next, n_next):
            break
        if (b_right < n_right and b < len(best)) or n == len(new):
            b += 1
        else:
            n += 1
    return b, n


def _gap(words: Sequence[ReadWord], number: int) -> tuple[float, float]:
    """Returns the end of a word and the beginning of the next one."""
    right = words[number].ends[-1] if number < len(words) else -math.inf
    left = words[number + 1].begin if number + 1 < len(words) else math.inf
    return right, left


def _is_better(new: Sequence[ReadWord], best: Sequence[ReadWord]) -> bool:
    new_rating, best_rating = (sum(word.rating for word in words) for words in (new, best))
    new_certainty, best_certainty = (min(word.certainty for word in words) for words in (new, best))
    if new_certainty > best_certainty and new_rating < best_rating:
        return True
    return (
        all(word.is_word for word in new)
        and not all(word.is_word for word in best)
        and new_rating < best_rating * MAX_RATING_RATIO
        and new_certainty > best_certainty - MAX_CERTAINTY_MARGIN
    )
