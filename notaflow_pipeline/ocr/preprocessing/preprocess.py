"""Turns a page image into the one that the engine reads best.

Each step is a function from grey to grey; `prepare` applies them in order, and `Steps` switches each off.

Effects are mean character error rates over the 40 typescript pages of the corpus, without the line that libraries print
under their scans, which no transcription has: of the whole policy, and of the first pass alone. With every step they are
0.052 and 0.060; with none, a first pass has 0.102. `benchmarks/quality.py --only steps` measures them again.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image, ImageFilter, ImageOps

from notaflow_pipeline.ocr.input.images.grey_levels import quantile, sample
from notaflow_pipeline.ocr.input.images.ruling_lines import without_table_grid
from notaflow_pipeline.ocr.preprocessing.borders import box_within_borders, without_dark_borders
from notaflow_pipeline.ocr.preprocessing.curved_lines import LineCurve, line_curve
from notaflow_pipeline.ocr.preprocessing.ink_measures import MIN_INK_CONTRAST
from notaflow_pipeline.ocr.preprocessing.noise import noise_level, without_noise
from notaflow_pipeline.ocr.preprocessing.orientation import deskewed, is_sideways, rotated, skew_degrees

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

TARGET_DPI = 150
FINE_DPI = 200
SMALL_PRINT_DPI = 250
PAGE_WIDTH_INCHES = 8.27
"""A4, and near enough letter: what a portrait page is taken for if nothing credible says otherwise."""

LANDSCAPE_HEIGHT_INCHES = 11.0
"""A landscape page is taken for an open book of such pages: too many pixels cost time, too few cost words."""

CREDIBLE_SHORT_SIDE_INCHES = (5.0, 14.0)
"""Between a notary's half sheet and a folio; a tag that makes a page smaller or larger is not believed."""

MAX_ENLARGEMENT = 2.0
MAX_SIDE_RATIO = 2.2
"""Images longer than so many times their width are slips or strips, whose real size nobody can guess."""

MIN_SIDE_PIXELS = 10
"""No letter fits into less, and Tesseract complains about it."""

MIN_CONTRAST = 8
"""A page whose darkest and lightest pixel are closer than this (of 255) is blank; Tesseract would need 0.2 s for it."""


@dataclass(frozen=True)
class Steps:
    """Which steps are done; for measuring what each of them pays."""

    crop: bool = True
    invert: bool = True
    turn: bool = True
    scale: bool = True
    straighten: bool = True
    background: bool = True
    denoise: bool = True


ALL_STEPS = Steps()
NO_STEPS = Steps(crop=False, invert=False, turn=False, scale=False, straighten=False, background=False, denoise=False)


@dataclass(frozen=True)
class PreprocessedPage:
    """A page that is ready for the engine, with the resolution to tell it, and how it was turned on the way.

    `source` is the cropped page with all of its pixels and as it lay, and `stated_dpi` what the file says of it, for a
    try at another resolution. `origin` is where it begins on the page as it came, in pixels from the upper left corner.
    """

    image: Image.Image
    dpi: int | None
    source: Image.Image
    stated_dpi: int | None
    steps: Steps
    quarter_turns: int = 0
    skew_degrees: float = 0.0
    origin: tuple[int, int] = (0, 0)
    curve: LineCurve | None = None


def prepare(
    image: Image.Image, dpi: int | None, steps: Steps = ALL_STEPS, target_dpi: int = TARGET_DPI
) -> PreprocessedPage:
    """Do all the steps that are switched on, in the order in which each has least to do."""
    page = image
    if steps.invert and is_white_on_black(page):
        page = ImageOps.invert(page)
    box = box_within_borders(page) if steps.crop else (0, 0, *page.size)
    source = page if box == (0, 0, *page.size) else page.crop(box)
    page = _normalised(source, dpi, steps, target_dpi)
    turns = 1 if steps.turn and is_sideways(page) else 0
    if turns:
        page = page.transpose(Image.Transpose.ROTATE_90)
    skew = skew_degrees(page) if steps.straighten else 0.0
    if skew:
        page = _normalised(source, dpi, steps, target_dpi, skew)
        page = page.transpose(Image.Transpose.ROTATE_90) if turns else page
    curve = line_curve(page, turns) if steps.straighten else None
    page = curve.straightened(page) if curve else page
    return PreprocessedPage(page, target_dpi if steps.scale else dpi, source, dpi, steps, turns, skew, box[:2], curve)


def unrotated(prepared: PreprocessedPage) -> PreprocessedPage:
    """The same page without having been turned."""
    done = replace(prepared.steps, invert=False, crop=False, turn=False)
    unturned = prepare(prepared.source, prepared.stated_dpi, done, prepared.dpi or TARGET_DPI)
    return replace(unturned, origin=prepared.origin)


