"""Tests of pages with a few marks: a lone figure is read, and grain around it costs no time."""

import pytest
from PIL import Image

from notaflow_pipeline.ocr.preprocessing.ink_measures import ink_boxes, splits_into_grain
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.drawn_pages import Sheet
from notaflow_pipeline_tests.testing.noise import noisy

SECONDS = 60.0


def page_with(text: str, *, dpi: int = 200, noise: float = 0.0, paper: int = 255) -> Image.Image:
    sheet = Sheet(dpi, text, paper=paper)
    sheet.write(540, 740, text, 12)
    return noisy(sheet.page().image, noise) if noise else sheet.page().image


@pytest.mark.parametrize(("text", "noise"), [("4", 0.0), ("4", 4.0), ("A", 0.0), ("7", 4.0)])
def test_lone_character_is_read(text: str, noise: float) -> None:
    page = page_with(text, noise=noise)
    read = read_page(page, 200, default_engine(), SECONDS)
    assert read.text == text
    assert read.passes < 8


def test_marks_near_each_other_are_in_one_box_and_others_apart() -> None:
    page = Image.new("L", (600, 800), 255)
    for box in ((100, 100, 119, 119), (126, 100, 139, 119), (400, 600, 439, 639)):
        page.paste(0, box)
    assert ink_boxes(page) == [(400, 600, 440, 640), (100, 100, 140, 120)]


def test_page_with_much_ink_has_no_marks() -> None:
    sheet = Sheet(150, "prose", paper=255)
    sheet.prose(60, 60, 552, 300)
    assert ink_boxes(sheet.page().image) == []


@pytest.mark.parametrize("dpi", [150, 300])
def test_grain_of_a_page_with_hardly_any_ink_is_found(dpi: int) -> None:
    assert splits_into_grain(page_with("4", dpi=dpi, noise=4.0))
    assert splits_into_grain(page_with("4", dpi=dpi, noise=10.0, paper=235))


def test_print_faint_or_not_is_no_grain() -> None:
    for ink in (20, 215):
        sheet = Sheet(150, "faint", paper=235)
        for number in range(40):
            sheet.write(60, 60 + 16 * number, sheet.sentence(), 11, ink)
        assert not splits_into_grain(noisy(sheet.page().image, 2.0))
