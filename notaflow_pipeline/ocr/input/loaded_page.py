"""A loaded page before recognition: images to recognise, and the words of its text layer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, text_of_lines
from notaflow_pipeline.ocr.input.text_layer.layer_sample import LayerSample


@dataclass(frozen=True)
class Region:
    """A part of a page that its text layer does not account for. `position` is that of its middle, see
    `LayerLine`. `box` is its position: left, top, right and bottom in displayed points."""

    image: Image.Image
    position: float
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class EarlierOcr:
    """The lines that an earlier OCR read on a page image, and a strip of that image with its words there."""

    lines: tuple[LayerLine, ...]
    strip: Image.Image
    strip_words: tuple[str, ...] = field(repr=False)  # personal data: not for tracebacks and logs


@dataclass(frozen=True)
class LoadedPage:
    """A page before recognition.

    `image` is the whole page, upright and grey (mode `L`), with its resolution in `info["dpi"]` if it is known. It is
    None if the text layer and `regions` contain the whole page. `lines` is visible text that is in neither; `attached`
    contains the names of files that are attached to the page and are not read. `stamps` is an image of the stamps that
    lay over the print of `image`. With `earlier`, `image` need not be recognised if the strip agrees with the words;
    `regions` are then the parts that the earlier OCR left out. `damaged` means that a part of the page could not be
    decoded. `image_box` is the position of `image` on the page (left, top, right, bottom, in the units of the lines),
    if there are lines; `size` is the width and height of such a page. `sample` shows words of `lines` as they are drawn.
    """

    image: Image.Image | None
    lines: tuple[LayerLine, ...] = ()
    regions: tuple[Region, ...] = ()
    earlier: EarlierOcr | None = None
    damaged: bool = False
    stamps: Image.Image | None = None
    attached: tuple[str, ...] = field(default=(), repr=False)  # personal data: not for tracebacks and logs
    image_box: tuple[float, float, float, float] | None = None
    size: tuple[float, float] | None = None
    sample: LayerSample | None = None

    @property
    def text(self) -> str:
        """Text of the visible text layer."""
        return text_of_lines(self.lines)


def with_regions(lines: Sequence[LayerLine], regions: Sequence[tuple[Region, str]]) -> str:
    """Returns the text of lines and regions in order; the text of a region is placed between the lines above and
    below it."""
    parts: list[str] = []
    rest = list(lines)
    for region, text in sorted(regions, key=lambda pair: pair[0].position):
        above = next((number for number, line in enumerate(rest) if line.position > region.position), len(rest))
        parts += [text_of_lines(rest[:above]), text]
        rest = rest[above:]
    return "\n\n".join(part for part in [*parts, text_of_lines(rest)] if part)


def words_of(lines: Sequence[LayerLine]) -> int:
    """Returns the number of words in lines."""
    return sum(len(line.words) for line in lines)
