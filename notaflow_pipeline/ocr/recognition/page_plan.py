"""Decides from a page's measures how it is preprocessed for its first pass, and whether there is anything to read."""

from dataclasses import dataclass, replace

from PIL import Image

from notaflow_pipeline.ocr.preprocessing.ink_measures import has_no_ink
from notaflow_pipeline.ocr.preprocessing.noise import has_dust
from notaflow_pipeline.ocr.preprocessing.preprocess import (
    FINE_DPI,
    SMALL_PRINT_DPI,
    TARGET_DPI,
    PreprocessedPage,
    Steps,
    at_resolution,
    is_blurred,
    median_filtered,
    noise_of,
    prepare,
    small_print_dpi,
    with_halftones_merged,
    with_plain_paper,
    without_grain,
)
from notaflow_pipeline.ocr.recognition.page_measures import PageMeasures, is_dithered, is_noisy, measure

MAX_TINY_PRINT_PIXELS, TINY_PRINT_DPI = 7, 300
"""At 150 dpi: print of 4.5 points, whose strokes look like specks at that resolution."""

MAX_VERY_SMALL_PRINT_PIXELS = 9
"""At 150 dpi: print of six points, and digits of eight."""


@dataclass(frozen=True)
class Plan:
    """How a page is read first.

    `is_picture` says that the page has more picture than text, `has_small_digits` that its print is so small that numbers
    of a table can run together, `is_reduced` that its resolution was slightly reduced, which blurs thin strokes, and
    `is_filtered` that specks were removed. `noise` is the noise of the page before preprocessing.
    """

    prepared: PreprocessedPage
    is_picture: bool = False
    has_small_digits: bool = False
    is_reduced: bool = False
    is_filtered: bool = False
    noise: float = 0.0


def plan(image: Image.Image, dpi: int | None, steps: Steps, first_dpi: int | None = None) -> Plan | None:
    """Preprocesses a page for its first pass; returns None if it is certainly blank.

    `first_dpi` replaces the choice of a resolution.
    """
    target_dpi = first_dpi or TARGET_DPI
    plain_steps = replace(steps, denoise=False)
    if steps.denoise and has_dust(image):  # before the resolution is reduced, which smears specks
        image = without_grain(image)
    noise = noise_of(PreprocessedPage(image, target_dpi, image, dpi, steps)) if steps.denoise else 0.0
    if is_dithered(noise):
        prepared = with_halftones_merged(image, dpi, plain_steps, target_dpi)
    else:
        prepared = prepare(image, dpi, steps if is_noisy(noise) else plain_steps, target_dpi)
    # the noise that remains looks like specks
    filtered = median_filtered(prepared) if is_noisy(noise) else prepared
    if steps.background and has_no_ink(filtered.image, noise):
        return None
    prepared, measures = _at_resolution_of_print(prepared, noise, first_dpi)
    is_speckled = measures.ink.is_speckled
    if is_speckled:
        clean = _without_specks(image, dpi, prepared, measures)
        if clean is None:
            return None
        prepared, measures = clean, measure(clean, measures.noise)
    return replace(_plan_of(prepared, measures, first_dpi), is_filtered=is_speckled)


def plan_of_turned(planned: Plan, turned: PreprocessedPage, first_dpi: int | None = None) -> Plan:
    """Returns the plan for the same page after a turn by a quarter, at the resolution for its print.

    The height of the print cannot be measured on a page that lies sideways. A page whose specks were removed keeps its
    resolution.
    """
    if planned.is_filtered:
        return replace(planned, prepared=turned)
    coarse = at_resolution(turned, first_dpi or TARGET_DPI)
    return _plan_of(*_at_resolution_of_print(coarse, planned.noise, first_dpi), first_dpi)


def _at_resolution_of_print(
    prepared: PreprocessedPage, noise: float, first_dpi: int | None
) -> tuple[PreprocessedPage, PageMeasures]:
    """Returns the page at a higher resolution if its print needs one, and its measures."""
    measures = measure(prepared, noise)
    if first_dpi is None and prepared.steps.scale and (finer := _finer_dpi(measures, prepared)):
        prepared = at_resolution(prepared, finer)
        fine = measure(prepared, noise)
        is_small = finer >= SMALL_PRINT_DPI and not fine.ink.is_speckled
        measures = replace(fine, has_blurred_print=measures.has_blurred_print or is_small)
    return prepared, measures


def _plan_of(prepared: PreprocessedPage, measures: PageMeasures, first_dpi: int | None) -> Plan:
    has_small_digits = measures.has_blurred_print or measures.is_small_print
    is_reduced = prepared.steps.scale and first_dpi is None and is_blurred(prepared)
    return Plan(prepared, measures.ink.is_solid, has_small_digits, is_reduced, noise=measures.noise)


def _finer_dpi(measures: PageMeasures, prepared: PreprocessedPage) -> int | None:
    """Returns a higher resolution than that of the first pass if the print needs one."""
    if is_dithered(measures.noise):
        return None
    if measures.ink.print_height_pixels <= MAX_TINY_PRINT_PIXELS and measures.ink.is_speckled:
        return TINY_PRINT_DPI
    if measures.ink.print_height_pixels <= MAX_VERY_SMALL_PRINT_PIXELS or (
        measures.ink.is_small_print and measures.has_blurred_print
    ):
        return small_print_dpi(prepared)
    return FINE_DPI if measures.ink.is_small_print or measures.has_blurred_print else None


def _without_specks(
    image: Image.Image, dpi: int | None, prepared: PreprocessedPage, measures: PageMeasures
) -> PreprocessedPage | None:
    """Returns the page without single dark pixels, or None if nothing readable is left.

    If the pixels are a pattern, such as hatching, they are blurred until they merge.
    """
    clean = median_filtered(prepared)
    after = measure(clean, measures.noise).ink
    if not (after.is_speckled or after.is_solid or has_no_ink(clean.image)):
        return replace(clean, is_filtered=True)
    soft = with_halftones_merged(image, dpi, prepared.steps, prepared.dpi or TARGET_DPI)
    if has_no_ink(soft.image, measures.noise):
        return None
    return replace(soft, image=with_plain_paper(soft.image))
