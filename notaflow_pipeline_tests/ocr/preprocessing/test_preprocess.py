"""Tests of preprocessing: each step has its effect, and does not change a page that does not need it."""

from dataclasses import fields

import pytest
from PIL import Image, ImageOps

from notaflow_pipeline.ocr.preprocessing.borders import without_dark_borders
from notaflow_pipeline.ocr.preprocessing.preprocess import (
    Steps,
    is_white_on_black,
    noise_of,
    prepare,
    scaled,
    unprocessed,
    without_background,
)
from notaflow_pipeline_tests.ocr.samples import act_page
from notaflow_pipeline_tests.testing.noise import noise_image


@pytest.fixture(scope="module")
def page() -> Image.Image:
    return act_page()


def test_dark_border_is_cropped_and_a_page_without_one_is_unchanged(page: Image.Image) -> None:
    framed = ImageOps.expand(page, 120, fill=5)
    assert abs(without_dark_borders(framed).width - page.width) <= 32
    assert without_dark_borders(page) is page


def test_skewed_dark_border_is_cropped(page: Image.Image) -> None:
    framed = ImageOps.expand(page, 60, fill=5).rotate(5, Image.Resampling.BICUBIC, expand=True, fillcolor=225)
    prepared = prepare(framed, 150)
    assert prepared.skew_degrees == pytest.approx(-5, abs=0.26)
    assert prepared.image.size == pytest.approx(page.size, abs=32)


def test_photostat_is_distinguished_from_a_dark_page(page: Image.Image) -> None:
    assert is_white_on_black(ImageOps.invert(page))
    assert not is_white_on_black(page)
    assert not is_white_on_black(page.point([value // 4 for value in range(256)]))


@pytest.mark.parametrize(
    ("size", "dpi", "expected"),
    [
        ((2480, 3508), 300, (1240, 1754)),
        ((2480, 3508), None, (1240, 1754)),
        ((2480, 3508), 72, (1240, 1754)),  # a tag that makes the page 34 inches wide
        ((2480, 3508), 1200, (1240, 1754)),  # and one that makes it 2
        ((620, 877), None, (1240, 1754)),
        ((300, 424), None, (600, 848)),  # enlarged at most twice
        ((4961, 3508), None, (2333, 1650)),  # an open book
        ((1000, 300), None, (1000, 300)),  # a slip
    ],
)
def test_page_is_scaled_by_its_real_size_whatever_its_tag_is(
    size: tuple[int, int], dpi: int | None, expected: tuple[int, int]
) -> None:
    assert scaled(Image.new("L", size), dpi).size == pytest.approx(expected, abs=2)


def test_shadow_on_the_paper_is_removed(page: Image.Image) -> None:
    shadow = Image.linear_gradient("L").resize(page.size).point([128 + value // 2 for value in range(256)])
    shaded = Image.composite(page, Image.new("L", page.size, 0), shadow)
    paper = without_background(shaded).getpixel((page.width // 2, 4))
    assert isinstance(paper, int | float)
    assert paper > 240


@pytest.mark.parametrize(("dpi", "expected"), [(150, 150), (300, 300), (340, 340), (400, 300), (1200, 300)])
def test_page_without_preprocessing_has_300_dpi_at_most(dpi: int, expected: int) -> None:
    size = 6 * dpi, 8 * dpi
    found = unprocessed(Image.new("L", size, 255), dpi)
    assert found.dpi == expected
    assert found.image.size == (6 * expected, 8 * expected)
    assert found.source.size == size


def test_steps_can_be_switched_off(page: Image.Image) -> None:
    nothing = prepare(page, 150, Steps(*[False] * len(fields(Steps))))
    assert nothing.image is page
    assert (nothing.dpi, nothing.quarter_turns, nothing.skew_degrees) == (150, 0, 0)


@pytest.mark.parametrize("dpi", [None, 1, 150, 100_000])
@pytest.mark.parametrize("size", [(10, 10), (1000, 20), (20, 1000), (300, 500)])
def test_noise_of_an_image_of_any_size_and_tag_is_measured(size: tuple[int, int], dpi: int | None) -> None:
    assert 0 <= noise_of(prepare(noise_image(size, 30), dpi)) < 60
