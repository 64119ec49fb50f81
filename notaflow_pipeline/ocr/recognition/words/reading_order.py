"""Puts the words of a page in reading order: columns of text one after the other, tables in rows."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from notaflow_pipeline.ocr.engines.words import Line, Word, edges_of, word_height
from notaflow_pipeline.ocr.recognition.words.double_page import fold_of_double_page
from notaflow_pipeline.ocr.recognition.words.rows import (
    MAX_CELL_WORDS,
    MIN_TABLE_ROWS,
    row_height,
    rows_of,
    words_per_cell,
)


def ordered_words(words: Sequence[Word], page_width: int, page_height: int) -> list[Word]:
    """Returns the words in reading order.

    The left page of an open book comes before the right one. Blocks that are the columns of one table are joined, so that
    its rows stay rows, and so are blocks whose lines alternate, and blocks of one line that continue each other. A block
    that stands above all following blocks comes first. Everything else stays in Tesseract's order.
    """
    fold = fold_of_double_page(words, page_width, page_height)
    if fold is None:
        return _ordered_page(words)
    left = [word for word in words if word.left + word.width / 2 < fold]
    right = [word for word in words if word.left + word.width / 2 >= fold]
    last = max((word.block for word in left), default=0)
    right = [replace(word, block=word.block + last) for word in right]
    return _ordered_page(left) + _ordered_page(right)


def _ordered_page(words: Sequence[Word]) -> list[Word]:
    return _sorted_downwards(_lines_joined(_columns_joined(_tables_joined(words))))


def _lines_joined(words: Sequence[Word]) -> list[Word]:
    """Returns the words with following blocks of one line joined if each stands right of the one before, level with it.

    The layout analysis makes a block of each cell of a table's last row if the row is far enough from the others.
    """
    blocks = _blocks(words)
    groups: list[list[int]] = []
    for number, block in enumerate(blocks):
        if groups and _continues_line(blocks[groups[-1][-1]], block):
            groups[-1].append(number)
        else:
            groups.append([number])
    return _regrouped(blocks, groups)


def _continues_line(one: Line, other: Line) -> bool:
    """Returns whether two blocks are one line each, level with each other, and the second one is right of the first.

    The second one may be left of the first if the two are as near as sentences of a line.
    """
    gap = -_overlap(one, other)
    follows = one[0].left < other[0].left or gap < MAX_SENTENCE_GAP * word_height([*one, *other])
    return len(rows_of([*one, *other])) == 1 and gap >= 0 and follows


def _columns_joined(words: Sequence[Word]) -> list[Word]:
    """Returns the words with the blocks of one column of text joined to one block, row by row."""
    blocks = _blocks(words)
    edges = [row[0].left for block in blocks for row in rows_of(block)]
    return _regrouped(blocks, _groups(blocks, lambda one, other: _is_same_column(one, other, edges)))


def _tables_joined(words: Sequence[Word]) -> list[Word]:
    """Returns the words with the blocks that are the columns of one table joined to one block, row by row.

    If the layout analysis made a block of every few cells, the blocks of a column are joined first. Remaining blocks
    within a table are added to it.
    """
    blocks = _blocks(words)
    prose = [number for number, block in enumerate(blocks) if _is_prose(block)]
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
    rows, (left, _, right, _) = rows_of(block), edges_of(block)
    full = sum(row[-1].right - row[0].left >= MIN_FULL_LINE * (right - left) for row in rows)
    return (
        4 * full >= 3 * len(rows) >= 3 * MIN_TABLE_ROWS
        and words_per_cell(rows, word_height(block)) > MAX_LONG_CELL_WORDS
    )


MIN_FULL_LINE = 0.8
"""As a share of the width of a block: a line of running text, other than the last one of a paragraph, is longer."""


def _continues(column: Sequence[int], blocks: Sequence[Line], prose: Sequence[int]) -> bool:
    """Returns whether these blocks are a part of a column of prose: another block of prose with the same edges is next to
    them.

    A few rows of long words, such as the last ones of a paragraph, look like cells.
    """
    words = [word for number in column for word in blocks[number]]
    (left, top, right, bottom), letter = edges_of(words), word_height(words)
    for other in (edges_of(blocks[number]) for number in prose if number not in column):
        apart = max(other[1] - bottom, top - other[3])
        if max(abs(left - other[0]), abs(right - other[2])) < letter and apart < MAX_PARAGRAPH_GAP * letter:
            return True
    return False


MAX_PARAGRAPH_GAP = 2.0
"""In heights of a letter: the gap between two paragraphs of a column."""


def _is_below(column: Line, block: Line) -> bool:
    """Returns whether a block stands below a column of cells and is about as wide."""
    narrower, wider = sorted(max(w.right for w in side) - min(w.left for w in side) for side in (column, block))
    if _overlap(column, block) < MIN_COLUMN_OVERLAP * narrower or wider > MAX_COLUMN_WIDTH_RATIO * narrower:
        return False
    letter = word_height([*column, *block])
    if min(word.top for word in block) < max(word.bottom for word in column) - 0.5 * letter:
        return False
    return all(words_per_cell(rows_of(side), letter) <= MAX_LONG_CELL_WORDS for side in (column, block))


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
    heights = [row_height(row) for row in rows_of(words)]

    def belongs(block: Line) -> bool:
        rows = rows_of(block)
        if any(not top < word.middle < bottom for word in block) or words_per_cell(rows, letter) > MAX_LONG_CELL_WORDS:
            return False
        within = all(left <= word.left and word.right <= right for word in block)
        return within or all(any(abs(row_height(row) - one) < 0.5 * letter for one in heights) for row in rows)

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


def _is_same_column(one: Line, other: Line, edges: Sequence[int]) -> bool:
    """Returns whether a failed layout analysis has split a column of text, or a line, into these blocks.

    `edges` are the left edges of all rows of the page.
    """
    rows, others = rows_of(one), rows_of(other)
    heights, other_heights = list(map(row_height, rows)), list(map(row_height, others))
    letter = word_height([*one, *other])
    level = [
        (row, beside)
        for row, height in zip(rows, heights, strict=True)
        for beside, other_height in zip(others, other_heights, strict=True)
        if abs(height - other_height) < 0.5 * letter
    ]
    if level:
        fewer = min(len(rows), len(others))
        ends = [(rows[-1], others[0]), (rows[0], others[-1])]
        torn = fewer == 1 or (len(level) == 1 and (fewer <= MAX_TORN_ROWS or level[0] in ends))
        return torn and any(_is_one_line(*pair, letter, edges) for pair in level)
    alternate = heights[0] < other_heights[-1] and other_heights[0] < heights[-1]
    return alternate and _overlap(one, other) > 0


def _is_one_line(one: Line, other: Line, letter: float, edges: Sequence[int]) -> bool:
    """Returns whether two level rows are one line, the second of which may begin with a sentence.

    Where other rows begin too, it is a line of another column: the gap between columns can be as narrow.
    """
    if abs(_overlap(one, other)) < MAX_WORD_GAP * letter:
        return True
    start = max(one[0].left, other[0].left)
    begins_alone = sum(abs(start - edge) < 0.5 * letter for edge in edges) == 1
    return begins_alone and 0 < -_overlap(one, other) < MAX_SENTENCE_GAP * letter


MAX_WORD_GAP, MAX_SENTENCE_GAP = 1.5, 2.5
"""In heights of a letter: words nearer than this to the end of a line, and level with it, continue the line.

