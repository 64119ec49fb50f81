"""Preparing: each step does its own and leaves alone what does not need it."""

import pytest
from PIL import Image, ImageDraw, ImageOps

from notaflow_pipeline.ocr.preparing import (
    Steps,
    has_no_ink,
    is_white_on_black,
    lies_on_its_side,
    prepare,
    scaled,
    skew_degrees,
    texture,
    turned,
    without_background,
    without_dark_borders,
    without_grain,
)
from notaflow_pipeline_tests.ocr.samples import act_page


@pytest.fixture(scope="module")
def page() -> Image.Image:
    return act_page()


def test_dark_border_is_cut_off_and_a_page_without_one_is_left_alone(page: Image.Image) -> None:
    framed = ImageOps.expand(page, 120, fill=5)
    assert abs(without_dark_borders(framed).width - page.width) <= 32
    assert without_dark_borders(page) is page


def test_photostat_is_told_from_a_dark_page(page: Image.Image) -> None:
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
        ((300, 424), None, (600, 848)),  # never enlarged more than twice
        ((4961, 3508), None, (2333, 1650)),  # an open book
        ((1000, 300), None, (1000, 300)),  # a slip
    ],
)
def test_page_is_scaled_by_its_real_size_whatever_its_tag_says(
    size: tuple[int, int], dpi: int | None, expected: tuple[int, int]
) -> None:
    assert scaled(Image.new("L", size), dpi).size == pytest.approx(expected, abs=2)


def test_shadow_over_the_paper_is_divided_away(page: Image.Image) -> None:
    shadow = Image.linear_gradient("L").resize(page.size).point([128 + value // 2 for value in range(256)])
    shaded = Image.composite(page, Image.new("L", page.size, 0), shadow)
    paper = without_background(shaded).getpixel((page.width // 2, 4))
    assert isinstance(paper, int | float)
    assert paper > 240


@pytest.mark.parametrize("degrees", [-7, -3, 3, 7])
def test_skew_is_measured_to_a_quarter_of_a_degree(page: Image.Image, degrees: int) -> None:
    assert skew_degrees(turned(page, degrees)) == pytest.approx(-degrees, abs=0.26)


def test_level_page_is_not_turned(page: Image.Image) -> None:
    assert prepare(page, 150).skew_degrees == 0


@pytest.mark.parametrize(("degrees", "lying"), [(0, False), (90, True), (180, False), (270, True)])
def test_page_on_its_side_is_noticed(page: Image.Image, degrees: int, lying: bool) -> None:
    assert lies_on_its_side(page.rotate(degrees, expand=True)) is lying


def test_paper_has_no_ink_but_a_page_number_has() -> None:
    paper = Image.effect_noise((1240, 1754), 6)
    assert has_no_ink(without_background(paper))
    numbered = paper.copy()
    ImageDraw.Draw(numbered).text((600, 1600), "12", fill=40, font_size=26)
    assert not has_no_ink(without_background(numbered))


def test_noise_is_told_from_text(page: Image.Image) -> None:
    pepper = Image.effect_noise((1240, 1754), 120).point([0 if value < 30 else 255 for value in range(256)])
    assert texture(pepper).speckled
    assert not texture(page).speckled
    assert not texture(page).solid
    peppered = Image.composite(page, Image.new("L", page.size, 0), pepper.resize(page.size))
    assert not texture(without_grain(peppered)).speckled


def test_steps_can_be_switched_off(page: Image.Image) -> None:
    nothing = prepare(page, 150, Steps(*[False] * 6))
    assert nothing.image is page
    assert (nothing.dpi, nothing.quarter_turns, nothing.skew_degrees) == (150, 0, 0)
