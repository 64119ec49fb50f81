"""Puts the words of a page in reading order: columns of text one after the other, tables in rows."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from notaflow_pipeline.ocr.engines.words import Line, Word, word_height

FOLD_BAND = (0.42, 0.58)
"""As shares of the width of a landscape page: the fold between two pages of an open book lies within."""

MAX_NARROWER_RATIO = 0.6
"""A gap in the middle of the page that is narrower than this share of another gap is not the fold."""

MIN_TABLE_ROWS = 3
"""The number of rows that must stand in columns before the blocks of a page count as the columns of a table."""


def ordered_words(words: Sequence[Word], page_width: int, page_height: int) -> list[Word]:
    """Returns the words in reading order.

    The left page of an open book comes before the right one. Blocks that are the columns of one table are joined, so that
    its rows stay rows, and so are blocks whose lines alternate. A block that stands above all following blocks comes
    first. Everything else stays in Tesseract's order.
    """
    fold = fold_of_double_page(words, page_width, page_height)
    if fold is None:
        return _ordered_page(words)
    left = [word for word in words if word.left + word.width / 2 < fold]
    right = [word for word in words if word.left + word.width / 2 >= fold]
    last = max((word.block for word in left), default=0)
    right = [replace(word, block=word.block + last) for word in right]
    return _ordered_page(left) + _ordered_page(right)


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
    if any(MAX_NARROWER_RATIO * (other[1] - other[0]) > end - start for other in gaps):
        return None  # a gap between two columns of a table that has wider gaps
    fold = (start + end) / 2
    sides = [sum(word.right <= fold for word in words), sum(word.left >= fold for word in words)]
    return fold if min(sides) >= 0.1 * len(words) else None


def _empty_strips(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Yields left and right edge of the vertical strips without words, between the first and the last word."""
    reach: int | None = None
    for left, right in sorted((word.left, word.right) for word in words):
        if reach is not None and left > reach:
            yield reach, left
        reach = right if reach is None else max(reach, right)


def _ordered_page(words: Sequence[Word]) -> list[Word]:
    return _sorted_downwards(_columns_joined(_tables_joined(words)))


def _columns_joined(words: Sequence[Word]) -> list[Word]:
    """Returns the words with the blocks of one column of text joined to one block, row by row."""
    blocks = _blocks(words)
    return _regrouped(blocks, _groups(blocks, _is_same_column))


def _tables_joined(words: Sequence[Word]) -> list[Word]:
    """Returns the words with the blocks that are the columns of one table joined to one block, row by row.

    If the layout analysis made a block of every few cells, the blocks of a column are joined first. Remaining blocks
    within a table are added to it.
    """
    blocks = _blocks(words)
    prose = [block for block in blocks if _is_prose(block)]
    cell_columns = [one for one in _cell_columns(blocks) if not _continues(one, blocks, prose)]
    columns = [[word for number in cell_column for word in blocks[number]] for cell_column in cell_columns]
    tables = [
        [number for column in group for number in cell_columns[column]]
        for group in _groups(columns, _is_same_table)
        if len(group) > 1
    ]
    return _regrouped(blocks, list(_completed_tables(tables, blocks)))


def _completed_tables(tables: Sequence[list[int]], blocks: Sequence[Line]) -> Iterator[list[int]]:
    """Yields the block numbers of each table, the largest first, with the blocks that lie within it or in its rows.

    Such blocks can have been taken for a table of their own: numbers of a column whose first row is one block.
    """
    taken: set[int] = set()
    for table in sorted(tables, key=lambda table: -sum(len(blocks[number]) for number in table)):
        left = [number for number in table if number not in taken]
        if left:
            whole = left + _blocks_of_table(left, blocks, taken | set(left))
            taken.update(whole)
            yield whole


def _blocks(words: Sequence[Word]) -> list[Line]:
    return [list(block) for _, block in groupby(words, lambda word: word.block)]


def _groups(blocks: Sequence[Line], belong_together: Callable[[Line, Line], bool]) -> list[list[int]]:
    """Returns groups of the numbers of blocks that belong together; a group is compared with other blocks as one block."""
    left, groups = list(range(len(blocks))), []
    while left:
        group = [left.pop(0)]
        words = list(blocks[group[0]])
        while others := [number for number in left if belong_together(words, blocks[number])]:
            for number in others:
                left.remove(number)
                group.append(number)
                words += blocks[number]
        groups.append(group)
    return groups


def _regrouped(blocks: Sequence[Line], groups: Sequence[Sequence[int]]) -> list[Word]:
    """Returns all words, with each group of several blocks joined in rows at the place of its first block."""
    group_of = {number: group for group in groups if len(group) > 1 for number in group}
    ordered: list[Word] = []
    for number, block in enumerate(blocks):
        group = group_of.get(number)
        if group is None:
            ordered += block
        elif number == min(group):
            ordered += _in_rows([word for one in group for word in blocks[one]])
    return ordered


