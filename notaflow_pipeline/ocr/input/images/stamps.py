"""Separates stamps in colour from the dark print that they lie over.

In grey both are dark, and the engine reads neither. In the channel in which a stamp is lightest it is nearly as light as
the paper, and print is as dark as before. Only ink of one colour that touches print is separated; everything else in
colour (headings, form fields filled in with a pen, highlighting, photographs) stays in the page as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageFilter

from notaflow_pipeline.ocr.input.images.grey_levels import quantile
from notaflow_pipeline.ocr.input.images.ruling_lines import horizontal_line_pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

MIN_PAGE_PIXELS = 2000
"""The longer side of a page whose inks are separated; below that, a JPEG has smeared them into each other."""

LOOKED_AT_PIXELS = 1000
"""The longer side of the copy on which stamps are looked for: strokes of print are a pixel wide there."""

MIN_CHROMA = 64
"""Of 255, by which a pixel's lightest channel exceeds its darkest one when the paper is white."""

MAX_PRINT_LIGHTNESS = 160
"""Of 255, in every channel of a pixel of print when the paper is white; that of a typewriter is grey at this size."""

MAX_PRINT_CHROMA = 51

CELL = 10
"""Pixels of the copy along a side of the squares that are put together to stamps: a letter of a stamp."""

MIN_CELL_PIXELS = 6
MIN_CELLS = 12
MAX_SHARE = 0.2
"""Of the page, for the box around a stamp."""

MAX_SIDE = 0.6
"""Of the page's longer side, for either side of that box; the edge of a sheet or of a binding is longer."""

MAX_STAMPS = 4
"""A page with more has been written on in colour, such as a form."""

MAX_FILLED = 0.5
"""Of its box; what has more colour is a picture, a coloured cell of a table or highlighting."""

MIN_SAME_HUE = 0.85
"""Of a stamp's pixels."""

SAME_HUE = 0.95
"""The cosine of the angle between the light that two colours take away."""

MIN_CROSSED_CELLS = 4
"""Squares in which print touches a stamp; fewer are one or two letters."""

RULE_HEIGHT = 8.0
"""Pixels of the copy: strokes of five times that are rules and no print."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


Colour = tuple[float, float, float]
"""Red, green and blue, from 0 to 255."""


@dataclass(frozen=True)
class Stamp:
    """Where a stamp lies (left, top, right and bottom in shares of the page), and the colour of the paper."""

    box: tuple[float, float, float, float]
    paper: Colour

    def pixels(self, size: tuple[int, int]) -> Box:
        """Where it lies on a page of this size."""
        left, top, right, bottom = self.box
        width, height = size
        return (
            max(0, round(left * width)),
            max(0, round(top * height)),
            min(width, round(right * width)),
            min(height, round(bottom * height)),
        )


def stamps_over_print(page: Image.Image) -> list[Stamp]:
    """The stamps that lie over the print of a page in colour (mode `RGB`), of whatever resolution. 5 ms without colour."""
    import numpy as np

    small = page.reduce(max(1, round(max(page.size) / LOOKED_AT_PIXELS)))
    if min(small.size) < 3 * CELL:
        return []
    counts = small.histogram()
    red, green, blue = (float(max(quantile(counts[band : band + 256], 0.75), 1)) for band in (0, 256, 512))
    even, lightest, spread = _on_white(small, (red, green, blue))
    if sum(spread.histogram()[MIN_CHROMA:]) < MIN_CELLS * MIN_CELL_PIXELS:
        return []
    lightness, chroma = np.asarray(lightest), np.asarray(spread)
    coloured = chroma > MIN_CHROMA
    groups = [group for group in _groups(_counted(coloured) >= MIN_CELL_PIXELS) if len(group) >= MIN_CELLS]
    if not 0 < len(groups) <= MAX_STAMPS:
        return []
    dark = (lightness < MAX_PRINT_LIGHTNESS) & (chroma < MAX_PRINT_CHROMA)
    ink = dark | coloured  # letters in colour that stand on a rule interrupt it
    dark &= ~(horizontal_line_pixels(ink, RULE_HEIGHT) | horizontal_line_pixels(ink.T, RULE_HEIGHT).T)
    touched = _counted(dark & _wider(coloured)) > 1
    boxes = [_box_of(group) for group in groups if sum(touched[cell] for cell in group) >= MIN_CROSSED_CELLS]
    stamps = [box for box in boxes if _is_stamp(box, np.asarray(even), coloured)]
    return [Stamp(_of_page(box, small.size), (red, green, blue)) for box in stamps]


def can_be_separated(mode: str, size: tuple[int, int]) -> bool:
    """Whether a page is in colour and has enough pixels."""
    return mode == "RGB" and max(size) >= MIN_PAGE_PIXELS


def take_stamps_off(page: Image.Image, stamps: Sequence[Stamp]) -> Image.Image | None:
    """Take stamps off a page in colour; return a white page in grey (mode `L`) with nothing but them, None without any."""
    if not stamps:
        return None
    alone = Image.new("L", page.size, 255)
    for stamp in stamps:
        box = stamp.pixels(page.size)
        print_alone, stamp_alone = separated(page.crop(box), stamp)
        page.paste(print_alone, box)
        alone.paste(stamp_alone, box)
    return alone


def separated(colours: Image.Image, stamp: Stamp) -> tuple[Image.Image, Image.Image]:
    """The print of a part of the page without the stamp, in colour, and the stamp without the print, in grey.

    Each ink takes a share of the light of each channel, and where they overlap the shares are multiplied: print the same
    of all channels, the stamp most of one and least of another. From these two channels follows how much of each ink
    there is.
    """
    import numpy as np

    even, _, spread = _on_white(colours, stamp.paper)
    inked = np.asarray(spread) > MIN_CHROMA
    if not inked.any():
        return colours, Image.new("L", colours.size, 255)
    density = -np.log(np.maximum(np.asarray(even, dtype=np.float32), 1) / 255)
    full = np.median(density[inked], axis=0)
    most, least = int(np.argmax(full)), int(np.argmin(full))
    share = (density[..., most] - density[..., least]) / max(float(full[most] - full[least]), MIN_DENSITY)
    share8 = Image.fromarray((np.clip(share, 0, 1) * 255).astype(np.uint8))
    taken = np.asarray(share8.filter(ImageFilter.MaxFilter(SMEAR_PIXELS)), dtype=np.float32) / 255
    left = np.exp(-np.maximum(density[..., least] - taken * full[least], 0))
    near = np.asarray(Image.fromarray(inked).convert("L").filter(ImageFilter.MaxFilter(EDGE_PIXELS))) > 0
    without = np.where(near[..., np.newaxis], left[..., np.newaxis] * np.array(stamp.paper), np.asarray(colours))
    return Image.fromarray(without.astype(np.uint8)), ImageChops.invert(share8)


MIN_DENSITY = 0.1
"""By which a stamp takes more of one channel than of another, so that nothing is divided by nearly nothing."""

SMEAR_PIXELS = 3
"""A JPEG smears colour from a stamp's edge into its neighbourhood."""

