"""Ink: whether there is any, and whether it is text."""

import pytest
from PIL import Image, ImageDraw

from notaflow_pipeline.ocr.ink import has_no_ink, texture
from notaflow_pipeline.ocr.preparing import without_background, without_grain
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


def test_noise_is_told_from_text(page: Image.Image) -> None:
    pepper = noise_image((1240, 1754), 120).point([0 if value < 30 else 255 for value in range(256)])
    assert texture(pepper).speckled
    assert not texture(page).speckled
    assert not texture(page).solid
    peppered = Image.composite(page, Image.new("L", page.size, 0), pepper.resize(page.size))
    assert not texture(without_grain(peppered)).speckled
