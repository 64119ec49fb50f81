"""Tests of white print on dark areas: it is found, and such a page is also read without preprocessing."""

import pytest
from PIL import Image, ImageFilter

from notaflow_pipeline.ocr.preprocessing.white_print import has_white_print
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline_tests.ocr import drawn_pages
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.drawn_pages import Sheet


def half_dark(*, white_print: bool) -> Sheet:
    """Returns a sheet whose left half is dark."""
    sheet = Sheet(200, "dark half")
    sheet.fill(0, 0, 306, 792, 25)
    for number in range(24):
        if white_print:
            sheet.write(30, 60 + 28 * number, f"Lot 3 77{number % 10} 29{number % 7} vente du", 11, 240)
    for number in range(24):
        sheet.write(330, 60 + 28 * number, f"Inscription {10 + number} 45{number % 10} 123", 11)
    return sheet


def test_white_print_in_the_dark_half_of_a_page_is_read() -> None:
    page = half_dark(white_print=True).page()
    words = read_page(page.image, 200, default_engine(), 60).text.split()
    assert sum(word in words for word in page.text.split()) > 0.98 * len(page.text.split())


@pytest.mark.parametrize("contrast", [1.0, 0.3])
def test_white_title_on_a_bar_is_white_print(contrast: float) -> None:
    sheet = Sheet(200, "title", paper=250)
    sheet.fill(0, 0, 612, 28, 12)
    sheet.write(60, 6, "INSCRIPTION DES DROITS", 13, 245)
    faint = sheet.image.point(lambda value: 255 - contrast * (255 - value))
    assert has_white_print(faint.filter(ImageFilter.GaussianBlur(0.5)))


@pytest.mark.parametrize("kind", ["page full of 8 points", "large photographs", "dark border", "hatched plan"])
def test_dark_print_borders_and_photographs_are_not_white_print(kind: str) -> None:
    assert not has_white_print(drawn_pages.PAGES[kind]().image)


def test_dark_area_and_tiny_image_without_print_are_not_white_print() -> None:
    page = half_dark(white_print=False).image
    assert not has_white_print(page)
    assert not has_white_print(page.point(lambda value: 180 + value * 0.3))
    assert not has_white_print(Image.new("L", (20, 20)))