EDGE_PIXELS = 7
"""How far around a stamp there may be some of its colour."""


def _on_white(page: Image.Image, paper: Colour) -> tuple[Image.Image, Image.Image, Image.Image]:
    """A page as if its paper were white; the lightest channel of each pixel, and how far the darkest lies below that."""
    even = page.point([min(255, round(value * 255 / light)) for light in paper for value in range(256)])
    red, green, blue = even.split()
    lightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return even, lightest, ImageChops.subtract(lightest, darkest)


def _wider(mask: "Mask") -> "Mask":
    """A mask with its neighbouring pixels."""
    import numpy as np

    return np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(3))) > 0


def _counted(mask: "Mask") -> "NDArray[np.int64]":
    """How many pixels of a mask are in each cell."""
    import numpy as np

    height, width = (side // CELL for side in mask.shape)
    parted = mask[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL)
    return np.asarray(parted.sum(axis=(1, 3)), dtype=np.int64)


def _groups(cells: "Mask") -> list[list[tuple[int, int]]]:
    """Cells that lie next to each other, or with one cell between them."""
    left = {(int(row), int(column)) for row, column in zip(*cells.nonzero(), strict=True)}
    groups = []
    while left:
        group = [left.pop()]
        for row, column in group:  # grows meanwhile
            near = {(row + down, column + across) for down in range(-2, 3) for across in range(-2, 3)} & left
            left -= near
            group += near
        groups.append(group)
    return groups


def _box_of(group: list[tuple[int, int]]) -> Box:
    rows, columns = zip(*group, strict=True)
    return min(columns) * CELL, min(rows) * CELL, (max(columns) + 1) * CELL, (max(rows) + 1) * CELL


def _is_stamp(box: Box, even: "NDArray[np.uint8]", coloured: "Mask") -> bool:
    """Whether what lies in a box is small enough, made of strokes, of one colour, and not the edge of a sheet."""
    import numpy as np

    part = np.s_[box[1] : box[3], box[0] : box[2]]
    ink = coloured[part]
    height, width = coloured.shape
    if min(box[:2]) < CELL or box[2] > width - 2 * CELL or box[3] > height - 2 * CELL:
        return False
    if max(box[2] - box[0], box[3] - box[1]) > MAX_SIDE * max(width, height):
        return False
    if ink.size > MAX_SHARE * coloured.size or ink.mean() > MAX_FILLED:
        return False
    taken = 255.0 - even[part][ink]
    taken /= np.linalg.norm(taken, axis=1, keepdims=True)
    usual = np.median(taken, axis=0)
    return bool(np.mean(taken @ (usual / np.linalg.norm(usual)) > SAME_HUE) >= MIN_SAME_HUE)


def _of_page(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A box of the copy, a cell wider on each side, in shares of the page."""
    left, top, right, bottom = box
    width, height = size
    return (left - CELL) / width, (top - CELL) / height, (right + CELL) / width, (bottom + CELL) / height
