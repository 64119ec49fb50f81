"""Separates coloured stamps from the dark print that they lie over.

In grey both are dark, and the engine reads neither. In the channel in which a stamp is lightest, the stamp is almost as
light as the paper, while print is as dark as before. Only ink of one colour that touches print is separated. Everything
else in colour (headings, form fields filled in with a pen, highlighting, photographs) stays in the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageFilter

from notaflow_pipeline.ocr.input.images.connected_cells import box_of_cells, connected_cells, marked_cells
from notaflow_pipeline.ocr.input.images.grey_levels import quantile
from notaflow_pipeline.ocr.input.images.ruling_lines import horizontal_line_pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

MIN_PAGE_PIXELS = 2000
"""Minimum longer side of a page whose inks are separated; in smaller pages JPEG compression has mixed the inks."""

SEARCH_PIXELS = 1000
"""Longer side of the reduced copy in which stamps are searched; strokes of print are one pixel wide there."""

MIN_CHROMA = 64
"""Minimum difference (of 255) between the lightest and the darkest channel of a coloured pixel, if the paper is
white."""

MAX_PRINT_LIGHTNESS = 160
"""Maximum value (of 255) of every channel of a pixel of print, if the paper is white; typewriter print is grey at
this size."""

MAX_PRINT_CHROMA = 51

CELL = 10
"""Side of the square cells that are grouped into stamps, in pixels of the copy: about a letter of a stamp."""

MIN_CELL_PIXELS = 6
MIN_CELLS = 12
MAX_SHARE = 0.2
"""Maximum share of the page for the box around a stamp."""

MAX_SIDE = 0.6
"""Maximum side of that box, as a share of the longer side of the page; the edge of a sheet or of a binding is
longer."""

MAX_STAMPS = 4
"""Maximum number of stamps. A page with more has been written on in colour, such as a form."""

MAX_FILLED = 0.5
"""Maximum share of coloured pixels in the box. With more it is a picture, a coloured table cell or highlighting."""

MIN_SAME_HUE = 0.85
"""Minimum share of the pixels of a stamp that have the same hue."""

MIN_HUE_COSINE = 0.95
"""Minimum cosine of the angle between the light that two colours of the same hue absorb."""

MAX_PRINT_SATURATION = 0.5
"""Maximum saturation of the print in the box of a stamp, as a share of the saturation of the stamp. Print with more is in the
same ink: fine strokes of coloured print on coloured paper are less coloured than thick ones."""

MIN_CROSSED_CELLS = 4
"""Minimum number of cells in which print touches a stamp; fewer are one or two letters."""

RULING_WORD_HEIGHT = 8.0
"""Word height in pixels of the copy; strokes of five times this length are ruling lines, not print."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


Colour = tuple[float, float, float]
"""Red, green and blue, from 0 to 255."""


@dataclass(frozen=True)
class Stamp:
    """Position of a stamp (left, top, right and bottom as shares of the page) and the colour of the paper."""

    box: tuple[float, float, float, float]
    paper: Colour

    def pixels(self, size: tuple[int, int]) -> Box:
        """Returns the position on a page of this size, in pixels."""
        left, top, right, bottom = self.box
        width, height = size
        return (
            max(0, round(left * width)),
            max(0, round(top * height)),
            min(width, round(right * width)),
            min(height, round(bottom * height)),
        )


def stamps_over_print(page: Image.Image) -> list[Stamp]:
    """Finds the stamps over the print of a colour page (mode `RGB`) of any resolution; 5 ms for a page without
    colour."""
    import numpy as np

    small = page.reduce(max(1, round(max(page.size) / SEARCH_PIXELS)))
    if min(small.size) < 3 * CELL:
        return []
    counts = small.histogram()
    red, green, blue = (float(max(quantile(counts[band : band + 256], 0.75), 1)) for band in (0, 256, 512))
    whitened, lightest, spread = _scaled_to_white(small, (red, green, blue))
    if sum(spread.histogram()[MIN_CHROMA:]) < MIN_CELLS * MIN_CELL_PIXELS:
        return []
    lightness, chroma = np.asarray(lightest), np.asarray(spread)
    coloured = chroma > MIN_CHROMA
    cells = marked_cells(_pixels_per_cell(coloured) >= MIN_CELL_PIXELS)
    groups = [group for group in connected_cells(cells, reach=2) if len(group) >= MIN_CELLS]
    if not 0 < len(groups) <= MAX_STAMPS:
        return []
    dark = (lightness < MAX_PRINT_LIGHTNESS) & (chroma < MAX_PRINT_CHROMA)
    ink = dark | coloured  # coloured letters on a ruling line interrupt it
    dark &= ~(horizontal_line_pixels(ink, RULING_WORD_HEIGHT) | horizontal_line_pixels(ink.T, RULING_WORD_HEIGHT).T)
    near = _dilated(coloured)
    crossed = _pixels_per_cell(dark & near) > 1
    boxes = [box_of_cells(group, CELL) for group in groups if sum(crossed[cell] for cell in group) >= MIN_CROSSED_CELLS]
    shades = np.asarray(whitened)
    stamps = [
        box
        for box in boxes
        if _is_stamp(box, shades, coloured) and not _is_ink_of_print(box, shades, coloured, dark & ~near)
    ]
    return [Stamp(_shares_of_page(box, small.size), (red, green, blue)) for box in stamps]


