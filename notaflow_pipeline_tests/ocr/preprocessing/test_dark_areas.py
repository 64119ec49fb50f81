"""Tests of solid dark areas: white print on them, faint print beside them, and what is not changed."""

from PIL import Image, ImageDraw, ImageFilter

from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.preprocessing.dark_areas import with_dark_areas_inverted
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline_tests.ocr.drawn_pages import Sheet


def _with_bar(ink: int, title_ink: int) -> Image.Image:
    sheet = Sheet(200, "dark areas", paper=250)
    sheet.fill(0, 0, 612, 28, 12)
    sheet.write(60, 6, "INSCRIPTION DES DROITS", 13, title_ink)
    for number in range(20):
        sheet.write(60, 100 + 18 * number, f"Lot {number} du cadastre, quittance finale", 12, ink)
    return sheet.image.filter(ImageFilter.GaussianBlur(0.5))


def test_white_print_on_a_dark_bar_is_read() -> None:
    text = read_page(_with_bar(30, 245), 200, TesseractEngine("fra"), 60).text
    assert "INSCRIPTION DES DROITS" in text


def test_a_bar_that_hides_nothing_is_not_changed() -> None:
    page = _with_bar(30, 12)
    assert with_dark_areas_inverted(page) is page


def test_large_letters_are_not_changed() -> None:
    sheet = Sheet(200, "large letters")
    sheet.write(40, 60, "VENTE", 96)
    sheet.write(40, 300, "du lot", 20, 200)
    assert with_dark_areas_inverted(sheet.image) is sheet.image


def test_a_photograph_beside_print_is_not_changed() -> None:
    sheet = Sheet(200, "photograph")
    shades = Image.frombytes("L", (12, 12), sheet.random.randbytes(144))
    sheet.image.paste(shades.resize((1000, 1000), Image.Resampling.BICUBIC), (300, 300))
    sheet.write(60, 40, "Annexe", 12, 180)
    assert with_dark_areas_inverted(sheet.image) is sheet.image


def test_a_bar_beside_faint_print_becomes_paper_with_its_edge() -> None:
    page = Image.new("L", (1700, 2200), 240)
    ImageDraw.Draw(page).rectangle((0, 401, 1699, 460), fill=20)
    for row in range(600, 1200, 40):
        ImageDraw.Draw(page).rectangle((200, row, 1400, row + 6), fill=170)
    shades = with_dark_areas_inverted(page).crop((0, 380, 1700, 480)).tobytes()
    assert min(shades) >= 235
