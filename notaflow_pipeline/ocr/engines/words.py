"""Recognised words, and how they become lines and paragraphs of text.

Tesseract's TSV is described in tessdoc, `Command-Line-Usage.md`, under "TSV".
"""

import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

WORD_LEVEL = "5"
COLUMNS = 12

RULE = "|"
"""What Tesseract makes of the vertical rules of a table; acts and indexes have no use for the character."""

MIN_COLUMN_GAP = 2.5
"""Gaps between words of a row wider than so many heights of a letter separate columns, and are kept as spaces."""

MAX_GAP_SPACES = 12
"""More spaces than this between two columns carry nothing more to a reader."""

SPLIT_DATE = re.compile(r"\W*\d{4}-(\d\d(-(\d\d)?)?)?\W*")
"""Tesseract takes hyphens for the ends of words now and then: `1948- 01-12`."""

SPLIT_AMOUNT = re.compile(r"\d{1,3},\d\d")
"""And typed commas: `000, 00`."""


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
    return "\n\n".join("\n".join(map(text_of_line, paragraph)) for paragraph in paragraphs(words))


def word_height(words: Sequence[Word]) -> float:
    """How high the words of a page or a line are, in pixels: the median."""
    return statistics.median(word.height for word in words)


def paragraphs(words: Sequence[Word]) -> Iterator[list[Line]]:
    """The lines of each paragraph."""
    for _, paragraph in groupby(words, lambda word: (word.block, word.paragraph)):
        yield [list(line) for _, line in groupby(paragraph, lambda word: word.line)]


def text_of_line(line: Line) -> str:
    """The words of a line with a space between them, and several where a column ends: about as many as fit."""
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
