"""Has a page of a PDF a text layer that says what stands on it, or must it be read from its image?

PDF alone, and page by page: one document mixes typed pages with scans. The figures that decide are collected by
`text_layer`, the decision is `Standing`'s, and neither draws anything.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import pypdfium2
from pypdfium2 import raw

from notaflow_pipeline.ocr.embedded_scan import SILENT_ANNOTATIONS, annotation_kinds

MOST_CHARACTERS = 50_000
"""A page with more is no page that anybody reads; it is drawn, which takes the same time whatever its text."""

MARGIN = 0.125
"""What stands within this share of an edge is a stamp, a header or a footer (the share that OCRmyPDF uses too)."""

SCAN_COVER = 0.5
"""A page of which images cover as much as this is a scan, as far as nothing else is known."""

STAMP_CHARACTERS = 200
"""A scan with fewer visible characters has been stamped, not typed on."""

FEWEST_CHARACTERS = 50
"""Fewer beside a picture or a drawing may be its caption: the rest could be text that only OCR sees."""

UNMAPPED_SHARE = 0.02
"""Fonts without a way back to Unicode give one character in fifty or more that nobody can name."""

PLAUSIBLE_SHARE = 0.7
"""Of a real page's words, more than this look like words or numbers; 0.95 and more do in typed French and English."""

PLAUSIBLE_PRIOR_SHARE = 0.9
"""The same for the invisible text of an earlier OCR, which ours should beat unless it is good."""

FUNCTION_WORD_SHARE = 0.2
"""An earlier OCR is believed only where so many of its words are the little ones that every sentence is full of.

In French and English prose they are two to three of five words, and an OCR that errs in one letter of five keeps half
of them. Tables have few, and are read again.
"""

WIDE_GAP = 1.5
"""A gap of so many line heights between two words of a line is one between columns, and stays visible."""

COLUMN_GAP = "   "

Box = tuple[float, float, float, float]
"""Left, bottom, right, top; in points, the y axis upward."""

INVISIBLE = raw.FPDF_TEXTRENDERMODE_INVISIBLE


class Standing(Enum):
    """What a page's text layer is worth."""

    ABSENT = "absent"
    REAL = "real"  # it is the page's text
    STAMP = "stamp"  # real, but the page is a scan that says more
    UNRELIABLE = "unreliable"  # visible, but not what it seems; the drawn page tells
    INVISIBLE = "invisible"  # an earlier OCR's, and not good enough


@dataclass(frozen=True)
class LayerWord:
    """A word of the layer; its box in points, the y axis upward."""

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    left: float
    bottom: float
    right: float
    top: float
    ends_line: bool = False


@dataclass(frozen=True)
class TextLayer:
    """A page's text and the figures by which it is judged.

    `unmapped` is the share of characters without a Unicode value, `invisible` of those drawn with no paint, `cover` the
    share of the page under images; `in_body` tells whether visible text stands away from the edges, and `drawings`
    whether there is anything to see besides text and images.
    """

    words: tuple[LayerWord, ...]
    characters: int = 0
    unmapped: float = 0.0
    invisible: float = 0.0
    cover: float = 0.0
    in_body: bool = False
    drawings: bool = False
    annotated: bool = False

    @property
    def text(self) -> str:
        """The words in the order of the page's content, line by line, with wide gaps kept wide."""
        return text_of_layer(self.words)

    @property
    def standing(self) -> Standing:
        """What the layer is worth; the rules of section 5.5 of our notes on OCR, with their limits above."""
        if not self.characters:
            return Standing.ABSENT
        if self.invisible > 0.5:
            return Standing.REAL if self._is_good_prior_ocr and not self.annotated else Standing.INVISIBLE
        if not self._mapped or self.plausible < PLAUSIBLE_SHARE:
            return Standing.UNRELIABLE
        if self.cover >= SCAN_COVER and (self.characters < STAMP_CHARACTERS or not self.in_body):
            return Standing.STAMP
        alone = not self.cover and not self.drawings
        if self.annotated or (self.characters < FEWEST_CHARACTERS and not alone):
            return Standing.UNRELIABLE
        return Standing.REAL

    @property
    def plausible(self) -> float:
        """The share of words that look like words of a language, or like numbers."""
        return plausible_share([word.text for word in self.words])

    @property
    def _is_good_prior_ocr(self) -> bool:
        words = [word.text.lower() for word in self.words if word.text.isalpha()]
        function_words = sum(word in FUNCTION_WORDS for word in words)
        return (
            self._mapped
            and self.characters >= STAMP_CHARACTERS
            and self.plausible >= PLAUSIBLE_PRIOR_SHARE
            and function_words >= FUNCTION_WORD_SHARE * len(words)
        )

    @property
    def _mapped(self) -> bool:
        return self.unmapped < UNMAPPED_SHARE


