"""Tests of kinds of pages on which text was lost before: blank only if certain, nothing cropped, rows kept."""

import jiwer
import pytest
from PIL import Image

from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline_tests.ocr import drawn_pages
from notaflow_pipeline_tests.ocr.default_engine import default_engine

ENGINE = default_engine()

HATCHED = "hatched plan"
"""One of its six lot numbers is lost, and a word of its title."""


@pytest.mark.parametrize("kind", [kind for kind in drawn_pages.PAGES if kind != HATCHED])
def test_page_of_this_kind_is_read_in_order(kind: str) -> None:
    page = drawn_pages.PAGES[kind]()
    found = read_page(page.image, page.dpi, ENGINE, 120)
    assert jiwer.cer(" ".join(page.text.split()), " ".join(found.text.split()) or " ") < 0.03
    assert found.coverage is None or found.coverage > 0.5


def test_text_beside_hatching_is_read() -> None:
    page = drawn_pages.PAGES[HATCHED]()
    found = read_page(page.image, page.dpi, ENGINE, 120).text
    assert sum(word in found.split() for word in page.text.split()) > 0.8 * len(page.text.split())


def test_page_of_only_a_picture_is_not_called_blank_without_a_pass() -> None:
    clouds = Image.frombytes("L", (30, 40), bytes(range(60, 180)) * 10).resize((1240, 1754), Image.Resampling.BICUBIC)
    found = read_page(clouds, 150, ENGINE, 120)
    assert found.passes > 0
    assert not found.blank