def can_be_searched(mode: str, size: tuple[int, int]) -> bool:
    """Whether a page is in colour and has enough pixels."""
    return mode == "RGB" and max(size) >= MIN_PAGE_PIXELS


def remove_stamps(page: Image.Image, stamps: Sequence[Stamp]) -> Image.Image | None:
    """Removes stamps from a colour page in place; returns a white grey page (mode `L`) with only the stamps, None
    without any."""
    if not stamps:
        return None
    only_stamps = Image.new("L", page.size, 255)
    for stamp in stamps:
        box = stamp.pixels(page.size)
        only_print, only_stamp = separate_inks(page.crop(box), stamp)
        page.paste(only_print, box)
        only_stamps.paste(only_stamp, box)
    return only_stamps


def separate_inks(colours: Image.Image, stamp: Stamp) -> tuple[Image.Image, Image.Image]:
    """Separates a part of the page into the print, in colour, and the stamp, in grey.

    Each ink absorbs a share of the light of each channel, and the shares are multiplied where inks overlap. Print
    absorbs the same share of all channels; the stamp absorbs most of one channel and least of another. These two
    channels determine the amount of each ink.
    """
    import numpy as np

    whitened, _, spread = _scaled_to_white(colours, stamp.paper)
    inked = np.asarray(spread) > MIN_CHROMA
    if not inked.any():
        return colours, Image.new("L", colours.size, 255)
    density = -np.log(np.maximum(np.asarray(whitened, dtype=np.float32), 1) / 255)
    full = np.median(density[inked], axis=0)
    strongest, weakest = int(np.argmax(full)), int(np.argmin(full))
    share = (density[..., strongest] - density[..., weakest]) / max(float(full[strongest] - full[weakest]), MIN_DENSITY)
    share8 = Image.fromarray((np.clip(share, 0, 1) * 255).astype(np.uint8))
    absorbed = np.asarray(share8.filter(ImageFilter.MaxFilter(SMEAR_PIXELS)), dtype=np.float32) / 255
    left = np.exp(-np.maximum(density[..., weakest] - absorbed * full[weakest], 0))
    near = np.asarray(Image.fromarray(inked).convert("L").filter(ImageFilter.MaxFilter(EDGE_PIXELS))) > 0
    without = np.where(near[..., np.newaxis], left[..., np.newaxis] * np.array(stamp.paper), np.asarray(colours))
    return Image.fromarray(without.astype(np.uint8)), ImageChops.invert(share8)


MIN_DENSITY = 0.1
"""Minimum difference between the highest and the lowest channel density of a stamp, which avoids a division by
almost zero."""

SMEAR_PIXELS = 3
"""Size of the area into which JPEG compression spreads the colour of a stamp."""

EDGE_PIXELS = 7
"""Size of the area around a stamp that may contain some of its colour."""


def _scaled_to_white(page: Image.Image, paper: Colour) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Returns a page scaled to white paper, the lightest channel of each pixel, and its difference from the darkest
    channel."""
    whitened = page.point([min(255, round(value * 255 / light)) for light in paper for value in range(256)])
    red, green, blue = whitened.split()
    lightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return whitened, lightest, ImageChops.subtract(lightest, darkest)


def _dilated(mask: "Mask") -> "Mask":
    """Returns a mask extended by the neighbouring pixels."""
    import numpy as np

    return np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(3))) > 0


def _pixels_per_cell(mask: "Mask") -> "NDArray[np.int64]":
    """Returns the number of set pixels of a mask in each cell."""
    import numpy as np

    height, width = (side // CELL for side in mask.shape)
    parted = mask[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL)
    return np.asarray(parted.sum(axis=(1, 3)), dtype=np.int64)


def _is_stamp(box: Box, whitened: "NDArray[np.uint8]", coloured: "Mask") -> bool:
    """Whether the content of a box is small enough, made of strokes, of one hue, and not the edge of a sheet."""
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
    absorbed = 255.0 - whitened[part][ink]
    absorbed /= np.linalg.norm(absorbed, axis=1, keepdims=True)
    usual = np.median(absorbed, axis=0)
    return bool(np.mean(absorbed @ (usual / np.linalg.norm(usual)) > MIN_HUE_COSINE) >= MIN_SAME_HUE)


def _is_ink_of_print(box: Box, whitened: "NDArray[np.uint8]", coloured: "Mask", print_only: "Mask") -> bool:
    """Whether the print in a box is in the ink of the coloured strokes there."""
    import numpy as np

    part = np.s_[box[1] : box[3], box[0] : box[2]]
    if not print_only[part].any():
        return False
    of_print, of_strokes = (
        float(np.median(_saturation(whitened[part][mask[part]]))) for mask in (print_only, coloured)
    )
    return of_print > MAX_PRINT_SATURATION * of_strokes


def _saturation(colours: "NDArray[np.uint8]") -> "NDArray[np.float64]":
    """Returns which share of the light that a colour absorbs in one channel it does not absorb in another."""
    import numpy as np

    absorbed = 255.0 - colours
    return np.asarray(np.ptp(absorbed, axis=1) / np.maximum(absorbed.max(axis=1), 1))


def _shares_of_page(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Returns a box of the copy, one cell larger on each side, as shares of the page."""
    left, top, right, bottom = box
    width, height = size
    return (left - CELL) / width, (top - CELL) / height, (right + CELL) / width, (bottom + CELL) / height