def _cell_columns(blocks: Sequence[Line]) -> list[list[int]]:
    """Returns the numbers of blocks that are cells of one column; a block is added to the column that ends nearest above
    it.
    """
    cell_columns: list[list[int]] = []
    for number, block in enumerate(blocks):
        above = [one for one in cell_columns if _is_below([w for n in one for w in blocks[n]], block)]
        if above:
            max(above, key=lambda one: max(w.bottom for n in one for w in blocks[n])).append(number)
        else:
            cell_columns.append([number])
    return cell_columns


def _is_prose(block: Line) -> bool:
    """Returns whether a block has lines of running text, three of four of which fill its width."""
    rows, (left, _, right, _) = _rows(block), _edges(block)
    full = sum(row[-1].right - row[0].left >= MIN_FULL_LINE * (right - left) for row in rows)
    return (
        4 * full >= 3 * len(rows) >= 3 * MIN_TABLE_ROWS
        and _words_per_cell(rows, word_height(block)) > MAX_LONG_CELL_WORDS
    )


MIN_FULL_LINE = 0.8
"""As a share of the width of a block: a line of running text, other than the last one of a paragraph, is longer."""


def _continues(column: Sequence[int], blocks: Sequence[Line], prose: Sequence[Line]) -> bool:
    """Returns whether these blocks are a part of a column of prose: prose with the same edges is next to them.

    A few rows of long words, such as the last ones of a paragraph, look like cells.
    """
    words = [word for number in column for word in blocks[number]]
    (left, top, right, bottom), letter = _edges(words), word_height(words)
    for other in map(_edges, prose):
        apart = max(other[1] - bottom, top - other[3])
        if max(abs(left - other[0]), abs(right - other[2])) < letter and apart < MAX_PARAGRAPH_GAP * letter:
            return True
    return False


MAX_PARAGRAPH_GAP = 2.0
"""In heights of a letter: the gap between two paragraphs of a column."""


def _edges(words: Line) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of words, in pixels."""
    lefts, tops, rights, bottoms = zip(*((w.left, w.top, w.right, w.bottom) for w in words), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _is_below(column: Line, block: Line) -> bool:
    """Returns whether a block stands below a column of cells and is about as wide."""
    narrower, wider = sorted(max(w.right for w in side) - min(w.left for w in side) for side in (column, block))
    if _overlap(column, block) < MIN_COLUMN_OVERLAP * narrower or wider > MAX_COLUMN_WIDTH_RATIO * narrower:
        return False
    letter = word_height([*column, *block])
    if min(word.top for word in block) < max(word.bottom for word in column) - 0.5 * letter:
        return False
    return all(_words_per_cell(_rows(side), letter) <= MAX_LONG_CELL_WORDS for side in (column, block))


MIN_COLUMN_OVERLAP = 0.7
"""As a share of the narrower block's width."""

MAX_COLUMN_WIDTH_RATIO = 3.0
"""The largest ratio of the widths of two cells of a column; a wider block is a line of text above or below."""


def _blocks_of_table(table: Sequence[int], blocks: Sequence[Line], taken: set[int]) -> list[int]:
    """Returns the numbers of the other blocks of short cells that lie within a table, or beside it in its rows."""
    words = [word for number in table for word in blocks[number]]
    left, right = min(word.left for word in words), max(word.right for word in words)
    top, bottom = min(word.top for word in words), max(word.bottom for word in words)
    letter = word_height(words)
    heights = [_height(row) for row in _rows(words)]

    def belongs(block: Line) -> bool:
        rows = _rows(block)
        if any(not top < word.middle < bottom for word in block) or _words_per_cell(rows, letter) > MAX_LONG_CELL_WORDS:
            return False
        within = all(left <= word.left and word.right <= right for word in block)
        return within or all(any(abs(_height(row) - one) < 0.5 * letter for one in heights) for row in rows)

    return [number for number, block in enumerate(blocks) if number not in taken and belongs(block)]


def _sorted_downwards(words: Sequence[Word]) -> list[Word]:
    """Returns the words with each block moved between the blocks that lie wholly above it and those wholly below.

    Tesseract takes a narrow block at the left, such as the lot above its index, for a separate column and reads it before
    the title. Blocks that have another block beside them are not moved, or columns of text would be mixed.
    """
    ordered: list[Line] = []
    for _, group in groupby(words, lambda word: word.block):
        block = list(group)
        top, bottom = min(word.middle for word in block), max(word.middle for word in block)
        above = sum(max(word.middle for word in other) < top for other in ordered)
        below = sum(min(word.middle for word in other) > bottom for other in ordered[above:])
        alone = above + below == len(ordered)
        ordered.insert(above if alone else len(ordered), block)
    return [word for block in ordered for word in block]


