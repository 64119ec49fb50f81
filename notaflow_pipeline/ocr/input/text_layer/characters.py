"""The characters of the text layer of a PDF page, with their positions on the displayed page.

PDFium returns characters in the order of the content stream and in page coordinates. This module converts the positions
to displayed points: x to the right, y downward, from the upper left corner of the displayed page.
"""

import ctypes
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pypdfium2
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.pdf.coordinates import Affine, display_affine

MAX_CHARACTERS = 200_000
"""Maximum number of characters of a text layer. A page with more is drawn and recognised. 25,000 characters fill a
page in print of 4.5 points."""

MAX_DOUBLE_SHIFT = 0.1
"""Maximum distance, as a share of the print height, of a glyph that is drawn twice. It is bold or shadowed print,
not a second letter."""

DOUBLE_CELL = 8.0
"""Side in points of the squares in which doubles are searched; it is more than a tenth of any print height."""

MAX_AXIS_DEGREES = 10
"""Maximum angle in degrees at which text counts as parallel to an axis."""

MAX_WIDTH_RATIO = 4.0
"""Maximum ratio of width to height of a letter. A glyph of a Type 3 font with a larger ratio is a picture of a word or of
a line; its code says nothing about its text."""

SOFT_HYPHEN = 0xAD

SURROGATES = range(0xD800, 0xE000)

SYMBOLS = range(0xF020, 0xF100)
"""Codes of the fonts Symbol and Wingdings. Alone they are bullets, boxes and arrows; inside a word they are unknown
characters."""

KNOWN_SYMBOLS = {0xF0B7: "•", 0xF0A7: "▪", 0xF0D8: "➢", 0xF0FC: "✓", 0xF06F: "□", 0xF0A8: "□", 0xF02D: "-"}

OTHER_WIDTHS = range(0xFF01, 0xFFEF)
"""Letters, digits and signs of full and half width. They are the same characters in another style."""

UNKNOWN = "\ufffd"

ADOBE_VARIANTS = {
    **{0xF730 + digit: str(digit) for digit in range(10)},
    **{0xF761 + letter: chr(ord("A") + letter) for letter in range(26)},
    **{code: chr(code - 0xF700 - 0x20) for code in range(0xF7E0, 0xF7FF)},
    0xF724: "$",
    0xF726: "&",
    0xF7A2: "¢",
}
"""Old-style figures and small capitals in the private codes of Adobe's glyph list."""


@dataclass(frozen=True)
class Character:
    """One printed character.

    The box is that of the ink, `x` and `y` are the start of the baseline, `size` is the print height; all in displayed
    points. `angle` is the direction of the text in degrees, clockwise on the displayed page. `follows` is the separator
    that PDFium puts before the character: nothing, a space or a line break. `unmapped` means that the character is
    unknown. `text_object` is the number of the text object, from 0; `index` is the position in the content; `font` is a
    number that is the same for all characters in one font.
    """

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    left: float
    top: float
    right: float
    bottom: float
    x: float
    y: float
    size: float
    angle: int
    follows: str
    unmapped: bool
    text_object: int
    index: int
    font: int = 0


def characters_of(page: pypdfium2.PdfPage) -> tuple[list[Character], list[object]] | None:
    """Returns the printed characters in content order, and the text objects that contain them.

    Returns None if there are more than `MAX_CHARACTERS`. Raises `pypdfium2.PdfiumError` if PDFium cannot extract the
    text.
    """
    text_page = page.get_textpage()
    count = text_page.count_chars()
    if count > MAX_CHARACTERS:
        return None
    objects = _TextObjects(display_affine(page))
    return list(_characters(text_page, count, objects)), objects.text_objects


class _TextObjects:
    """The text objects of a page: their numbers, directions, print heights and fonts, each read once."""

    def __init__(self, affine: Affine) -> None:
        self.affine = affine
        self.text_objects: list[object] = []
        self._known: dict[int, tuple[int, int, float, int]] = {}

    def known(self, text_page: pypdfium2.PdfTextPage, index: int) -> tuple[int, int, float, int]:
        """Returns number, angle, print height and font of the object that contains a character."""
        text_object = raw.FPDFText_GetTextObject(text_page, index)
        address = _address(text_object)
        if address not in self._known:
            font = _address(raw.FPDFTextObj_GetFont(text_object)) if address else 0
            self._known[address] = (len(self.text_objects), *self._direction(text_page, index), font)
            self.text_objects.append(text_object)
        return self._known[address]

    def _direction(self, text_page: pypdfium2.PdfTextPage, index: int) -> tuple[int, float]:
        matrix = raw.FS_MATRIX()
        size = raw.FPDFText_GetFontSize(text_page, index)
        if not raw.FPDFText_GetMatrix(text_page, index, matrix):
            return 0, abs(size)
        x = self.affine.a * matrix.a + self.affine.c * matrix.b
        y = self.affine.b * matrix.a + self.affine.d * matrix.b
        stretch = math.hypot(matrix.c, matrix.d)
        return _angle(x, y), abs(size) * stretch


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _angle(x: float, y: float) -> int:
    if not (math.isfinite(x) and math.isfinite(y)) or (x == 0 and y == 0):
        return 0
    degrees = round(math.degrees(math.atan2(y, x))) % 360
    axis = round(degrees / 90) * 90
    return axis % 360 if abs(degrees - axis) <= MAX_AXIS_DEGREES else degrees


