"""A loaded page before recognition: images to read, and the words of its text layer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, text_of_lines


@dataclass(frozen=True)
class Region:
    """A part of a page that its text layer does not account for; `place` is that of its middle, see `LayerLine`."""

    image: Image.Image
    place: float


@dataclass(frozen=True)
class EarlierOcr:
    """What an earlier OCR has read on a page's image, and a strip of that image with the words that it has there."""

    lines: tuple[LayerLine, ...]
    strip: Image.Image
    strip_words: tuple[str, ...] = field(repr=False)  # personal data: not for tracebacks and logs


@dataclass(frozen=True)
class LoadedPage:
    """A page before recognition.

    `image` is the whole page, upright and grey (mode `L`), its resolution in `info["dpi"]` where it is known; None if its
    text layer and `regions` say it all. `lines` are visible text that is in neither, `attached` the names of files that
    hang on the page and are not read. `stamps` is a page of those that lay over the print of `image`. With `earlier`, `image`
    need not be read where the strip agrees with the words; `regions` then are what that OCR left out. `damaged` tells
    that a part of the page could not be decoded. `image_box` is where `image` is on the page (left, top, right, bottom,
    in the units of the lines), where there are lines.
    """

    image: Image.Image | None
    lines: tuple[LayerLine, ...] = ()
    regions: tuple[Region, ...] = ()
    earlier: EarlierOcr | None = None
    damaged: bool = False
    stamps: Image.Image | None = None
    attached: tuple[str, ...] = field(default=(), repr=False)  # personal data: not for tracebacks and logs
    image_box: tuple[float, float, float, float] | None = None

    @property
    def text(self) -> str:
        """The visible text layer."""
        return text_of_lines(self.lines)


def with_regions(lines: Sequence[LayerLine], regions: Sequence[tuple[Region, str]]) -> str:
    """The text of lines, with what was read in regions between the lines above and those below each."""
    parts: list[str] = []
    rest = list(lines)
    for region, text in sorted(regions, key=lambda pair: pair[0].place):
        above = next((number for number, line in enumerate(rest) if line.place > region.place), len(rest))
        parts += [text_of_lines(rest[:above]), text]
        rest = rest[above:]
    return "\n\n".join(part for part in [*parts, text_of_lines(rest)] if part)


def words_of(lines: Sequence[LayerLine]) -> int:
    """How many words lines have."""
    return sum(len(line.words) for line in lines)
