"""Scores a page's text against a transcription: character error rate and word F1.

Both texts are normalised to composed characters, plain quotes and dashes, separate letters of ligatures and single
spaces. The differences that remain are errors of the engine.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jiwer

from benchmarks.paths import page_images

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("’‘´`", "'"),
        **dict.fromkeys("“”„«»", '"'),
        **dict.fromkeys("—–", "-"),
        "œ": "oe",
        "Œ": "OE",
        "æ": "ae",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "…": "...",
    }
)
_FOOTER = re.compile(r"gallica|bnf\.fr|Biblioth.que nationale|nationale de [Ff]ran|D.partement des [Mm]an|NAF \d{5}")


def transcribed_pages(folder: Path) -> dict[Path, str]:
    """Returns the page images of a folder that have a transcription `NAME.gt.txt` beside them, in order."""
    pages = page_images(folder)
    beside = ((page, page.with_name(f"{page.stem}.gt.txt")) for page in pages)
    return {page: truth.read_text(encoding="utf-8") for page, truth in beside if truth.is_file()}


def character_error_rate(truth: str, found: str) -> float:
    """Returns edits per character of the transcription, at most 1."""
    truth, found = _normal(truth), _normal(found)
    if not found or not truth:
        return float(truth != found)
    return min(1.0, float(jiwer.cer(truth, found)))


def word_f1(truth: str, found: str) -> float:
    """Returns the harmonic mean of precision and recall over the words, in any order."""
    expected, got = Counter(_normal(truth).split()), Counter(_normal(found).split())
    return 2 * sum((expected & got).values()) / max(1, sum(expected.values()) + sum(got.values()))


def words_found(truth: str, found: str) -> float:
    """Returns the share of the transcription's words that were found, in any order."""
    expected, got = Counter(_normal(truth).split()), Counter(_normal(found).split())
    return sum((expected & got).values()) / max(1, sum(expected.values()))


def phrases_found(phrases: Sequence[str], text: str) -> float:
    """Returns the share of the phrases that were found, each as a whole; without phrases, whether nothing was found."""
    found = _normal(text)
    if not phrases:
        return float(not found)
    return sum(_normal(phrase) in found for phrase in phrases) / len(phrases)


def cells_found(cells: Counter[str], text: str) -> int:
    """Returns how many numbers, dates and amounts are found to the last character, each alone, not as a part of another."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return sum(min(count, _count(cell, lines)) for cell, count in cells.items())


def without_library_footer(text: str) -> str:
    """Returns the text without the line that libraries print under their scans and that transcriptions leave out."""
    return "\n".join(line for line in text.splitlines() if not _FOOTER.search(line))


def _count(cell: str, lines: list[str]) -> int:
    alone = re.compile(rf"(?<!\d)(?<!\d,){re.escape(cell)}(?!\d|,\d)")  # in a deed a comma may follow
    return sum(len(alone.findall(line)) for line in lines)


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).translate(_PLAIN).split())