def at_resolution(prepared: PreprocessedPage, target_dpi: int) -> PreprocessedPage:
    """The same page, lying the same way, at another resolution."""
    if prepared.dpi == target_dpi or not prepared.steps.scale:
        return prepared
    page = _normalised(prepared.source, prepared.stated_dpi, prepared.steps, target_dpi, prepared.skew_degrees)
    for turns in range(prepared.quarter_turns + 1):
        page = page.transpose(Image.Transpose.ROTATE_90) if turns else page
        if prepared.curve and prepared.curve.quarter_turns == turns:
            page = prepared.curve.straightened(page)
    return replace(prepared, image=page, dpi=target_dpi)


def rotated_by_quarter(prepared: PreprocessedPage) -> PreprocessedPage:
    """The same page turned by a quarter."""
    image = prepared.image.transpose(Image.Transpose.ROTATE_90)
    return replace(prepared, image=image, quarter_turns=prepared.quarter_turns + 1)


def upside_down(prepared: PreprocessedPage) -> PreprocessedPage:
    """The same page turned by half."""
    image = prepared.image.transpose(Image.Transpose.ROTATE_180)
    return replace(prepared, image=image, quarter_turns=prepared.quarter_turns + 2)


def median_filtered(prepared: PreprocessedPage) -> PreprocessedPage:
    """The same page without the grain of dark photographs."""
    return replace(prepared, image=without_grain(prepared.image))


def with_halftones_merged(image: Image.Image, dpi: int | None, steps: Steps, target_dpi: int) -> PreprocessedPage:
    """A page whose grey or hatching is made of black dots or strokes, prepared so that they run together to grey.

    A dithered act at 150 dpi, of which the bare program reads an eighth, is read without an error so. Less softening
    leaves specks, more of it takes thin strokes away.
    """
    factor = _real_dpi(image, dpi) / 150
    return prepare(image.filter(ImageFilter.GaussianBlur(HALFTONE_BLUR_PIXELS * factor)), dpi, steps, target_dpi)


HALFTONE_BLUR_PIXELS = 1.0
"""At 150 dpi."""


def upscaled(prepared: PreprocessedPage, target_dpi: int = FINE_DPI) -> PreprocessedPage:
    """The same page at a higher resolution on plain white: small print and letters that run together come apart."""
    if not prepared.steps.scale:
        return prepared
    page = at_resolution(replace(prepared, dpi=None), target_dpi)
    return replace(page, image=with_plain_paper(page.image))


def with_ruling_removed(prepared: PreprocessedPage, word_height: float) -> PreprocessedPage | None:
    """The same page without a table's rules, which run into its words, and without grain; None where there is no table.

    It is laid straight however little it is askew, so that rules are found whole. Of 18 dates and numbers of an old index
    among the samples 14 are read so, and 7 without (`Policy.ruling`; a test has the page).
    """
    page = prepared.image if prepared.skew_degrees or not prepared.steps.straighten else deskewed(prepared.image)
    image = without_table_grid(page, word_height)
    return median_filtered(replace(prepared, image=image)) if image else None


