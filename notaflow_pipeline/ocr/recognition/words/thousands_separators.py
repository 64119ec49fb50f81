"""Restores the spaces between thousands in numbers that were read as one word, from the gaps between their digits.

A letter o that was read before groups of three digits becomes a zero.

At 150 dpi the engine often misses the narrow space of `10 118 204`, with every digit right. Of the numbers, dates and
amounts on the index page in print of 10 points 0.67 were exact without this step, and all with it
(`benchmarks/tables.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.input.images.grey_levels import ink_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMBER = re.compile(r"(?P<whole>\d{5,}|\d{4,}(?=,\d\d))(?P<rest>,\d\d)?\$?")
"""Four digits alone are a year."""

LEADING_GROUPS = re.compile(r"(?P<whole>\d{4,})")
LAST_GROUP = re.compile(r"\d{3}(,\d\d)?\$?")
"""`10972` and `817` are the parts of a number of which one space was missed."""

LEADING_GROUP_WITH_LETTER = re.compile(r"[1-9][0-9]?[oO]|[1-9][oO][0-9]")
"""A typed zero can be read as a letter: `1o 573 603`."""

MAX_SPACE = 1.4
"""As a share of a digit's height: the widest space within a number. A typed space has 1.25; columns have wider gaps."""

MIN_GAP = 0.36
"""As a share of a digit's height. A space has about half of it, the gap between two digits an eighth. Two narrow
digits 1 can have as much as a space: in typefaces with a narrow 1, `31131` becomes `31 131`."""

MIN_GAP_BEFORE_GROUP = 0.25
"""The same for digits before the last three of a number, which stand apart."""

MIN_GAP_RATIO = 1.25
"""The minimum ratio of the narrowest space to the widest other gap."""

MAX_WIDTH_DEVIATION = 0.6
"""As a share of a digit's width: the largest difference between the width of a group and that of its digits. The ink of
a 1 is half as wide."""


InkColumns = tuple[int, int]
"""The first and the last column of a group's ink, in pixels from the left edge of its word."""


def with_thousands_separated(image: Image.Image, words: Sequence[Word]) -> list[Word]:
    """Returns the words, with spaces in numbers whose ink has gaps after every third digit from the right."""

    words = _with_zeros(words)
    numbers = [_number(word, after) for word, after in zip_longest(words, words[1:])]
    if not any(numbers):
        return list(words)
    ink = ink_mask(image)
    return [_with_spaces(ink, word, *found) if found else word for word, found in zip(words, numbers, strict=True)]


def _with_zeros(words: Sequence[Word]) -> list[Word]:
    """Returns the words with zeros for letters before two groups of three digits; `1o 500` can be a first item."""
    following = zip_longest(words, words[1:], words[2:])
    return [
        replace(word, text=word.text.lower().replace("o", "0"))
        if LEADING_GROUP_WITH_LETTER.fullmatch(word.text)
        and after
        and last
        and _is_last_group(word, after)
        and _is_last_group(after, last)
        else word
        for word, after, last in following
    ]


def _number(word: Word, after: Word | None) -> tuple[str, float] | None:
    """Returns the digits of a number that can have spaces, and the minimum gap that is one; None for other words."""
    if after and LEADING_GROUPS.fullmatch(word.text) and _is_last_group(word, after):
        return word.text, MIN_GAP_BEFORE_GROUP
    found = NUMBER.fullmatch(word.text)
    return (found["whole"], MIN_GAP) if found else None


def _is_last_group(word: Word, after: Word) -> bool:
    near = 0 < after.left - word.right <= MAX_SPACE * word.height
    return word.layout_line == after.layout_line and near and LAST_GROUP.fullmatch(after.text) is not None


def _with_spaces(ink: "NDArray[np.bool_]", word: Word, whole: str, min_gap: float) -> Word:
    """Returns the word with the spaces that its ink has; `whole` are the digits before the comma."""
    import numpy as np

    tail = word.text[len(whole) :]
    groups = [whole[max(0, end - 3) : end] for end in range(len(whole), 0, -3)][::-1]
    columns = np.flatnonzero(ink[word.top : word.bottom, word.left : word.right].any(axis=0)).tolist()
    parts = [[*groups[:-1], groups[-1] + tail]]
    if tail.endswith("$"):
        parts.insert(0, [*groups[:-1], groups[-1] + tail[:-1], "$"])
    for spaced in parts:
        widths = _ink_groups(columns, len(spaced), min_gap * word.height)
        # the ink of the last group includes the signs after it
        known = list(zip(widths, groups, strict=False))[: len(groups) - bool(tail)]
        if widths and _has_even_widths(known):
            return replace(word, text=" ".join(spaced))
    return word


def _ink_groups(columns: Sequence[int], count: int, min_gap: float) -> list[InkColumns]:
    """Returns `count` groups of inked columns if the gaps between them are clearly wider than all others, else nothing."""
    gaps = sorted(((right - left - 1, left, right) for left, right in pairwise(columns)), reverse=True)
    spaces, others = gaps[: count - 1], gaps[count - 1 :]
    if len(spaces) < count - 1:
        return []
    narrowest, widest_other = spaces[-1][0], others[0][0] if others else 0
    if narrowest < max(min_gap, MIN_GAP_RATIO * widest_other):
        return []
    edges = [columns[0], *sorted(edge for _, left, right in spaces for edge in (left, right)), columns[-1]]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _has_even_widths(parts: Sequence[tuple[InkColumns, str]]) -> bool:
    """Returns whether each group is as wide as its digits are at the average width of all."""
    widths = [(right - left + 1, len(group)) for (left, right), group in parts]
    digit_width = sum(width for width, _ in widths) / sum(count for _, count in widths)
    return all(abs(width - count * digit_width) <= MAX_WIDTH_DEVIATION * digit_width for width, count in widths)
