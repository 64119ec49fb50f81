"""Inverts solid dark areas of a page: bars with white print, and bars beside print that is much lighter than they are.

Tesseract separates ink from paper by the grey values of the whole page. White print on a bar is read badly, and beside a
black bar faint print counts as paper: such a page was read as blank. Photographs and the shadows of folds are not changed:
their shades are not even, or their edges are not sharp.
"""

from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.input.images.grey_levels import otsu_threshold, quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Shades = NDArray[np.uint8]

CELLS_ALONG = 1000
"""The number of cells along the longer side of the page. On a letter page a cell is 0.8 points."""

MAX_DARK_SHADE = 0.45
"""As a share of the paper's shade."""

SOLID_CELLS = 5
"""The width of the smallest solid area: four points."""

MIN_SOLID_LENGTH = 90
"""The length of the smallest solid area in cells: an inch. The strokes of large letters are shorter."""

MAX_STROKE_CELLS = 9
"""The maximum width of a stroke of white print."""

MAX_LETTER_CELLS = 45
"""The maximum height of white print: 36 points."""

MAX_SHADE_RANGE = 30
"""The maximum difference between the darkest and the lightest cell of a solid area of `SOLID_CELLS`."""

MIN_EDGE_SHADE, MIN_SHARP_SHARE = 0.75, 0.6
"""As a share of the paper's shade, and of the cells around the dark areas: with fewer light cells the edges are not sharp."""

MIN_SOLID_CELLS = 400
MIN_WHITE_CELLS = 60
"""The least white print on dark areas: about three letters."""

MIN_HIDDEN_SHARE = 0.5
"""As a share of the ink outside the dark areas: what counts as paper with the threshold of the whole page."""


def with_dark_areas_inverted(image: Image.Image) -> Image.Image:
    """Returns the page with its dark areas as light as paper and the white print on them dark.

    The page is returned unchanged if there is no print on the dark areas, and none that they make invisible. Takes 3 to 40
    ms on a page without dark areas.
    """
    import numpy as np

    step = max(1, round(max(image.size) / CELLS_ALONG))
    small = image.reduce(step)
    paper = quantile(small.histogram(), 0.75)
    shades = np.asarray(small)
    if min(shades.shape) < MAX_STROKE_CELLS or paper < 1:
        return image
    solid = _solid_areas(shades, paper)
    if np.count_nonzero(solid) < MIN_SOLID_CELLS or not _has_sharp_edges(shades, solid, paper):
        return image
    print_on_it = _white_print(shades, solid, paper)
    if np.count_nonzero(print_on_it) < MIN_WHITE_CELLS and not _hides_print(shades, solid):
        return image
    return _inverted(image, solid | print_on_it, step, paper + int(np.median(shades[solid])), paper)


def _solid_areas(shades: "Shades", paper: int) -> "Mask":
    """Returns the mask of even dark areas, with the dark cells up to a stroke's width from them."""
    import numpy as np

    dark = shades < MAX_DARK_SHADE * paper
    lightest = _lightest(shades, SOLID_CELLS)
    core = lightest < MAX_DARK_SHADE * paper
    if np.count_nonzero(core) < MIN_SOLID_CELLS:
        return np.zeros_like(core)
    core &= lightest.astype(np.int16) - _darkest(shades, SOLID_CELLS) < MAX_SHADE_RANGE
    solid = _grown(_long_runs(core) | _long_runs(core.T).T, SOLID_CELLS)
    for _ in range(MAX_STROKE_CELLS):
        solid = _grown(solid, 3) & dark
    return solid


