"""Turns a page image into the image that the engine reads best.

Each step is a function from a grey image to a grey image. `prepare` applies them in order, and `Steps` switches each off.

The effects are mean character error rates over the 40 typescript pages of the corpus, without the line that libraries print
under their scans, which no transcription has: of the whole policy, and of the first pass alone. With all steps they are 0.052
and 0.060; without any step, a first pass has 0.102. `benchmarks/quality.py --only steps` measures them again.
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
"""The width of A4, and nearly that of letter. It is the assumed width of a portrait page without a credible resolution."""

LANDSCAPE_HEIGHT_INCHES = 11.0
"""The assumed height of a landscape page, as of an open book: too many pixels cost time, too few cost words."""

CREDIBLE_SHORT_SIDE_INCHES = (5.0, 14.0)
"""From a notary's half sheet to a folio. A resolution tag that makes a page smaller or larger is ignored."""

MAX_ENLARGEMENT = 2.0
MAX_SIDE_RATIO = 2.2
"""Images with a larger ratio of long to short side are slips or strips; their real size cannot be estimated."""

MIN_SIDE_PIXELS = 10
"""No letter fits into less, and Tesseract writes a warning about it."""

MIN_CONTRAST = 8
"""In shades of 255. A page whose darkest and lightest pixel are closer than this is blank. Tesseract needs 0.2 s for it."""


