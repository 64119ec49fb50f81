"""Measures a page once: noise, ink, print height. `page_plan` decides from them how the page is read."""

from dataclasses import dataclass

from notaflow_pipeline.ocr.preprocessing.ink_measures import InkMeasures, measure_ink
from notaflow_pipeline.ocr.preprocessing.noise import MIN_REMOVED_NOISE
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage, is_blurred

MIN_PATTERN_NOISE = 45.0
"""A standard deviation, in shades of 255. No sensor has so much noise; fax machines and printers do, which make grey from
black dots."""

MAX_TABLE_PRINT_PIXELS = 13
"""At 150 dpi; the printed index pages among the samples have 8 to 13."""


@dataclass(frozen=True)
class PageMeasures:
    """The measures of a page at the resolution of a first pass."""

    noise: float
    ink: InkMeasures
    has_blurred_print: bool
    """Whether the reduction to that resolution blurs small print."""

    @property
    def is_small_print(self) -> bool:
        """Whether numbers of a table can run together."""
        return self.ink.print_height_pixels <= MAX_TABLE_PRINT_PIXELS and not self.ink.is_speckled


def is_noisy(noise: float) -> bool:
    """Returns whether the page has sensor noise that is removed before a pass."""
    return MIN_REMOVED_NOISE <= noise < MIN_PATTERN_NOISE


def is_dithered(noise: float) -> bool:
    """Returns whether the grey of a page with this noise consists of black dots."""
    return noise >= MIN_PATTERN_NOISE


def measure(prepared: PreprocessedPage, noise: float) -> PageMeasures:
    """Measures a preprocessed page; `noise` is its noise before preprocessing."""
    ink = measure_ink(prepared.image)
    small = ink.print_height_pixels <= MAX_TABLE_PRINT_PIXELS and not ink.is_speckled
    return PageMeasures(noise, ink, small and is_blurred(prepared))
