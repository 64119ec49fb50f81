"""Tests of plans: the resolution follows the print, also on a page that was first laid the wrong way."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from notaflow_pipeline.ocr.preprocessing.preprocess import ALL_STEPS, at_resolution, rotated_by_quarter, unrotated
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.page_plan import plan, plan_of_turned
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.drawn_pages import ruled_index, two_columns
from notaflow_pipeline_tests.ocr.samples import index_page

ENGINE = default_engine()


def test_print_of_a_page_that_was_laid_on_its_side_is_measured_upright() -> None:
    sideways = plan(index_page(10, dpi=200), 200, ALL_STEPS)
    assert sideways
    assert (sideways.prepared.quarter_turns, sideways.prepared.dpi) == (1, 250), "or it shows nothing"
    upright = plan_of_turned(sideways, unrotated(sideways.prepared))
    assert (upright.prepared.quarter_turns, upright.prepared.dpi) == (0, 150)
    assert not upright.has_small_digits


@pytest.mark.parametrize("first_dpi", [None, 150, 200])
def test_plan_of_a_page_turned_twice_is_the_first_plan(first_dpi: int | None) -> None:
    first = plan(ruled_index(10, 200, 30, 17).image, 200, ALL_STEPS, first_dpi)
    assert first
    turned = plan_of_turned(first, rotated_by_quarter(first.prepared), first_dpi)
    again = plan_of_turned(turned, unrotated(turned.prepared), first_dpi)
    assert (again.prepared.dpi, again.has_small_digits) == (first.prepared.dpi, first.has_small_digits)
    assert again.prepared.image.tobytes() == first.prepared.image.tobytes()


@pytest.mark.parametrize(("scanned", "read"), [(200, 250), (300, 300), (400, 250)])
def test_small_print_is_not_blurred_by_a_slight_reduction(scanned: int, read: int) -> None:
    planned = plan(ruled_index(5, scanned, 30, 17).image, scanned, ALL_STEPS)
    assert planned
    assert planned.prepared.dpi == read
    assert planned.has_small_digits


def test_specks_stay_removed_at_a_higher_resolution() -> None:
    page = two_columns(8, 200).image
    planned = plan(dusty(page.point(lambda value: 255 * (value > 150)), 0.02), 200, ALL_STEPS)
    assert planned
    assert planned.is_filtered, "or it shows nothing"
    margin = at_resolution(planned.prepared, 200).image.crop((0, 0, 1700, 80))
    assert np.mean(np.asarray(margin) < 128) < 0.001


def test_print_under_dust_is_read_like_clean_print() -> None:
    page = two_columns(8, 200)
    clean, found = (read_page(image, 200, ENGINE, 60).text.split() for image in (page.image, dusty(page.image, 0.01)))
    assert (Counter(clean) & Counter(found)).total() > 0.98 * len(clean)


def dusty(page: Image.Image, share: float) -> Image.Image:
    """Returns a page on which this share of the pixels is black."""
    specks = np.random.default_rng(1).random((page.height, page.width)) < share
    return Image.fromarray(np.where(specks, np.uint8(0), np.asarray(page)))
