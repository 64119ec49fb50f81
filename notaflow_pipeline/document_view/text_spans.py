"""Splits the text of a page into spans, and finds the word of an image that each span is."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from notaflow_pipeline.ocr.engines.interface import LOW_CONFIDENCE
from notaflow_pipeline.ocr.page_view import PlacedWord, ReadImage

MAX_AHEAD = 200
"""Characters within which the next word of an image is looked for in the text."""

CONTROL = re.compile("([\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])")
"""Invisible characters. Those that change the direction of text can make a number look like another one."""


@dataclass(frozen=True)
class TextSpan:
    """A part of a text; `word` names the word of an image that it is, such as `0-17`, None between words."""

    text: str = field(repr=False)
    word: str | None = None
    is_unsure: bool = False


def is_unsure(word: PlacedWord) -> bool:
    """Whether a recognised word has a low confidence."""
    return word.confidence is not None and word.confidence < LOW_CONFIDENCE


def text_spans(text: str, images: Sequence[ReadImage]) -> list[TextSpan]:
    """Return the text in spans. Joined they are the whole text. Words that the text has in another form are not marked."""
    parts = _blocks(text, images)
    taken = [(start, end) for _, start, end in parts]
    found: list[tuple[int, int, str, PlacedWord]] = []
    for number, start, end in parts:
        found += _words_in(text, number, images[number].words, start, end, [])
    in_one = {number for number, _, _ in parts}
    for number, image in enumerate(images):
        # typed lines may stand between those that were read, and parts between those of a text layer
        if image.used and number not in in_one:
            found += _words_in(text, number, image.words, 0, len(text), taken)
    return list(_cut(text, sorted(found, key=lambda one: one[0])))


def controls(text: str) -> list[tuple[str, str]]:
    """Return the text in parts, each with the code of an invisible character (`U+202E`), or "" for other text."""
    parts = [part for part in CONTROL.split(text) if part]
    return [(part, f"U+{ord(part):04X}" if CONTROL.fullmatch(part) else "") for part in parts]


def _blocks(text: str, images: Sequence[ReadImage]) -> list[tuple[int, int, int]]:
    """Return the number of each image with the start and end of its text; they do not overlap."""
    blocks: list[tuple[int, int, int]] = []
    for number, image in enumerate(images):
        block = unicodedata.normalize("NFC", image.text)
        if image.text_layer or not image.used or not block:
            continue
        start = text.find(block)
        while start >= 0 and (over := _end_of_overlap(start, start + len(block), blocks)):
            start = text.find(block, over)
        if start >= 0:
            blocks.append((number, start, start + len(block)))
    return blocks


def _end_of_overlap(start: int, end: int, blocks: Sequence[tuple[int, int, int]]) -> int:
    return max((last for _, first, last in blocks if first < end and start < last), default=0)


def _words_in(
    text: str, number: int, words: Sequence[PlacedWord], start: int, end: int, taken: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, str, PlacedWord]]:
    """Yield start, end and name of the words that are found in a part of the text, in their order."""
    at = start
    for index, word in enumerate(words):
        wanted = unicodedata.normalize("NFC", word.text)
        at = max((last for first, last in taken if first <= at < last), default=at)
        place = text.find(wanted, at, min(end, at + MAX_AHEAD + len(wanted)))
        for first, last in taken:
            if place >= 0 and first < place + len(wanted) and place < last:
                place = text.find(wanted, last, min(end, last + MAX_AHEAD + len(wanted)))
        if place >= 0 and wanted:
            at = place + len(wanted)
            yield place, at, f"{number}-{index}", word


def _cut(text: str, found: Sequence[tuple[int, int, str, PlacedWord]]) -> Iterator[TextSpan]:
    at = 0
    for start, end, name, word in found:
        if start < at:
            continue
        if at < start:
            yield TextSpan(text[at:start])
        yield TextSpan(text[start:end], name, is_unsure(word))
        at = end
    if at < len(text):
        yield TextSpan(text[at:])
