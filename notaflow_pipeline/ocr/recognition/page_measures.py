"""Measures a page once: noise, ink, print height. `page_plan` decides what follows."""

from dataclasses import dataclass

from notaflow_pipeline.ocr.preprocessing.ink_measures import InkMeasures, measure_ink
from notaflow_pipeline.ocr.preprocessing.noise import MIN_REMOVED_NOISE
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage, is_blurred

MIN_PATTERN_NOISE = 45.0
"""A standard deviation, of 255 shades. No sensor has so much; fax machines and printers do, which make grey of black dots."""

MAX_TABLE_PRINT_PIXELS = 13
"""At 150 dpi; the printed index pages among the samples have 8 to 13."""


@dataclass(frozen=True)
class PageMeasures:
    """What a page looks like at the resolution of a first pass."""

    noise: float
    ink: InkMeasures
    has_blurred_print: bool
    """Whether bringing it to that resolution blurs small print."""

    @property
    def is_small_print(self) -> bool:
        """Whether numbers of a table could run together."""
        return self.ink.print_height_pixels <= MAX_TABLE_PRINT_PIXELS and not self.ink.is_speckled


def is_noisy(noise: float) -> bool:
    """Whether noise of a sensor is worth removing."""
    return MIN_REMOVED_NOISE <= noise < MIN_PATTERN_NOISE


def is_dithered(noise: float) -> bool:
    """Whether the grey of a page with so much noise is made of black dots."""
    return noise >= MIN_PATTERN_NOISE


def measure(prepared: PreprocessedPage, noise: float) -> PageMeasures:
    """Measure a prepared page; `noise` is what it had before it was prepared."""
    ink = measure_ink(prepared.image)
    small = ink.print_height_pixels <= MAX_TABLE_PRINT_PIXELS and not ink.is_speckled
    return PageMeasures(noise, ink, small and is_blurred(prepared))