def _is_same_column(one: Line, other: Line) -> bool:
    """Returns whether a failed layout analysis has split a column of text, or a line, into these blocks."""
    rows, others = _rows(one), _rows(other)
    heights, other_heights = list(map(_height, rows)), list(map(_height, others))
    letter = word_height([*one, *other])
    level = [
        (row, beside)
        for row, height in zip(rows, heights, strict=True)
        for beside, other_height in zip(others, other_heights, strict=True)
        if abs(height - other_height) < 0.5 * letter
    ]
    if level:
        return min(len(rows), len(others)) == 1 and any(abs(_overlap(*pair)) < MAX_WORD_GAP * letter for pair in level)
    alternate = heights[0] < other_heights[-1] and other_heights[0] < heights[-1]
    return alternate and _overlap(one, other) > 0


MAX_WORD_GAP = 1.5
"""In heights of a letter: words nearer than this to the end of a line, and level with it, continue the line."""


def _is_same_table(one: Line, other: Line) -> bool:
    """Returns whether two blocks lie side by side and are the columns of one table.

    At least `MIN_TABLE_ROWS` rows must have words in both at the same height, and one must hold short cells. Columns of
    running text can have level lines too, but are read one after the other.
    """
    if _overlap(one, other) > 0:
        return False
    rows, others = _rows(one), _rows(other)
    heights, other_heights = list(map(_height, rows)), list(map(_height, others))
    letter = word_height([*one, *other])
    level = sum(any(abs(height - beside) < 0.5 * letter for beside in other_heights) for height in heights)
    fewer = min(len(rows), len(others))
    if level < MIN_TABLE_ROWS or level < 0.6 * fewer:
        return False
    return min(_words_per_cell(rows, letter), _words_per_cell(others, letter)) <= MAX_CELL_WORDS


MAX_CELL_WORDS = 3.5
"""A block with more words in its average cell is running text."""

MAX_LONG_CELL_WORDS = 5.0
"""The limit for a long cell, such as the name of a company; a newspaper column has more words in a line."""

MIN_CELL_GAP = 1.5
"""In heights of a letter: words with a wider gap in a row are in two cells."""


def _overlap(one: Line, other: Line) -> int:
    """Returns the horizontal overlap of two groups of words in pixels; a negative value is the gap between them."""
    return min(max(w.right for w in one), max(w.right for w in other)) - max(
        min(w.left for w in one), min(w.left for w in other)
    )


def _words_per_cell(rows: list[Line], letter: float) -> float:
    gaps = [_wide_gaps(row, letter) for row in rows]
    boundaries = sum(_is_boundary(gap, rows, gaps) for row_gaps in gaps for gap in row_gaps)
    return sum(map(len, rows)) / (len(rows) + boundaries)


def _wide_gaps(row: Line, letter: float) -> list[tuple[int, int]]:
    gaps = ((one.right, other.left) for one, other in pairwise(row))
    return [(start, end) for start, end in gaps if end - start > MIN_CELL_GAP * letter]


def _is_boundary(gap: tuple[int, int], rows: list[Line], gaps: list[list[tuple[int, int]]]) -> bool:
    """Returns whether a gap is the boundary of two cells: most rows across it have a wide gap at one place in it.

    The gaps of justified print can be as wide, but lie at other places in each row.
    """
    start, end = gap
    across = [row_gaps for row, row_gaps in zip(rows, gaps, strict=True) if row[0].left < start and end < row[-1].right]
    beside = [one for row_gaps in across for one in row_gaps if one[0] < end and start < one[1]]
    level = max(sum(other[0] <= max(start, one[0]) < other[1] for other in beside) for one in beside)
    return 2 * level > len(across) and level >= min(MIN_TABLE_ROWS, len(across))


def _height(row: Line) -> float:
    return statistics.median(word.middle for word in row)


def _rows(words: Sequence[Word]) -> list[Line]:
    """Returns the rows of words at the same height, from the top, each from the left."""
    letter = word_height(words)
    rows: list[Line] = []
    for word in sorted(words, key=lambda word: word.middle):
        if rows and word.middle - _height(rows[-1]) < 0.6 * letter:
            rows[-1].append(word)
        else:
            rows.append([word])
    return [sorted(row, key=lambda word: word.left) for row in rows]


def _in_rows(words: Sequence[Word]) -> list[Word]:
    first = words[0]
    return [
        replace(word, block=first.block, paragraph=first.paragraph, line=number)
        for number, row in enumerate(_rows(words), start=1)
        for word in row
    ]
