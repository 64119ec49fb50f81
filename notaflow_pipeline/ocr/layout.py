"""How do the words that Tesseract lists become the lines and paragraphs that somebody reads?

The reading of Tesseract's TSV (its columns are described in tessdoc, `Command-Line-Usage.md`, under "TSV"), and the
order and spacing of words on a page. What they say, and whether they are believed, belongs to `recognising`.
"""

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

WORD_LEVEL = "5"
COLUMNS = 12

RULE = "|"
"""What Tesseract makes of the vertical rules of a table; acts and indexes have no use for the character."""

GUTTER_BAND = (0.42, 0.58)
"""Where across a landscape page the fold between two pages of an open book lies."""

COLUMN_GAP = 2.5
"""Gaps between words of a row wider than so many heights of a letter separate columns, and are kept as spaces."""

WIDEST_GAP_SPACES = 12
"""More spaces than this between two columns carry nothing more to a reader."""

PARTED_DATE = re.compile(r"\W*\d{4}-(\d\d(-(\d\d)?)?)?\W*")
"""Tesseract takes hyphens for the ends of words now and then: `1948- 01-12`."""

LEAST_TABLE_ROWS = 3
"""As many rows in succession must stand in columns before a page's blocks are taken for the columns of a table."""


@dataclass(frozen=True)
class Word:
    """A recognised word, its confidence from 0 to 100, where it stands (pixels), and in which line of the layout."""

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    confidence: float
    block: int
    paragraph: int
    line: int
    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column of pixels after it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row of pixels below it."""
        return self.top + self.height

    @property
    def middle(self) -> float:
        """The height at which it stands."""
        return self.top + self.height / 2


Line = list[Word]


def words_of_tsv(tsv: str) -> Iterator[Word]:
    """The words in Tesseract's order; what is blank, has no confidence (-1) or is a rule between columns is no word."""
    for row in tsv.splitlines():
        cells = row.split("\t")
        if len(cells) < COLUMNS or cells[0] != WORD_LEVEL:
            continue
        confidence, text = float(cells[10]), cells[11].strip().strip(RULE)
        if text and confidence >= 0:
            block, paragraph, line, _, left, top, width, height = map(int, cells[2:10])
            yield Word(text, confidence, block, paragraph, line, left, top, width, height)


def text_of_words(words: Sequence[Word]) -> str:
    """What a person reads: words in lines, wide gaps between columns kept, a blank line between paragraphs."""
    return "\n\n".join("\n".join(map(_spaced, paragraph)) for paragraph in _paragraphs(words))


def ordered_words(words: Sequence[Word], page_width: int, page_height: int) -> list[Word]:
    """Words in the order in which a person reads them.

    Of an open book the left page comes before the right one; blocks that are the columns of one table are joined, so
    that its rows stay rows, and so are blocks whose lines alternate; what stands above all that follows comes first.
    Everything else stays as Tesseract has it.
    """
    fold = fold_of_double_page(words, page_width, page_height)
    if fold is None:
        return _of_one_page(words)
    left = [word for word in words if word.left + word.width / 2 < fold]
    right = [word for word in words if word.left + word.width / 2 >= fold]
    last = max((word.block for word in left), default=0)
    right = [replace(word, block=word.block + last) for word in right]
    return _of_one_page(left) + _of_one_page(right)


def fold_of_double_page(words: Sequence[Word], page_width: int, page_height: int) -> float | None:
    """Where two facing pages meet (pixels from the left): a strip in the middle of a landscape page without a word."""
    if page_width < 1.15 * page_height or len(words) < 2 * LEAST_TABLE_ROWS:
        return None
    low, high = (round(share * page_width) for share in GUTTER_BAND)
    edges = sorted(
        (max(word.left, low), min(word.right, high)) for word in words if word.right > low and word.left < high
    )
    covered, best = low, (0, 0)
    for start, end in [*edges, (high, high)]:
        if start - covered > best[1] - best[0]:
            best = (covered, start)
        covered = max(covered, end)
    letter = word_height(words)
    fold = (best[0] + best[1]) / 2
    sides = [sum(word.right <= fold for word in words), sum(word.left >= fold for word in words)]
    return fold if best[1] - best[0] >= 1.5 * letter and min(sides) >= 0.1 * len(words) else None


