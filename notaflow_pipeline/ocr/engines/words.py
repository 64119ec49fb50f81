"""Recognised words, and their arrangement in lines and paragraphs of text.

Tesseract's TSV is described in tessdoc, `Command-Line-Usage.md`, under "TSV".
"""

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

WORD_LEVEL = "5"
COLUMNS = 12

RULE = "|"
"""Tesseract returns this for the vertical ruling lines of a table; acts and indexes do not use the character."""

MIN_COLUMN_GAP = 2.5
"""In heights of a letter: wider gaps between words of a row separate columns, and are kept as spaces."""

MAX_GAP_SPACES = 12
"""More spaces between two columns do not help a reader."""

SPLIT_DATE = re.compile(r"\W*\d{4}-(\d\d(-(\d\d)?)?)?\W*")
"""Tesseract sometimes ends a word at a hyphen: `1948- 01-12`."""

SPLIT_AMOUNT = re.compile(r"\d{1,3},\d\d")
"""Tesseract sometimes ends a word at a typed comma: `000, 00`."""


@dataclass(frozen=True)
class Word:
    """A recognised word: its confidence from 0 to 100, its position in pixels, and its line in the layout."""

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
    def layout_line(self) -> tuple[int, int, int]:
        """Identifies its line: block, paragraph and line in the layout."""
        return self.block, self.paragraph, self.line

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
        """The row of pixels of its vertical middle."""
        return self.top + self.height / 2


Line = list[Word]


def words_of_tsv(tsv: str) -> Iterator[Word]:
    """Yields the words in Tesseract's order, without blank ones, ones without confidence (-1) and ruling lines."""
    for row in tsv.splitlines():
        cells = row.split("\t")
        if len(cells) < COLUMNS or cells[0] != WORD_LEVEL:
            continue
        confidence, text = float(cells[10]), cells[11].strip().strip(RULE)
        if text and confidence >= 0:
            block, paragraph, line, _, left, top, width, height = map(int, cells[2:10])
            yield Word(text, confidence, block, paragraph, line, left, top, width, height)


def text_of_words(words: Sequence[Word]) -> str:
    """Returns the text: words in lines, wide gaps between columns kept, a blank line between paragraphs."""
    return "\n\n".join("\n".join(map(text_of_line, paragraph)) for paragraph in paragraphs(words))


def word_height(words: Sequence[Word]) -> float:
    """Returns the median height of words in pixels."""
    return statistics.median(word.height for word in words)


def edges_of(words: Sequence[Word]) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of words, in pixels."""
    lefts, tops, rights, bottoms = zip(*((w.left, w.top, w.right, w.bottom) for w in words), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def paragraphs(words: Sequence[Word]) -> Iterator[list[Line]]:
    """Yields the lines of each paragraph."""
    for _, paragraph in groupby(words, lambda word: (word.block, word.paragraph)):
        yield lines_of(paragraph)


def lines_of(words: Iterable[Word]) -> list[Line]:
    """Returns the words of each line; words of a line follow each other."""
    return [list(line) for _, line in groupby(words, lambda word: word.layout_line)]


def text_of_line(line: Line) -> str:
    """Returns the words of a line with a space between them, and at the end of a column about as many spaces as fit."""
    letter = word_height(line)
    parts = [line[0].text]
    for one, other in pairwise(line):
        gap = other.left - one.right
        joined = parts[-1] + other.text
        if gap < letter and (
            (parts[-1].endswith("-") and SPLIT_DATE.fullmatch(joined))
            or (parts[-1].endswith(",") and SPLIT_AMOUNT.fullmatch(joined))
        ):
            parts[-1] += other.text
            continue
        wide = gap > MIN_COLUMN_GAP * letter
        parts.append(" " * min(max(2, round(gap / max(letter, 1))), MAX_GAP_SPACES) if wide else " ")
        parts.append(other.text)
    return "".join(parts)