NO_LAYER = TextLayer(())


def text_layer(page: pypdfium2.PdfPage) -> TextLayer:
    """A page's text layer. Raises `pypdfium2.PdfiumError` if PDFium cannot extract it."""
    text_page = page.get_textpage()
    count = text_page.count_chars()
    if not 0 < count <= MOST_CHARACTERS:
        return NO_LAYER
    rotation = page.get_rotation()
    characters = [_Character(text_page, index, rotation) for index in range(count)]
    real = [one for one in characters if one.printed]
    if not real:
        return NO_LAYER
    left, bottom, right, top = _turned(page.get_bbox(), rotation)
    wide, high = MARGIN * (right - left), MARGIN * (top - bottom)
    cover, drawings = _surroundings(page, (right - left) * (top - bottom))
    return TextLayer(
        words=tuple(_words(characters)),
        characters=len(real),
        unmapped=sum(one.unmapped for one in real) / len(real),
        invisible=sum(one.invisible for one in real) / len(real),
        cover=cover,
        in_body=any(
            left + wide < (one.box[0] + one.box[2]) / 2 < right - wide
            and bottom + high < (one.box[1] + one.box[3]) / 2 < top - high
            for one in real
            if not one.invisible
        ),
        drawings=drawings,
        annotated=any(kind not in SILENT_ANNOTATIONS for kind in annotation_kinds(page)),
    )


def text_of_layer(words: Sequence[LayerWord]) -> str:
    """Words joined as they stand: a line break where the next one is on another line, more than a space across columns."""
    parts = []
    for word, following in zip(words, [*words[1:], None], strict=True):
        parts.append(word.text)
        if following is not None:
            parts.append(_between(word, following))
    return "".join(parts).strip()


def plausible_share(words: Sequence[str]) -> float:
    """The share of `words` that could be words or numbers, from 0 to 1.

    A font whose codes are shifted, or an OCR that saw nothing but dots, gives words without vowels, or with signs and
    digits in their midst. One or two letters prove little and count as half a word; signs alone count as nothing.
    """
    letters = [letter for word in words for letter in word if letter.isalpha()]
    vowels = sum(VOWEL.match(letter) is not None for letter in letters)
    if len(letters) >= LETTERS_THAT_TELL and vowels < LEAST_VOWELS * len(letters):
        return 0.0
    weights = [
        (1.0 if len(word) > 2 else 0.5, _is_plausible(word))
        for word in words
        if any(character.isalnum() for character in word)
    ]
    total = sum(weight for weight, _ in weights)
    return sum(weight for weight, plausible in weights if plausible) / total if total else 0.0


def _is_plausible(word: str) -> bool:
    if NUMBER.fullmatch(word):
        return True
    return WORD.fullmatch(word) is not None and (len(word) < 3 or "." in word or VOWEL.search(word) is not None)


def _between(word: LayerWord, following: LayerWord) -> str:
    height = max(word.top - word.bottom, following.top - following.bottom, 1.0)
    if word.ends_line or abs(word.bottom - following.bottom) > height / 2:
        far = word.bottom - following.top > height or following.bottom > word.top + height
        return "\n\n" if far else "\n"
    return COLUMN_GAP if following.left - word.right > WIDE_GAP * height else " "


