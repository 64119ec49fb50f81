"""Tests of borders: black edges are cropped, but nothing that has text on its outer side."""

import pytest
from PIL import Image, ImageDraw, ImageOps

from notaflow_pipeline.ocr.preprocessing.borders import without_dark_borders
from notaflow_pipeline_tests.ocr import drawn_pages
from notaflow_pipeline_tests.ocr.samples import act_page


@pytest.mark.parametrize(
    "kind",
    [
        "heading above a black bar",
        "letterhead above a rule",
        "signatures below a bar",
        "dates left of a thick rule",
        "title above a dark header row",
        "heading beyond a dark fold",
        "large photographs",
    ],
)
def test_bar_with_text_on_its_outer_side_is_not_cropped(kind: str) -> None:
    page = drawn_pages.PAGES[kind]().image
    assert without_dark_borders(page) is page


def test_frame_is_cropped_only_on_sides_without_text_outside() -> None:
    page = drawn_pages.PAGES["text outside a frame"]().image
    cropped = without_dark_borders(page)
    assert cropped.height == page.height
    assert cropped.width < page.width


def test_border_and_blank_paper_outside_it_are_cropped() -> None:
    page = act_page(200)
    framed = ImageOps.expand(page, 90, fill=8)
    for bordered in (framed, ImageOps.expand(framed, 60, fill=225)):
        assert without_dark_borders(bordered).size == pytest.approx(page.size, abs=40)


def test_white_print_on_a_black_bar_at_the_edge_is_kept() -> None:
    page = act_page(200)
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, page.width, 90), fill=5)
    assert without_dark_borders(page).height < page.height
    draw.text((200, 30), "INDEX DES IMMEUBLES DU QUEBEC", fill=245, font_size=34)
    assert without_dark_borders(page) is page


def test_image_of_any_size_without_a_border_is_not_cropped() -> None:
    for size in ((1, 1), (10, 400), (400, 10), (39, 39)):
        image = Image.new("L", size, 255)
        assert without_dark_borders(image) is image
