"""Tests of lines that curve near the fold of a book: they are read like level ones.

Pages with level lines are unchanged.
"""

import jiwer
import numpy as np
import pytest
from PIL import Image

from notaflow_pipeline.ocr.preprocessing.curved_lines import LineCurve, line_curve
from notaflow_pipeline.ocr.preprocessing.preprocess import at_resolution, prepare
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.words.word_positions import words_on_page
from notaflow_pipeline_tests.ocr import drawn_pages
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.drawn_pages import DrawnPage, Sheet

ENGINE = default_engine()


def book_page(points: float = 10, dpi: int = 200) -> DrawnPage:
    sheet = Sheet(dpi, "book")
    sheet.prose(60, 80, 590, 720, points)
    return sheet.page()


def curved(page: DrawnPage, fall: float, from_share: float = 0.55) -> Image.Image:
    """Returns the page with lines that fall by this number of points at its right edge, where the shadow of the fold
    lies.
    """
    shades = np.asarray(page.image, dtype=np.float32)
    height, width = shades.shape
    across = np.arange(width)
    along = np.clip((across / width - from_share) / (1 - from_share), 0, 1)
    falls = np.round(fall * page.dpi / 72 * along**2).astype(np.intp)
    rows = np.clip(np.arange(height)[:, None] - falls[None, :], 0, height - 1)
    shadow = 90 * np.exp((across - width) / (0.02 * width))
    moved = np.take_along_axis(shades, rows, axis=0) - shadow[None, :]
    return Image.fromarray(moved.clip(0, 255).astype(np.uint8))


def error_rate(page: DrawnPage, image: Image.Image) -> float:
    found = read_page(image, page.dpi, ENGINE, 120).text
    return float(jiwer.cer(" ".join(page.text.split()), " ".join(found.split()) or " "))


@pytest.mark.parametrize(("points", "dpi", "fall"), [(10, 200, 16), (10, 200, -50), (8, 150, 30), (12, 150, 50)])
def test_lines_that_curve_towards_the_fold_are_read(points: float, dpi: int, fall: float) -> None:
    page = book_page(points, dpi)
    assert error_rate(page, curved(page, fall)) < 0.01


@pytest.mark.parametrize("turned", [Image.Transpose.FLIP_LEFT_RIGHT, None], ids=["left", "right"])
def test_curve_at_either_side_of_the_page_is_measured(turned: Image.Transpose | None) -> None:
    image = curved(book_page(), 30)
    found = line_curve(image.transpose(turned) if turned else image)
    assert found is not None
    at_the_edge_of_the_print = 25 / 612
    assert max(found.falls) - min(found.falls) == pytest.approx(at_the_edge_of_the_print, abs=0.006)


@pytest.mark.parametrize("degrees", [90, 180])
def test_curved_page_that_was_turned_is_read(degrees: int) -> None:
    page = book_page()
    assert error_rate(page, curved(page, 30).rotate(degrees, expand=True)) < 0.01


def test_curved_page_is_level_at_another_resolution_too() -> None:
    prepared = prepare(curved(book_page(), 40), 200)
    assert prepared.curve is not None
    assert line_curve(at_resolution(prepared, 250).image) is None


def test_word_on_a_curved_page_is_placed_where_it_stands() -> None:
    page = book_page()
    flat, bent = (prepare(image, 200) for image in (page.image, curved(page, 40)))
    assert flat.curve is None
    words = ENGINE.find_words(bent.image, bent.dpi, 60, "fra")
    last = max((word for word in words if word.top < 300), key=lambda word: word.right)
    (placed,) = words_on_page([last], bent)
    (level,) = words_on_page([last], flat)
    fall = 40 * 200 / 72 * ((placed.left + placed.width / 2) / 1700 - 0.55) ** 2 / 0.45**2
    assert placed.middle - level.middle == pytest.approx(fall, abs=12)


@pytest.mark.parametrize(
    "kind",
    ["ruled index of 60 rows", "typed index turned 90", "two columns of 9 points", "hatched plan", "large photographs"],
)
def test_page_with_level_lines_is_not_taken_for_curved(kind: str) -> None:
    page = drawn_pages.PAGES[kind]()
    assert prepare(page.image, page.dpi).curve is None


@pytest.mark.parametrize("size", [(1, 1), (11, 400), (40, 40), (700, 3), (1240, 1754)])
def test_small_and_empty_images_have_no_curve(size: tuple[int, int]) -> None:
    assert line_curve(Image.new("L", size, 255)) is None


def test_pixels_are_moved_by_the_fall_of_their_lines() -> None:
    image = Image.new("L", (100, 40), 255)
    image.paste(0, (0, 10, 50, 12))
    image.paste(0, (50, 15, 100, 17))
    level = LineCurve((*[0.0] * 50, *[0.05] * 50)).straightened(image)
    assert level.crop((0, 10, 100, 12)).getextrema() == (0, 0)