def word_height(words: Sequence[Word]) -> float:
    """How high the words of a page or a line are, in pixels: the median."""
    return statistics.median(word.height for word in words)


def _paragraphs(words: Sequence[Word]) -> Iterator[list[Line]]:
    for _, paragraph in groupby(words, lambda word: (word.block, word.paragraph)):
        yield [list(line) for _, line in groupby(paragraph, lambda word: word.line)]


def _spaced(line: Line) -> str:
    """The words of a line with a space between them, and several where a column ends: about as many as fit."""
    letter = word_height(line)
    spoken = [line[0].text]
    for one, other in pairwise(line):
        gap = other.left - one.right
        if gap < letter and spoken[-1].endswith("-") and PARTED_DATE.fullmatch(spoken[-1] + other.text):
            spoken[-1] += other.text
            continue
        wide = gap > COLUMN_GAP * letter
        spoken.append(" " * min(max(2, round(gap / max(letter, 1))), WIDEST_GAP_SPACES) if wide else " ")
        spoken.append(other.text)
    return "".join(spoken)


def _of_one_page(words: Sequence[Word]) -> list[Word]:
    return _from_the_top(_joined(_joined(words, _same_table), _same_column))


def _joined(words: Sequence[Word], belong_together: Callable[[Line, Line], bool]) -> list[Word]:
    """The words with blocks that belong together made one block, row by row."""
    blocks = {number: list(block) for number, block in groupby(words, lambda word: word.block)}
    joined: list[Word] = []
    while blocks:
        number, group = next(iter(blocks.items()))
        del blocks[number]
        others = [other for other, block in blocks.items() if belong_together(group, block)]
        while others:
            for other in others:
                group = [*group, *blocks.pop(other)]
            others = [other for other, block in blocks.items() if belong_together(group, block)]
        joined += _in_rows(group) if len({word.block for word in group}) > 1 else group
    return joined


def _from_the_top(words: Sequence[Word]) -> list[Word]:
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


def _same_column(one: Line, other: Line) -> bool:
    """Whether a layout that Tesseract did not understand has parted a column of text, or a line, into these blocks."""
    rows, others = _rows(one), _rows(other)
    letter = word_height([*one, *other])
    level = [(row, beside) for row in rows for beside in others if abs(_height(row) - _height(beside)) < 0.5 * letter]
    if level:
        return min(len(rows), len(others)) == 1 and any(abs(_overlap(*pair)) < WORD_GAP * letter for pair in level)
    alternate = _height(rows[0]) < _height(others[-1]) and _height(others[0]) < _height(rows[-1])
    return alternate and _overlap(one, other) > 0


WORD_GAP = 1.5
"""Heights of a letter: what stands nearer to the end of a line, and level with it, is its continuation."""


def _same_table(one: Line, other: Line) -> bool:
    """Whether two blocks lie side by side and are the columns of one table.

    At least `LEAST_TABLE_ROWS` rows must have words in both at the same height, and one must hold short cells: columns of
    running text, whose lines only happen to be level, are read one after the other.
    """
    if _overlap(one, other) > 0:
        return False
    rows, others = _rows(one), _rows(other)
    letter = word_height([*one, *other])
    level = sum(any(abs(_height(row) - _height(beside)) < 0.5 * letter for beside in others) for row in rows)
    fewer = min(len(rows), len(others))
    if level < LEAST_TABLE_ROWS or level < 0.6 * fewer:
        return False
    return min(_words_a_row(rows), _words_a_row(others)) <= WORDS_IN_A_CELL


WORDS_IN_A_CELL = 3.5
"""More words than this in a column's average row are running text, not the cells of a table."""


def _overlap(one: Line, other: Line) -> int:
    """How far two groups of words reach over each other sideways; negative is the gap between them."""
    return min(max(w.right for w in one), max(w.right for w in other)) - max(
        min(w.left for w in one), min(w.left for w in other)
    )


def _words_a_row(rows: list[Line]) -> float:
    return sum(map(len, rows)) / len(rows)


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
