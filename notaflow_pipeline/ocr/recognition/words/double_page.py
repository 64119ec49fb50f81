"""Finds the fold between the two pages of an open book."""

from collections.abc import Iterator, Sequence

from notaflow_pipeline.ocr.engines.words import Line, Word, word_height
from notaflow_pipeline.ocr.recognition.words.rows import (
    MAX_CELL_WORDS,
    MIN_TABLE_ROWS,
    row_height,
    rows_of,
    words_per_cell,
)

FOLD_BAND = (0.42, 0.58)
"""As shares of the width of a landscape page: the fold between two pages of an open book lies within."""

MAX_NARROWER_RATIO = 0.6
"""A gap in the middle of the page that is narrower than this share of another gap is not the fold."""

MIN_WIDER_RATIO, MIN_LEVEL_SHARE = 1.5, 0.8
"""Of a wide table: a gap between its columns is at most this factor wider than another one, and this share of its rows is
level in both halves of the page."""


def fold_of_double_page(words: Sequence[Word], page_width: int, page_height: int) -> float | None:
    """Returns the position of the fold between two pages, in pixels from the left, or None.

    The fold is a strip without words in the middle of a landscape page.
    """
    if page_width < 1.15 * page_height or len(words) < 2 * MIN_TABLE_ROWS:
        return None
    low, high = (share * page_width for share in FOLD_BAND)
    letter = word_height(words)
    gaps = [gap for gap in _empty_strips(words) if gap[1] - gap[0] >= 1.5 * letter]
    centre = page_width / 2
    folds = [gap for gap in gaps if gap[0] < centre < gap[1] or low < (gap[0] + gap[1]) / 2 < high]
    if not folds:
        return None
    start, end = max(folds, key=lambda gap: gap[1] - gap[0])
    widest = max((gap[1] - gap[0] for gap in gaps if gap != (start, end)), default=0)
    if MAX_NARROWER_RATIO * widest > end - start:
        return None  # a gap between two columns of a table that has wider gaps
    fold = (start + end) / 2
    left, right = ([word for word in words if (word.right <= fold) is side] for side in (True, False))
    if min(len(left), len(right)) < 0.1 * len(words):
        return None
    return None if end - start < MIN_WIDER_RATIO * widest and _is_one_table(left, right) else fold


def _is_one_table(left: Line, right: Line) -> bool:
    """Returns whether the rows of a table run across the middle of a page: nearly all rows of each half are level."""
    letter, halves = word_height([*left, *right]), (rows_of(left), rows_of(right))
    heights, other_heights = ([row_height(row) for row in half] for half in halves)
    level = sum(any(abs(height - beside) < 0.5 * letter for beside in other_heights) for height in heights)
    few = max(words_per_cell(half, letter) for half in halves) <= MAX_CELL_WORDS
    return few and level >= MIN_LEVEL_SHARE * max(map(len, halves))


def _empty_strips(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Yields left and right edge of the vertical strips without words, between the first and the last word."""
    reach: int | None = None
    for left, right in sorted((word.left, word.right) for word in words):
        if reach is not None and left > reach:
            yield reach, left
        reach = right if reach is None else max(reach, right)
