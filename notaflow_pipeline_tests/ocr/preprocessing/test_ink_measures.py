"""Tests of ink measures: whether a page has ink, and whether it is text."""

import pytest
from PIL import Image, ImageChops, ImageDraw

from notaflow_pipeline.ocr.preprocessing.ink_measures import densest_rows_top, has_no_ink, measure_ink
from notaflow_pipeline.ocr.preprocessing.preprocess import Steps, prepare, without_background, without_grain
from notaflow_pipeline_tests.ocr import drawn_pages
from notaflow_pipeline_tests.ocr.samples import act_page
from notaflow_pipeline_tests.testing.noise import noise_image


@pytest.fixture(scope="module")
def page() -> Image.Image:
    return act_page()


def test_paper_has_no_ink_but_a_page_number_has() -> None:
    paper = noise_image((1240, 1754), 6)
    assert has_no_ink(without_background(paper))
    numbered = paper.copy()
    ImageDraw.Draw(numbered).text((600, 1600), "12", fill=40, font_size=26)
    assert not has_no_ink(without_background(numbered))


def test_noise_is_distinguished_from_text(page: Image.Image) -> None:
    pepper = noise_image((1240, 1754), 120).point([0 if value < 30 else 255 for value in range(256)])
    assert measure_ink(pepper).is_speckled
    assert not measure_ink(page).is_speckled
    assert not measure_ink(page).is_solid
    peppered = Image.composite(page, Image.new("L", page.size, 0), pepper.resize(page.size))
    assert not measure_ink(without_grain(peppered)).is_speckled


@pytest.mark.parametrize("points", [8, 10, 12])
def test_page_set_full_on_grainy_paper_has_ink(points: int) -> None:
    full = drawn_pages.full_page(points, 150).image
    grainy = ImageChops.add(full, Image.effect_noise(full.size, 6), offset=-128)
    assert not has_no_ink(without_background(grainy))


@pytest.mark.parametrize("contrast", [14, 18, 30])
def test_faint_print_on_smooth_paper_is_ink(contrast: int) -> None:
    faint = act_page().point([225 if value > 140 else 225 - contrast for value in range(256)])
    assert not has_no_ink(without_background(faint))


def test_number_at_the_edge_of_the_page_is_ink() -> None:
    paper = Image.effect_noise((1240, 1754), 6)
    ImageDraw.Draw(paper).text((14, 800), "127", fill=40, font_size=26)
    assert not has_no_ink(without_background(paper))


@pytest.mark.parametrize("deviation", [2, 6, 20, 40])
def test_noise_of_any_strength_is_not_ink(deviation: int) -> None:
    prepared = prepare(Image.effect_noise((1240, 1754), deviation), 150, Steps(straighten=False))
    assert has_no_ink(prepared.image, deviation)


def test_densest_rows_are_those_with_print() -> None:
    page = act_page()
    ImageDraw.Draw(page).rectangle((100, 900, 1100, 1150), fill=30)
    top = densest_rows_top(page, 90)
    assert 140 < top < 700
    assert densest_rows_top(page, page.height) == 0