The two spaces after a sentence of typescript are 1.7 to 1.9; the columns of an article (`layout19`) are 2.25 apart.
"""

MAX_TORN_ROWS = 2
"""The number of rows of a block of which one continues a row of another block. Columns of text have more, but do not end
where the other one begins."""


def _is_same_table(one: Line, other: Line) -> bool:
    """Returns whether two blocks lie side by side and are the columns of one table.

    At least `MIN_TABLE_ROWS` rows must have words in both at the same height, and one must hold short cells. Columns of
    running text can have level lines too, but are read one after the other, and so are those of an index of names.
    """
    if _overlap(one, other) > 0:
        return False
    rows, others = rows_of(one), rows_of(other)
    heights, other_heights = list(map(row_height, rows)), list(map(row_height, others))
    letter = word_height([*one, *other])
    level = sum(any(abs(height - beside) < 0.5 * letter for beside in other_heights) for height in heights)
    fewer = min(len(rows), len(others))
    if level < MIN_TABLE_ROWS or level < 0.6 * fewer:
        return False
    if _is_alphabetical(rows) and _is_alphabetical(others):
        return False
    return min(words_per_cell(rows, letter), words_per_cell(others, letter)) <= MAX_CELL_WORDS


def _is_alphabetical(rows: Sequence[Line]) -> bool:
    """Returns whether the rows are the entries of an index, in the order of their first words."""
    entries = [unicodedata.normalize("NFD", row[0].text).casefold() for row in rows if row[0].text[0].isalpha()]
    in_order = sum(one <= other for one, other in pairwise(entries))
    enough = len(set(entries)) >= max(MIN_ENTRIES, MIN_DISTINCT_ENTRIES * len(rows))
    return enough and in_order >= MIN_ORDERED_ENTRIES * (len(entries) - 1)


MIN_ENTRIES, MIN_DISTINCT_ENTRIES, MIN_ORDERED_ENTRIES = 5, 0.3, 0.85
"""Of an index: the number of different first words, their share of the rows, and the share that follows in order."""


MAX_LONG_CELL_WORDS = 5.0
"""The limit for a long cell, such as the name of a company; a newspaper column has more words in a line."""


def _overlap(one: Line, other: Line) -> int:
    """Returns the horizontal overlap of two groups of words in pixels; a negative value is the gap between them."""
    return min(max(w.right for w in one), max(w.right for w in other)) - max(
        min(w.left for w in one), min(w.left for w in other)
    )


def _in_rows(words: Sequence[Word]) -> list[Word]:
    """Returns the words as one block of rows. What is one line for the engine keeps its order: a box can be too wide."""
    first, places = words[0], {id(word): place for place, word in enumerate(words)}
    rows = (
        row if len({(word.block, word.line) for word in row}) > 1 else sorted(row, key=lambda word: places[id(word)])
        for row in rows_of(words)
    )
    return [
        replace(word, block=first.block, paragraph=first.paragraph, line=number)
        for number, row in enumerate(rows, start=1)
        for word in row
    ]
