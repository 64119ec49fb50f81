"""Generates the words of lines: running French text, and the numbers, dates, amounts and names of acts and indexes.

Typists' habits are part of it: a space before a full stop or an exclamation mark, rows of dots, capitals.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

Kind = TypeVar("Kind")

PLAIN = str.maketrans({"’": "'", "«": '"', "»": '"', "\N{NO-BREAK SPACE}": " ", "–": "-", "—": "-", "…": "..."})
MIN_PARAGRAPH = 60
MIN_LETTERS = 0.75
"""Of a paragraph's characters, or it is a command and no prose."""

MONTHS = "janvier,février,mars,avril,mai,juin,juillet,août,septembre,octobre,novembre,décembre".split(",")  # noqa: SIM905 - a list to read
NAMES = (  # noqa: SIM905 - likewise
    "Tremblay,Gagnon,Roy,Côté,Bouchard,Gauthier,Morin,Lavoie,Fortin,Gagné,Pelletier,Bélanger,Lévesque,Bergeron,Leblanc,"
    "Paquette,Girard,Simard,Boucher,Caron"
).split(",")
SHORT = ["M.", "Me", "no", "lot", "sis", "rue", "vente", "hypothèque", "quittance"]
MARKS = [".", ".", ".", ".", "..", "...", "....", ",", ";", ":", "-", "'", "!", "?"]


def paragraphs_of(folders: Sequence[Path]) -> list[str]:
    """The French paragraphs of the HTML pages in these folders."""
    pages = [page for folder in folders for page in sorted(folder.rglob("*.html"))]
    french = [page for page in pages if ".fr." in page.name or "fr-FR" in page.parts]
    found = [
        " ".join(html.unescape(re.sub(r"<[^>]+>", "", paragraph)).translate(PLAIN).split())
        for page in french
        for paragraph in re.findall(r"<p[^>]*>(.*?)</p>", page.read_text(encoding="utf-8", errors="ignore"), re.DOTALL)
    ]
    return [one for one in found if len(one) > MIN_PARAGRAPH and _letters(one) > MIN_LETTERS]


def _letters(text: str) -> float:
    return sum(map(str.isalpha, text)) / len(text)


class Wording:
    """Lines at random, of characters that the model knows."""

    def __init__(self, rng: np.random.Generator, paragraphs: Sequence[str], words: Sequence[str], known: set[str]):
        self._rng = rng
        self._paragraphs = paragraphs
        self._words = words
        self._known = known

    def line(self) -> str:
        """One line."""
        kind = self._rng.random()
        if kind < 0.6:
            line = self._prose(int(self._rng.integers(25, 75)))
        elif kind < 0.8:
            line = " ".join(self._word() for _ in range(self._rng.integers(3, 10)))
        else:
            line = self._entry()
        if self._happens(0.07):
            line = line.upper()
        if self._happens(0.25):
            line = re.sub(r" ?([!?;:.])(?= |$)", r" \1", line)
        if self._happens(0.3):
            line = self._with_marks(line)
        if self._happens(0.1):
            line = self._one_of(["- ", "( ", '"', "-- ", "* ", "a) ", "1. ", "IV - "]) + line
        return " ".join("".join(letter for letter in line if letter in self._known).split())

    def _prose(self, length: int) -> str:
        text = self._one_of(self._paragraphs)
        if len(text) <= length:
            return text
        start = text.rfind(" ", 0, int(self._rng.integers(len(text) - length)) + 1) + 1
        return text[start : start + length].rpartition(" ")[0]

    def _word(self) -> str:
        kind = self._rng.random()
        if kind < 0.75:
            return self._one_of(self._words)
        if kind < 0.85:
            name = self._one_of(NAMES)
            return name.upper() if self._happens(0.3) else name
        return self._one_of(SHORT) if kind < 0.9 else self._number()

    def _entry(self) -> str:
        """A cell or a row of an index."""
        parts = (self._number, self._number, lambda: self._one_of(NAMES), self._word)
        return " ".join(self._one_of(parts)() for _ in range(self._rng.integers(1, 7)))

    def _number(self) -> str:
        whole = self._rng.integers
        kinds = (
            lambda: f"{whole(1, 7)} {whole(1000):03d} {whole(1000):03d}",
            lambda: f"{whole(1850, 2026)}-{whole(1, 13):02d}-{whole(1, 29):02d}",
            lambda: f"{whole(1, 900)} {whole(1000):03d},{whole(100):02d} $",
            lambda: f"{whole(1, 1000)},{whole(100):02d} $",
            lambda: str(whole(1, 100_000)),
            lambda: f"{whole(1, 2000)}-{whole(1, 400)}",
            lambda: f"{whole(1, 32)} {self._one_of(MONTHS)} {whole(1890, 1995)}",
        )
        return str(self._one_of(kinds)())

    def _with_marks(self, line: str) -> str:
        words = line.split(" ")
        for _ in range(self._rng.integers(1, 4)):
            place = int(self._rng.integers(len(words)))
            space = " " if self._happens(0.4) else ""
            words[place] = words[place].rstrip(".,") + space + self._one_of(MARKS)
        return " ".join(words)

    def _one_of(self, choices: Sequence[Kind]) -> Kind:
        return choices[int(self._rng.integers(len(choices)))]

    def _happens(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)
