"""Text, lines and stamps of a page, in points from its top left corner, and the fonts."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from PIL import ImageFont

# name -> (file, Debian package)
FONTS = {
    "sans": ("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf", "fonts-liberation"),
    "sans-bold": ("/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf", "fonts-liberation"),
    "serif": ("/usr/share/fonts/truetype/liberation/LiberationSerif-Regular.ttf", "fonts-liberation"),
    "serif-bold": ("/usr/share/fonts/truetype/liberation/LiberationSerif-Bold.ttf", "fonts-liberation"),
    "didot": ("/usr/share/fonts/opentype/didot/GFSDidot.otf", "fonts-gfs-didot"),
    "didot-bold": ("/usr/share/fonts/opentype/didot/GFSDidotBold.otf", "fonts-gfs-didot"),
    "typed": ("/usr/share/fonts/opentype/courier-prime/Courier Prime.otf", "fonts-courier-prime"),
    "typed-old": ("/usr/share/fonts/truetype/gnutypewriter/GNUTypewriter.ttf", "fonts-gnutypewriter"),
    "script": ("/usr/share/fonts/opentype/dancingscript/DancingScript-Regular.otf", "fonts-dancingscript"),
    "school": ("/usr/share/fonts/truetype/ecolier-court/Ecolier-court.ttf", "fonts-ecolier-court"),
    "pen": ("/usr/share/fonts/truetype/kristi/Kristi.ttf", "fonts-kristi"),
}
PDF_FONTS = {"sans": "Helvetica", "sans-bold": "Helvetica-Bold"}  # the same widths as Liberation Sans

LETTER = (612.0, 792.0)
LEGAL = (612.0, 1008.0)
TABLOID = (1224.0, 792.0)
Size = tuple[float, float]


class Text(NamedTuple):
    """A run of characters; `baseline` is its y, `ink` runs from 0 (black) to 255 (paper)."""

    x: float
    baseline: float
    size: float
    font: str
    text: str
    ink: int = 0


class Rule(NamedTuple):
    """A straight line."""

    x0: float
    y0: float
    x1: float
    y1: float
    width: float = 0.6
    ink: int = 0


class Stamp(NamedTuple):
    """A rubber stamp, centred on (x, y) and turned by an angle."""

    x: float
    y: float
    angle: float
    lines: tuple[str, ...]


Mark = Text | Rule | Stamp


@lru_cache(maxsize=256)
def font(name: str, size_pixels: float) -> ImageFont.FreeTypeFont:
    """Return the font `name` at a size in pixels."""
    return ImageFont.truetype(FONTS[name][0], size_pixels)


def width_of(text: str, name: str, size: float) -> float:
    """Return the width of `text` in the unit of `size`."""
    return font(name, 100).getlength(text) * size / 100


def fitted(x: float, baseline: float, room: float, size: float, name: str, text: str, ink: int = 0) -> Text:
    """Return `text` no larger than `size` and no wider than `room`."""
    natural = width_of(text, name, size)
    return Text(x, baseline, size * min(1.0, room / natural) if natural else size, name, text, ink)


def centred(page: Size, baseline: float, size: float, name: str, text: str) -> Text:
    """Return `text` in the middle of the page's width."""
    return Text((page[0] - width_of(text, name, size)) / 2, baseline, size, name, text)


def shifted(marks: Iterable[Mark], dx: float) -> Iterator[Mark]:
    """Move marks to the right, for the right half of a double page."""
    for mark in marks:
        if isinstance(mark, Rule):
            yield mark._replace(x0=mark.x0 + dx, x1=mark.x1 + dx)
        else:
            yield mark._replace(x=mark.x + dx)