def noise_of(prepared: PreprocessedPage) -> float:
    """The noise in the middle of a page (`noise_level`) before it was prepared, at the lower of its two resolutions. 8 ms."""
    source = prepared.source
    width, height = source.size
    middle = source.crop((width // 4, height // 4, width - width // 4, height - height // 4))
    factor = (prepared.dpi or TARGET_DPI) / _real_dpi(source, prepared.stated_dpi)
    if prepared.steps.scale and factor < 1:
        middle = _resized(middle, factor)
    return noise_level(middle)


def is_blurred(prepared: PreprocessedPage) -> bool:
    """Whether the page was made a little coarser: pixels that fall on the border of two blur small print."""
    factor = _real_dpi(prepared.source, prepared.stated_dpi) / (prepared.dpi or TARGET_DPI)
    return BLURRING_REDUCTIONS[0] < factor < BLURRING_REDUCTIONS[1]


BLURRING_REDUCTIONS = (1.1, 1.5)
"""Print of 8 points scanned at 200 dpi keeps 0.80 of its numbers at 150 dpi, and all at 200; scanned at 300, all at 150."""


def _at_lower_resolution(source: Image.Image, dpi: int | None, steps: Steps, target_dpi: int) -> Image.Image:
    """The lower of the page's two resolutions: it has fewer pixels, and noise that is not smeared."""
    return scaled(source, dpi, target_dpi) if steps.scale and _real_dpi(source, dpi) > target_dpi else source


def _normalised(source: Image.Image, dpi: int | None, steps: Steps, target_dpi: int, skew: float = 0.0) -> Image.Image:
    """Resolution and shade made equal, lines made level.

    Dark borders that were as askew as the page are cropped before its shade is made equal, which would hollow them out.
    """
    page = without_noise(_at_lower_resolution(source, dpi, steps, target_dpi)) if steps.denoise else source
    if steps.scale and page.size == source.size:
        page = scaled(page, dpi, target_dpi)
    if skew:
        page = rotated(page, skew)
        page = without_dark_borders(page) if steps.crop else page
    return without_background(page) if steps.background else page


def is_blank(image: Image.Image) -> bool:
    """Whether nothing can stand on a page because it is too small or of one shade: free, unlike asking the engine."""
    if min(image.size) < MIN_SIDE_PIXELS:
        return True
    darkest, lightest = image.getextrema()
    if isinstance(darkest, tuple) or isinstance(lightest, tuple):  # only of images with several bands
        raise TypeError(image.mode)
    return lightest - darkest < MIN_CONTRAST


def is_white_on_black(image: Image.Image) -> bool:
    """Whether a page is a photostat: its paper is dark, and what differs from the paper is lighter, not darker.

    Tesseract tries the reverse by itself for each line that it cannot read, which costs twice the time.
    """
    small = sample(image, 400)
    width, height = small.size
    counts = small.crop((width // 10, height // 10, width - width // 10, height - height // 10)).histogram()
    paper, darkest, lightest = (quantile(counts, share) for share in (0.5, 0.005, 0.995))
    return paper < 128 and lightest - paper > 2 * (paper - darkest) and lightest - paper > MIN_INK_CONTRAST


def scaled(image: Image.Image, dpi: int | None, target_dpi: int = TARGET_DPI) -> Image.Image:
    """The page at `target_dpi`, by its real size where its tag is credible, else by the size that such a page has.

    Without it the whole policy has 0.065 instead of 0.052, a first try 0.092 instead of 0.060, for 2.2 times the CPU.
    Small print needs more than 150 dpi (`MAX_SMALL_PRINT_PIXELS`). Averaging (box) is four times as fast as Lanczos.
    """
    factor = min(target_dpi / _real_dpi(image, dpi), MAX_ENLARGEMENT)
    if abs(factor - 1) < 0.05:
        return image
    return _resized(image, factor)


def _resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC)


def without_background(image: Image.Image) -> Image.Image:
    """The page with its paper divided to white: shadows, stains, and the grey of old paper are gone.

    The paper's shade at each place is the median of the lightest nearby, found on an eighth of the pixels. Without it the
    whole policy has 0.098 instead of 0.052, a first try 0.102 instead of 0.060.
    """
    import numpy as np  # 0.1 s once a worker; the division takes 6 ms with it, 32 ms without

    small = image.reduce(8).filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.MedianFilter(9))
    paper = np.maximum(np.asarray(small.resize(image.size, Image.Resampling.BILINEAR), dtype=np.float32), 1)
    page = np.asarray(image) * (255 / paper)
    np.minimum(page, 255, out=page)
    return Image.fromarray(page.astype(np.uint8))


def without_grain(image: Image.Image) -> Image.Image:
    """Each pixel the median of its 3 x 3 neighbourhood: pepper is gone, strokes of two pixels stay.

    On every page it takes more accents away than errors, so it is for pages that are speckled or not understood. The
    same as Pillow's `MedianFilter(3)` but for the outermost pixels, in 20 ms instead of 135.
    """
    import numpy as np

    page = np.asarray(image)
    upper, middle, lower = page[:-2], page[1:-1], page[2:]
    least, greatest = np.minimum(upper, middle), np.maximum(upper, middle)
    low, rest = np.minimum(least, lower), np.maximum(least, lower)
    medium, high = np.minimum(greatest, rest), np.maximum(greatest, rest)

    def median(one: "Pixels", two: "Pixels", three: "Pixels") -> "Pixels":
        return np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three))

    lows = np.maximum(np.maximum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    mediums = median(medium[:, :-2], medium[:, 1:-1], medium[:, 2:])
    highs = np.minimum(np.minimum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    smooth = page.copy()
    smooth[1:-1, 1:-1] = median(lows, mediums, highs)
    return Image.fromarray(smooth)


def with_plain_paper(image: Image.Image) -> Image.Image:
    """The page with everything that is as light as its paper made white, and its darkest ink black."""
    counts = image.histogram()
    paper, lower_quartile, darkest = (quantile(counts, share) for share in (0.5, 0.25, 0.01))
    spread = max((paper - lower_quartile) / 0.674, 1.0)  # of a normal distribution
    white = max(paper - 2 * spread, 100)
    black = min(darkest, white - 40)
    return image.point([min(255, max(0, int((value - black) * 255 / (white - black)))) for value in range(256)])


def _real_dpi(image: Image.Image, dpi: int | None) -> float:
    short, long = sorted(image.size)
    if dpi and CREDIBLE_SHORT_SIDE_INCHES[0] <= short / dpi <= CREDIBLE_SHORT_SIDE_INCHES[1]:
        return dpi
    if long > MAX_SIDE_RATIO * short:
        return dpi or TARGET_DPI
    if image.width > image.height:
        return image.height / LANDSCAPE_HEIGHT_INCHES
    return image.width / PAGE_WIDTH_INCHES