def _long_runs(core: "Mask") -> "Mask":
    """Returns the cells in runs along the rows that are longer than a letter can be."""
    import numpy as np

    runs = np.zeros_like(core)
    if core.shape[1] < MIN_SOLID_LENGTH:
        return runs
    sums = np.pad(np.cumsum(core, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    starts = sums[:, MIN_SOLID_LENGTH:] - sums[:, :-MIN_SOLID_LENGTH] == MIN_SOLID_LENGTH
    sums = np.cumsum(np.pad(starts, ((0, 0), (MIN_SOLID_LENGTH, MIN_SOLID_LENGTH - 1))), axis=1, dtype=np.int32)
    runs[:] = sums[:, MIN_SOLID_LENGTH:] > sums[:, :-MIN_SOLID_LENGTH]
    return runs


def _has_sharp_edges(shades: "Shades", solid: "Mask", paper: int) -> bool:
    edge = _grown(solid, 7) & ~_grown(solid, 5)
    return bool((shades[edge] > MIN_EDGE_SHADE * paper).mean() >= MIN_SHARP_SHARE) if edge.any() else False


def _white_print(shades: "Shades", solid: "Mask", paper: int) -> "Mask":
    """Returns the cells that dark areas enclose in both directions within the height of a letter, without light areas."""
    light = shades > MIN_EDGE_SHADE * paper
    areas = _grown(~_grown(~light, MAX_STROKE_CELLS), MAX_STROKE_CELLS)
    return _short_gaps(solid, areas) & _short_gaps(solid.T, areas.T).T


def _short_gaps(solid: "Mask", areas: "Mask") -> "Mask":
    """Returns the runs of cells between two solid cells of a row that are at most a letter long and touch no light area."""
    import numpy as np

    width = solid.shape[1]
    places = np.arange(width)
    before = np.maximum.accumulate(np.where(solid, places, -1), axis=1)
    after = np.minimum.accumulate(np.where(solid, places, width)[:, ::-1], axis=1)[:, ::-1]
    known = ~solid & (before >= 0) & (after < width) & (after - before <= MAX_LETTER_CELLS)
    counts = np.pad(np.cumsum(areas, axis=1), ((0, 0), (1, 0)))
    until, since = (np.take_along_axis(counts, ends, axis=1) for ends in (after, before + 1))
    return np.asarray(known & (until == since))


def _hides_print(shades: "Shades", solid: "Mask") -> bool:
    """Returns whether most ink outside the dark areas counts as paper because of them."""
    import numpy as np

    rest = np.bincount(shades[~_grown(solid, 5)], minlength=256)
    whole = np.bincount(shades.ravel(), minlength=256)
    own, common = (otsu_threshold(counts.tolist()) for counts in (rest, whole))
    return bool(rest[: min(common, own) + 1].sum() < (1 - MIN_HIDDEN_SHARE) * rest[: own + 1].sum())


def _inverted(image: Image.Image, mask: "Mask", step: int, sum_of_shades: int, paper: int) -> Image.Image:
    """Returns the page with the cells of a mask inverted; the edge of the mask becomes paper."""
    import numpy as np

    inner = ~_grown(~mask, 3)
    page = np.asarray(image)
    for part, invert in ((_grown(mask, 3) & ~inner, False), (inner, True)):
        pixels = part.repeat(step, axis=0).repeat(step, axis=1)[: page.shape[0], : page.shape[1]]
        shades = np.clip(sum_of_shades - page.astype(np.int16), 0, 255).astype(np.uint8) if invert else np.uint8(paper)
        page = np.where(pixels, shades, page)
    return Image.fromarray(page)


def _grown(mask: "Mask", cells: int) -> "Mask":
    import numpy as np

    return _lightest(mask.astype(np.uint8), cells) > 0


def _lightest(shades: "Shades", cells: int) -> "Shades":
    """Returns for each cell the lightest shade in the square of this side around it."""
    import numpy as np

    reach = cells // 2
    shades = np.pad(shades, reach, mode="edge")
    for _ in range(2):
        reached = 1
        while reached < cells:
            step = min(reached, cells - reached)
            shades = np.maximum(shades[:-step], shades[step:])
            reached += step
        shades = shades.T
    return shades


def _darkest(shades: "Shades", cells: int) -> "Shades":
    return 255 - _lightest(255 - shades, cells)