class _Character:
    """One character of a text page, and what PDFium knows of it."""

    def __init__(self, page: pypdfium2.PdfTextPage, index: int, rotation: int) -> None:
        code = raw.FPDFText_GetUnicode(page, index)
        self.text = chr(code) if 0 < code < SURROGATES.start or SURROGATES.stop <= code < 0x110000 else ""
        self.unmapped = raw.FPDFText_HasUnicodeMapError(page, index) == 1 or not self.text or _is_private(code)
        self.printed = raw.FPDFText_IsGenerated(page, index) != 1 and not self.text.isspace()
        self.box = (0.0, 0.0, 0.0, 0.0)
        self.invisible = False
        if self.printed:
            self.box = _turned(page.get_charbox(index), rotation)
            thing = raw.FPDFText_GetTextObject(page, index)
            self.invisible = bool(thing) and raw.FPDFTextObj_GetTextRenderMode(thing) == INVISIBLE


def _words(characters: Sequence[_Character]) -> Iterator[LayerWord]:
    """Characters between white space, real or inserted by PDFium where it sees a gap."""
    word: list[_Character] = []
    for one in characters:
        if one.printed:
            word.append(one)
            continue
        if word and one.text.isspace():
            yield _word(word, ends_line=one.text in "\r\n")
            word = []
    if word:
        yield _word(word, ends_line=True)


def _word(characters: Sequence[_Character], *, ends_line: bool) -> LayerWord:
    return LayerWord(
        "".join(one.text for one in characters if not one.unmapped or not _is_private(ord(one.text or "\0"))),
        left=min(one.box[0] for one in characters),
        bottom=min(one.box[1] for one in characters),
        right=max(one.box[2] for one in characters),
        top=max(one.box[3] for one in characters),
        ends_line=ends_line,
    )


def _surroundings(page: pypdfium2.PdfPage, page_area: float) -> tuple[float, bool]:
    """How much of the page is under images, and whether anything is drawn on it besides."""
    covered, drawings = 0.0, False
    for thing in page.get_objects():
        if thing.type == raw.FPDF_PAGEOBJ_IMAGE:
            if thing.level:  # its bounds are the form's own; to be sure, it counts for the whole page
                covered = page_area
                continue
            left, bottom, right, top = thing.get_bounds()
            area = (right - left) * (top - bottom)
            covered += area if math.isfinite(area) else page_area
        elif thing.type in {raw.FPDF_PAGEOBJ_SHADING, raw.FPDF_PAGEOBJ_PATH}:
            drawings = True
    return min(1.0, covered / page_area) if page_area > 0 else 0.0, drawings


def _turned(box: Box, rotation: int) -> Box:
    """A box as it lies on the page when it is turned clockwise for display."""
    left, bottom, right, top = box
    match rotation % 360:
        case 90:
            return bottom, -right, top, -left
        case 180:
            return -right, -top, -left, -bottom
        case 270:
            return -top, left, -bottom, right
        case _:
            return box


def _is_private(code: int) -> bool:
    return 0xE000 <= code <= 0xF8FF or code == 0xFFFD or code < 0x20


SURROGATES = range(0xD800, 0xE000)

NUMBER = re.compile(
    r"[^\w]*(?:[A-Z]|[a-z]{1,3}[.°º])?[-–.]?\d[\d.,:;/\\°'’\"()\-–—$€£%+*#xX]*(?:[A-Z]|[a-zèéº]{1,4})?[^\w]*"
)
"""`3`, `770`, `75000,00$`, `2024-05-17`, `(1358-176)`, `12e`, `no.4`"""

WORD = re.compile(r"[^\w]*[^\W\d_]+(?:[-'’./&]{1,2}[^\W\d_]+)*[^\w]*")
"""Letters of any alphabet, joined by hyphens and apostrophes, between signs"""

LETTERS_THAT_TELL = 20

LEAST_VOWELS = 0.25
"""Two of five letters are vowels in French and English; with codes that are shifted by 29, as is common, one of seven."""

VOWEL = re.compile(r"[aeiouyàâäáæéèêëíîïóôöœúùûüÿ]", re.IGNORECASE)

FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a à au aux avec ce cette ces d dans de des du elle en est et il ils l la le les leur lui mais n ne nous on ou où
        par pas pour qu que qui sa se ses si son sont sur un une vous y
        an and are as at be by for from had has have he her his in is it its not of on or she that the their they this to
        was were which will with
        """,
    )
)
"""The most frequent words of French and English."""
