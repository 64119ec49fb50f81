"""Puts the words of a page in the order in which a person reads them: columns of text one after the other, tables in rows."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from notaflow_pipeline.ocr.engines.words import Line, Word, word_height

FOLD_BAND = (0.42, 0.58)
"""Where across a landscape page the fold between two pages of an open book lies."""

MAX_NARROWER_RATIO = 0.6
"""Of another gap that runs down the whole page, and a gap in the middle of the page is not the fold."""

MIN_TABLE_ROWS = 3
"""As many rows in succession must stand in columns before a page's blocks are taken for the columns of a table."""


def ordered_words(words: Sequence[Word], page_width: int, page_height: int) -> list[Word]:
    """Words in the order in which a person reads them.

    Of an open book the left page comes before the right one; blocks that are the columns of one table are joined, so
    that its rows stay rows, and so are blocks whose lines alternate; what stands above all that follows comes first.
    Everything else stays as Tesseract has it.
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
    """Where two facing pages meet (pixels from the left): a strip in the middle of a landscape page without a word."""
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
        return None  # a gap between two columns of a table that has wider ones
    fold = (start + end) / 2
    sides = [sum(word.right <= fold for word in words), sum(word.left >= fold for word in words)]
    return fold if min(sides) >= 0.1 * len(words) else None


def _empty_strips(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """From where to where across the page no word stands, between the first and the last one."""
    reach: int | None = None
    for left, right in sorted((word.left, word.right) for word in words):
        if reach is not None and left > reach:
            yield reach, left
        reach = right if reach is None else max(reach, right)


def _ordered_page(words: Sequence[Word]) -> list[Word]:
    return _sorted_downwards(_columns_joined(_tables_joined(words)))


def _columns_joined(words: Sequence[Word]) -> list[Word]:
    """The words with blocks that are one column of text made one block, row by row."""
    blocks = _blocks(words)
    return _regrouped(blocks, _groups(blocks, _is_same_column))


def _tables_joined(words: Sequence[Word]) -> list[Word]:
    """The words with blocks that are the columns of one table made one block, row by row.

    Where the layout made a block of every few cells, those of a column are put together first. What lies within a table
    and was left over belongs to it.
    """
    blocks = _blocks(words)
    cell_columns = _cell_columns(blocks)
    columns = [[word for number in cell_column for word in blocks[number]] for cell_column in cell_columns]
    tables = [
        [number for column in group for number in cell_columns[column]]
        for group in _groups(columns, _is_same_table)
        if len(group) > 1
    ]
    return _regrouped(blocks, list(_completed_tables(tables, blocks)))


def _completed_tables(tables: Sequence[list[int]], blocks: Sequence[Line]) -> Iterator[list[int]]:
    """The numbers of the blocks of each table, the largest first, with the blocks that lie within it or in its rows.

    These may have been taken for a table of their own: figures of a column whose first row is one block.
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
    """The numbers of blocks that belong together; what was grouped is compared with the others as one block."""
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
    """All words, with each group of several blocks made one, in rows, where its first block is."""
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
    """The numbers of blocks that are cells of one column; a block goes to the column that ends nearest above it."""
    cell_columns: list[list[int]] = []
    for number, block in enumerate(blocks):
        above = [one for one in cell_columns if _is_below([w for n in one for w in blocks[n]], block)]
        if above:
            max(above, key=lambda one: max(w.bottom for n in one for w in blocks[n])).append(number)
        else:
            cell_columns.append([number])
    return cell_columns


def _is_below(column: Line, block: Line) -> bool:
    """Whether a block stands below a column of cells and is about as wide."""
    narrower, wider = sorted(max(w.right for w in side) - min(w.left for w in side) for side in (column, block))
    if _overlap(column, block) < MIN_COLUMN_OVERLAP * narrower or wider > MAX_COLUMN_WIDTH_RATIO * narrower:
        return False
    letter = word_height([*column, *block])
    if min(word.top for word in block) < max(word.bottom for word in column) - 0.5 * letter:
        return False
    return all(_words_per_cell(_rows(side), letter) <= MAX_LONG_CELL_WORDS for side in (column, block))


MIN_COLUMN_OVERLAP = 0.7
"""Of the narrower block's width."""

MAX_COLUMN_WIDTH_RATIO = 3.0
"""A cell is at most so many times as wide as another of its column; what is wider is a line of text above or below."""


def _blocks_of_table(table: Sequence[int], blocks: Sequence[Line], taken: set[int]) -> list[int]:
    """The numbers of the other blocks of short cells that lie within a table, or beside it in its rows."""
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
    """The words with each block moved up between those that lie wholly above it and those wholly below.

    Tesseract takes a narrow block at the left, such as the lot above its index, for a column of its own and reads it
    before the title. Blocks that have another beside them stay where they are, or columns of text would be mixed.
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
    """Whether a layout that Tesseract did not understand has parted a column of text, or a line, into these blocks."""
    rows, others = _rows(one), _rows(other)
    letter = word_height([*one, *other])
    level = [(row, beside) for row in rows for beside in others if abs(_height(row) - _height(beside)) < 0.5 * letter]
    if level:
        return min(len(rows), len(others)) == 1 and any(abs(_overlap(*pair)) < MAX_WORD_GAP * letter for pair in level)
    alternate = _height(rows[0]) < _height(others[-1]) and _height(others[0]) < _height(rows[-1])
    return alternate and _overlap(one, other) > 0


MAX_WORD_GAP = 1.5
"""Heights of a letter: what stands nearer to the end of a line, and level with it, is its continuation."""


def _is_same_table(one: Line, other: Line) -> bool:
    """Whether two blocks lie side by side and are the columns of one table.

    At least `MIN_TABLE_ROWS` rows must have words in both at the same height, and one must hold short cells: columns of
    running text, whose lines only happen to be level, are read one after the other.
    """
    if _overlap(one, other) > 0:
        return False
    rows, others = _rows(one), _rows(other)
    letter = word_height([*one, *other])
    level = sum(any(abs(_height(row) - _height(beside)) < 0.5 * letter for beside in others) for row in rows)
    fewer = min(len(rows), len(others))
    if level < MIN_TABLE_ROWS or level < 0.6 * fewer:
        return False
    return min(_words_per_cell(rows, letter), _words_per_cell(others, letter)) <= MAX_CELL_WORDS


MAX_CELL_WORDS = 3.5
"""More words than this in a block's average cell are running text, not the cells of a table."""

MAX_LONG_CELL_WORDS = 5.0
"""Such as the name of a company; a column of newspaper has more in a line."""

MIN_CELL_GAP = 1.5
"""Heights of a letter: what is further apart in a row is in two cells."""


def _overlap(one: Line, other: Line) -> int:
    """How far two groups of words reach over each other sideways; negative is the gap between them."""
    return min(max(w.right for w in one), max(w.right for w in other)) - max(
        min(w.left for w in one), min(w.left for w in other)
    )


def _words_per_cell(rows: list[Line], letter: float) -> float:
    gaps = sum(other.left - one.right > MIN_CELL_GAP * letter for row in rows for one, other in pairwise(row))
    return sum(map(len, rows)) / (len(rows) + gaps)


def _height(row: Line) -> float:
    return statistics.median(word.middle for word in row)


def _rows(words: Sequence[Word]) -> list[Line]:
    """Words by the height at which they stand, from the top, each row from the left."""
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