def _characters(text_page: pypdfium2.PdfTextPage, count: int, objects: _TextObjects) -> Iterator[Character]:
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    x, y = ctypes.c_double(), ctypes.c_double()
    follows = "\n"
    for index in range(count):
        code = raw.FPDFText_GetUnicode(text_page, index)
        broken = (
            raw.FPDFText_IsHyphen(text_page, index) == 1
        )  # a hyphen at the end of a line, which PDFium reports with the code 2
        code = ord("-") if broken else code
        text = _text(code)
        if text.isspace() or raw.FPDFText_IsGenerated(text_page, index) == 1:
            follows = "\n" if "\n" in (follows, text) or text == "\r" else " "
            continue
        raw.FPDFText_GetCharBox(text_page, index, left, right, bottom, top)
        if code == SOFT_HYPHEN and right.value > left.value and top.value > bottom.value:
            text = "-"  # many fonts map their hyphen to this code
        if unicodedata.category(text or "a") == "Cf":  # joiners and marks of direction have no ink
            continue
        raw.FPDFText_GetCharOrigin(text_page, index, x, y)
        text_object, angle, size, font = objects.known(text_page, index)
        box = objects.affine.box(left.value, bottom.value, right.value, top.value)
        drawn_word = text.isalnum() and _is_wider_than_a_letter(box, angle)
        private = (is_private(code) and code not in ADOBE_VARIANTS) or drawn_word
        yield Character(
            UNKNOWN if drawn_word else text,
            *box,
            *objects.affine.point(x.value, y.value),
            size=size or max(box[2] - box[0], box[3] - box[1]),
            angle=angle,
            follows=follows,
            unmapped=private or raw.FPDFText_HasUnicodeMapError(text_page, index) == 1,
            text_object=text_object,
            index=index,
            font=font,
        )
        follows = "\n" if broken else ""


def _is_wider_than_a_letter(box: tuple[float, float, float, float], angle: int) -> bool:
    width, height = box[2] - box[0], box[3] - box[1]
    if angle in (90, 270):
        width, height = height, width
    return width > MAX_WIDTH_RATIO * height > 0


def _text(code: int) -> str:
    if code in ADOBE_VARIANTS:
        return ADOBE_VARIANTS[code]
    if code in SYMBOLS:
        return KNOWN_SYMBOLS.get(code, "•")
    if code in OTHER_WIDTHS:
        return unicodedata.normalize("NFKC", chr(code))
    return UNKNOWN if is_private(code) else chr(code)


def is_private(code: int) -> bool:
    """Whether a code does not identify a character."""
    private = 0xE000 <= code <= 0xF8FF or code >= 0xF0000
    return private or code in SURROGATES or code == 0xFFFD or (code < 0x20 and code not in (0x09, 0x0A, 0x0D))


def is_double(one: Character, other: Character) -> bool:
    """Whether two characters are one glyph that was drawn twice. Two characters of one object may be parts of a
    ligature."""
    reach = max(MAX_DOUBLE_SHIFT * one.size, 0.1)
    near = abs(other.x - one.x) <= reach and abs(other.y - one.y) <= reach
    return near and one.text == other.text and one.text_object != other.text_object


def without_doubles(characters: Sequence[Character]) -> Iterator[Character]:
    """Yields the characters without glyphs that are drawn a second time at almost the same place, numbered again."""
    seen: dict[tuple[int, int], list[Character]] = {}
    dropped, kept = "", -1
    for one in characters:
        column, row = int(one.x // DOUBLE_CELL), int(one.y // DOUBLE_CELL)
        around = (seen.get((column + dx, row + dy), ()) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
        if any(is_double(one, other) for others in around for other in others):
            dropped = "\n" if "\n" in (dropped, one.follows) else " "
            continue
        seen.setdefault((column, row), []).append(one)
        kept += 1
        yield replace(one, follows="\n" if "\n" in (dropped, one.follows) else one.follows or dropped, index=kept)
        dropped = ""