@dataclass(frozen=True)
class Steps:
    """The steps that are done. Benchmarks switch steps off to measure the effect of each."""

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
    """A page image that is ready for the engine, with its resolution and how it was turned.

    `source` is the cropped page with all of its pixels and in its original orientation, and `stated_dpi` the resolution in
    the file; both are for a pass at another resolution. `origin` is the upper left corner of `source` on the original page,
    in pixels. `is_filtered` says that single dark pixels were removed, which a pass at another resolution repeats.
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
    is_filtered: bool = False


def prepare(
    image: Image.Image, dpi: int | None, steps: Steps = ALL_STEPS, target_dpi: int = TARGET_DPI
) -> PreprocessedPage:
    """Does all the steps that are switched on, in the order in which each has the least work."""
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


def unprocessed(image: Image.Image, dpi: int | None) -> PreprocessedPage:
    """Returns the page without preprocessing, at `MAX_PLAIN_DPI` at most.

    The corpus page of 400 dpi that reads best this way has the same error rate at 300 dpi, in 0.7 of the time.
    """
    factor = MAX_PLAIN_DPI / _real_dpi(image, dpi)
    if factor > MIN_PLAIN_REDUCTION:
        return PreprocessedPage(image, dpi, image, dpi, NO_STEPS)
    return PreprocessedPage(_resized(image, factor), MAX_PLAIN_DPI, image, dpi, NO_STEPS)


MAX_PLAIN_DPI = 300
MIN_PLAIN_REDUCTION = 0.8
"""A page is not reduced by less, which would blur it and save little."""


def unrotated(prepared: PreprocessedPage) -> PreprocessedPage:
    """Returns the same page in its original orientation."""
    done = replace(prepared.steps, invert=False, crop=False, turn=False)
    unturned = prepare(prepared.source, prepared.stated_dpi, done, prepared.dpi or TARGET_DPI)
    return replace(unturned, origin=prepared.origin)


def at_resolution(prepared: PreprocessedPage, target_dpi: int) -> PreprocessedPage:
    """Returns the same page, in the same orientation, at another resolution."""
    if prepared.dpi == target_dpi or not prepared.steps.scale:
        return prepared
    page = _normalised(prepared.source, prepared.stated_dpi, prepared.steps, target_dpi, prepared.skew_degrees)
    for turns in range(prepared.quarter_turns + 1):
        page = page.transpose(Image.Transpose.ROTATE_90) if turns else page
        if prepared.curve and prepared.curve.quarter_turns == turns:
            page = prepared.curve.straightened(page)
    page = without_grain(page) if prepared.is_filtered else page
    return replace(prepared, image=page, dpi=target_dpi)


def rotated_by_quarter(prepared: PreprocessedPage) -> PreprocessedPage:
    """Returns the same page turned by a quarter."""
    image = prepared.image.transpose(Image.Transpose.ROTATE_90)
    return replace(prepared, image=image, quarter_turns=prepared.quarter_turns + 1)


def upside_down(prepared: PreprocessedPage) -> PreprocessedPage:
    """Returns the same page turned by half."""
    image = prepared.image.transpose(Image.Transpose.ROTATE_180)
    return replace(prepared, image=image, quarter_turns=prepared.quarter_turns + 2)


def median_filtered(prepared: PreprocessedPage) -> PreprocessedPage:
    """Returns the same page without the grain of dark photographs."""
    return replace(prepared, image=without_grain(prepared.image))


def with_halftones_merged(image: Image.Image, dpi: int | None, steps: Steps, target_dpi: int) -> PreprocessedPage:
    """Prepares a page whose grey or hatching consists of black dots or strokes, so that they merge into grey.

    A dithered act at 150 dpi is read without an error this way; the tesseract program alone reads an eighth of it. With less
    blur, specks remain; with more, thin strokes disappear.
    """
    factor = _real_dpi(image, dpi) / 150
    return prepare(image.filter(ImageFilter.GaussianBlur(HALFTONE_BLUR_PIXELS * factor)), dpi, steps, target_dpi)


HALFTONE_BLUR_PIXELS = 1.0
"""The radius of the blur at 150 dpi."""


def upscaled(prepared: PreprocessedPage, target_dpi: int = FINE_DPI) -> PreprocessedPage:
    """Returns the same page at a higher resolution on plain white, which separates small print and touching letters."""
    if not prepared.steps.scale:
        return prepared
    page = at_resolution(replace(prepared, dpi=None), target_dpi)
    return replace(page, image=with_plain_paper(page.image))


def with_ruling_removed(prepared: PreprocessedPage, word_height: float) -> PreprocessedPage | None:
    """Returns the same page without a table's ruling lines, which touch its words; None without a table.

    Even a small skew is corrected first, so that ruling lines are found as a whole.
    """
    page = prepared.image if prepared.skew_degrees or not prepared.steps.straighten else deskewed(prepared.image)
    image = without_table_grid(page, word_height)
    return replace(prepared, image=image) if image else None


def noise_of(prepared: PreprocessedPage) -> float:
    """Returns the noise in the middle of a page (`noise_level`) before its preprocessing. Takes 8 ms.

    It is measured at the resolution of the file or of the pass, whichever is lower.
    """
    source = prepared.source
    width, height = source.size
    middle = source.crop((width // 4, height // 4, width - width // 4, height - height // 4))
    factor = (prepared.dpi or TARGET_DPI) / _real_dpi(source, prepared.stated_dpi)
    if prepared.steps.scale and factor < 1:
        middle = _resized(middle, factor)
    return noise_level(middle)


def source_dpi(prepared: PreprocessedPage) -> float:
    """Returns the resolution of the scan."""
    return _real_dpi(prepared.source, prepared.stated_dpi)


def is_blurred(prepared: PreprocessedPage) -> bool:
    """Returns whether the resolution of the page was slightly reduced, which blurs small print."""
    factor = source_dpi(prepared) / (prepared.dpi or TARGET_DPI)
    return BLURRING_REDUCTIONS[0] < factor < BLURRING_REDUCTIONS[1]


def small_print_dpi(prepared: PreprocessedPage) -> int:
    """Returns the resolution for small print: `SMALL_PRINT_DPI`, or that of the file if a reduction would blur the print."""
    if is_blurred(replace(prepared, dpi=SMALL_PRINT_DPI)):
        return round(source_dpi(prepared))
    return SMALL_PRINT_DPI


BLURRING_REDUCTIONS = (1.1, 1.5)
"""Print of 8 points scanned at 200 dpi keeps 0.80 of its numbers at 150 dpi, and all at 200; scanned at 300, all at 150."""


def _at_lower_resolution(source: Image.Image, dpi: int | None, steps: Steps, target_dpi: int) -> Image.Image:
    """Returns the page at the lower of its two resolutions: it has fewer pixels, and its noise is not smeared."""
    return scaled(source, dpi, target_dpi) if steps.scale and _real_dpi(source, dpi) > target_dpi else source


def _normalised(source: Image.Image, dpi: int | None, steps: Steps, target_dpi: int, skew: float = 0.0) -> Image.Image:
    """Returns the page at the target resolution, with level lines and without its background.

    Dark borders that were skewed like the page are cropped before the background is removed, which would leave their
    outlines.
    """
    page = without_noise(_at_lower_resolution(source, dpi, steps, target_dpi)) if steps.denoise else source
    if steps.scale and page.size == source.size:
        page = scaled(page, dpi, target_dpi)
    if skew:
        page = rotated(page, skew)
        page = without_dark_borders(page) if steps.crop else page
    return without_background(page) if steps.background else page


def is_blank(image: Image.Image) -> bool:
    """Returns whether a page is too small or too uniform to hold text. Costs nothing, unlike a pass of the engine."""
    if min(image.size) < MIN_SIDE_PIXELS:
        return True
    darkest, lightest = image.getextrema()
    if isinstance(darkest, tuple) or isinstance(lightest, tuple):  # only of images with several bands
        raise TypeError(image.mode)
    return lightest - darkest < MIN_CONTRAST


def is_white_on_black(image: Image.Image) -> bool:
    """Returns whether a page is a photostat: its paper is dark, and its print is lighter than the paper.

    Tesseract itself tries the inverted image for each line that it cannot read, which takes twice the time.
    """
    small = sample(image, 400)
    width, height = small.size
    counts = small.crop((width // 10, height // 10, width - width // 10, height - height // 10)).histogram()
    paper, darkest, lightest = (quantile(counts, share) for share in (0.5, 0.005, 0.995))
    return paper < 128 and lightest - paper > 2 * (paper - darkest) and lightest - paper > MIN_INK_CONTRAST


def scaled(image: Image.Image, dpi: int | None, target_dpi: int = TARGET_DPI) -> Image.Image:
    """Returns the page at `target_dpi`, from its tagged resolution if that is credible, else from its usual size.

    Without this step the whole policy has 0.065 instead of 0.052, a first pass 0.092 instead of 0.060, for 2.2 times the CPU
    time. Small print needs more than 150 dpi (`MAX_SMALL_PRINT_PIXELS`). Averaging (box) is four times as fast as Lanczos.
    """
    factor = min(target_dpi / _real_dpi(image, dpi), MAX_ENLARGEMENT)
    if abs(factor - 1) < 0.05:
        return image
    return _resized(image, factor)


def _resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC)


def without_background(image: Image.Image) -> Image.Image:
    """Returns the page divided by its paper's shade, without shadows, stains and the grey of old paper.

    The paper's shade at each place is the median of the lightest shades nearby, computed on an eighth of the pixels. Without
    this step the whole policy has 0.098 instead of 0.052, a first pass 0.102 instead of 0.060.
    """
    import numpy as np  # the import takes 0.1 s once per worker; the division takes 6 ms with numpy, 32 ms without

    small = image.reduce(8).filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.MedianFilter(9))
    paper = np.maximum(np.asarray(small.resize(image.size, Image.Resampling.BILINEAR), dtype=np.float32), 1)
    page = np.asarray(image) * (255 / paper)
    np.minimum(page, 255, out=page)
    return Image.fromarray(page.astype(np.uint8))


def without_grain(image: Image.Image) -> Image.Image:
    """Returns the page with each pixel replaced by the median of its 3 x 3 neighbourhood; strokes of two pixels stay.

    On average over all pages it removes more accents than errors, so it is used only for pages that are speckled or doubtful.
    It equals Pillow's `MedianFilter(3)` except for the outermost pixels, and takes 20 ms instead of 135.
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
    """Returns the page with all shades as light as its paper made white, and its darkest ink made black."""
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
