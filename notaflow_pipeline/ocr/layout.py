"""How do the words that Tesseract lists become the lines and paragraphs that somebody reads?

Only the reading of Tesseract's TSV. Its columns are described in tessdoc, `Command-Line-Usage.md`, under "TSV".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

WORD_LEVEL = "5"
COLUMNS = 12


@dataclass(frozen=True)
class Word:
    """A recognised word, its confidence from 0 to 100, and the paragraph and line that it stands in."""

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    confidence: float
    paragraph: tuple[str, str]
    line: str


def words_of_tsv(tsv: str) -> Iterator[Word]:
    """The words in reading order; rows that are blank or have no confidence (-1) are no words."""
    for row in tsv.splitlines():
        cells = row.split("\t")
        if len(cells) < COLUMNS or cells[0] != WORD_LEVEL:
            continue
        _, _, block, paragraph, line, *_, confidence, text = cells
        if text.strip() and float(confidence) >= 0:
            yield Word(text.strip(), float(confidence), (block, paragraph), line)


def text_of_words(words: list[Word]) -> str:
    """Words of a line joined by a space, lines by a line break, and a blank line between paragraphs."""
    return "\n\n".join(
        "\n".join(" ".join(word.text for word in line) for _, line in groupby(paragraph, lambda word: word.line))
        for _, paragraph in groupby(words, lambda word: word.paragraph)
    )
