"""Tests of ruling lines: rules and underlines are removed with their soft edges, and letters stay."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from notaflow_pipeline.ocr.input.images.ruling_lines import (
    horizontal_line_pixels,
    without_horizontal_lines,
    without_table_grid,
)
from notaflow_pipeline_tests.ocr.samples import act_page, index_page

HEIGHT = 20.0


def page_with(lines: list[tuple[int, int, int]], width: int = 4) -> Image.Image:
    """Returns a white image of 600 by 200 pixels with black strokes from `left` to `right` at `top`."""
    page = Image.new("L", (600, 200), 255)
    for left, right, top in lines:
        ImageDraw.Draw(page).rectangle((left, top, right, top + width - 1), fill=0)
    return page


def test_rule_is_made_white_with_its_soft_edge() -> None:
    blurred = page_with([(50, 500, 90)]).filter(ImageFilter.BoxBlur(1))
    cleaned = without_horizontal_lines(blurred, HEIGHT)
    assert cleaned is not None
    assert np.asarray(cleaned)[:, 60:490].min() == 255


def test_rule_of_underscores_with_gaps_is_one() -> None:
    cleaned = without_horizontal_lines(page_with([(left, left + 18, 90) for left in range(50, 450, 20)]), HEIGHT)
    assert cleaned is not None
    assert np.count_nonzero(np.asarray(cleaned) < 255) == 0


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([(50, 130, 90)], id="a dash"),
        pytest.param([(left, left + 30, 90) for left in range(50, 450, 60)], id="dashes in a row"),
        pytest.param([], id="nothing"),
    ],
)
def test_dashes_are_not_rules(lines: list[tuple[int, int, int]]) -> None:
    assert without_horizontal_lines(page_with(lines), HEIGHT) is None


def test_page_of_letters_alone_has_no_rules() -> None:
    assert without_horizontal_lines(act_page(150), 16) is None


def test_letters_above_a_rule_stay_as_they_are() -> None:
    page = act_page(150)
    ruled = page.copy()
    ImageDraw.Draw(ruled).line((150, 1000, 900, 1000), fill=0, width=3)
    assert np.asarray(page)[1000].min() == 225, "or the rule would lie over letters"
    cleaned = without_horizontal_lines(ruled, 16)
    assert cleaned is not None
    above, below = np.asarray(cleaned)[:990], np.asarray(page)[:990]
    assert np.array_equal(above, below)


def test_strip_narrower_than_a_rule_has_none() -> None:
    assert not horizontal_line_pixels(np.ones((10, 30), dtype=bool), HEIGHT).any()


def test_ruling_of_a_table_is_made_white_and_its_words_stay() -> None:
    page = index_page(9, dpi=150)
    cleaned = without_table_grid(page, 16)
    assert cleaned is not None
    rule = round(165 * 150 / 72)
    assert np.asarray(page)[300, rule] < 128
    assert np.asarray(cleaned)[200:500, rule].min() == 255
    words = np.s_[200:500, rule + 8 : round(265 * 150 / 72) - 8]
    assert np.array_equal(np.asarray(cleaned)[words], np.asarray(page)[words])


def test_edges_of_the_paper_are_no_table() -> None:
    page = act_page(150)
    for x in (30, page.width - 30):
        ImageDraw.Draw(page).line((x, 0, x, page.height), fill=0, width=4)
    assert without_table_grid(page, 16) is None


def test_pale_rules_of_a_table_are_made_white_and_a_shaded_row_stays() -> None:
    """A rule of one pixel between two rows of pixels has half the darkness of the letters."""
    page = index_page(9, dpi=150)
    draw = ImageDraw.Draw(page)
    draw.line((50, 700, 1150, 700), fill=210)
    draw.rectangle((50, 720, 1150, 750), fill=210)
    draw.text((100, 725), "Radiation", fill=40)
    cleaned = without_table_grid(page, 16)
    assert cleaned is not None
    assert np.asarray(cleaned)[700, 60:1140].min() == 255
    assert np.asarray(cleaned)[735, 1060] == 210
    assert np.asarray(cleaned)[720:750, 90:200].min() < 60
