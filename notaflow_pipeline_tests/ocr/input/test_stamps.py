"""Tests of coloured stamps over print: both are read, and nothing else in colour is treated as a stamp."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from notaflow_pipeline.ocr.document import PageText
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.input.images.stamps import remove_stamps, stamps_over_print
from notaflow_pipeline.ocr.input.probe import probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.jobs import PageRequest, page_job

Colour = tuple[int, int, int]

RED, BLUE, GREEN, VIOLET = (197, 21, 32), (30, 50, 160), (20, 130, 60), (110, 60, 150)
LINES = (
    "Un immeuble connu et designe comme etant le lot numero 3 770 292 du",
    "cadastre du Quebec, circonscription fonciere de Levis, avec une",
    "maison dessus construite portant le numero 4578, chemin du Fleuve.",
    "Cette vente est faite pour le prix de 75 000,00 $ que le vendeur",
    "reconnait avoir recu de l'acheteur, dont quittance totale et finale.",
)


def print_page() -> Image.Image:
    """Returns a letter page at 200 dpi with a paragraph of print in the middle."""
    page = Image.new("RGB", (1700, 2200), "white")
    font = ImageFont.load_default(size=36)
    for number, line in enumerate(LINES):
        ImageDraw.Draw(page).text((250, 900 + 60 * number), line, fill="black", font=font)
    return page


def stamp(colour: Colour) -> Image.Image:
    """Returns a tilted stamp as large as a page."""
    layer = Image.new("RGB", (1700, 2200), "white")
    draw = ImageDraw.Draw(layer)
    draw.rectangle((500, 880, 1400, 1250), outline=colour, width=10)
    draw.text((540, 1010), "RECU 28 123 456", fill=colour, font=ImageFont.load_default(size=80))
    return layer.rotate(5, Image.Resampling.BICUBIC, fillcolor="white")


def stamped_page(colour: Colour) -> Image.Image:
    return ImageChops.multiply(print_page(), stamp(colour))


def read(path: Path) -> PageText:
    page = page_job(PageRequest(path, probe_document(path, Limits()), 1, 300, Limits()), TesseractEngine())
    assert isinstance(page, PageText)
    return page


@pytest.mark.parametrize("name", ["page.jpg", "page.png", "page.pdf"])
def test_print_under_a_stamp_is_read_and_so_is_the_stamp(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    options = {"resolution": 200} if name.endswith("pdf") else {"dpi": (200, 200)}
    stamped_page(RED).save(path, **options)
    text = read(path).text
    assert "lot numero 3 770 292 du" in text
    assert "portant le numero 4578, chemin" in text
    assert "75 000,00 $" in text
    assert "28 123 456" in text


def test_stamp_on_a_page_that_is_turned_by_its_tag_is_turned_with_it(tmp_path: Path) -> None:
    page = stamped_page(RED).transpose(Image.Transpose.ROTATE_90)
    exif = page.getexif()
    exif[0x0112] = 6  # rotate clockwise
    page.save(tmp_path / "page.jpg", exif=exif, dpi=(200, 200))
    text = read(tmp_path / "page.jpg").text
    assert "lot numero 3 770 292 du" in text
    assert "28 123 456" in text


@pytest.mark.parametrize("colour", [RED, BLUE, GREEN, VIOLET], ids=["red", "blue", "green", "violet"])
@pytest.mark.parametrize("paper", [(255, 255, 255), (235, 220, 190)], ids=["white", "yellowed"])
def test_stamp_of_any_colour_is_removed_from_the_print(colour: Colour, paper: Colour) -> None:
    page = ImageChops.multiply(stamped_page(colour), Image.new("RGB", (1700, 2200), paper))
    bare = ImageChops.multiply(print_page(), Image.new("RGB", (1700, 2200), paper))
    stamps = stamps_over_print(page)
    assert len(stamps) == 1
    alone = remove_stamps(page, stamps)
    difference = np.abs(np.asarray(page.convert("L"), dtype=int) - np.asarray(bare.convert("L"), dtype=int))
    assert np.mean(difference > 100) < 0.0005  # of the page; the stamp has 0.01
    assert np.mean(np.asarray(alone) < 100) > 0.005


def headings(page: Image.Image) -> None:
    for top in (700, 1300):
        ImageDraw.Draw(page).text((250, top), "DESIGNATION DU LOT", fill=BLUE, font=ImageFont.load_default(size=60))


def highlighting(page: Image.Image) -> None:
    marked = Image.new("RGB", page.size, "white")
    ImageDraw.Draw(marked).rectangle((240, 890, 1400, 1010), fill=(255, 150, 200))
    page.paste(ImageChops.multiply(page, marked))


def fields(page: Image.Image) -> None:
    draw = ImageDraw.Draw(page)
    for row in range(8):
        draw.text((250, 1300 + 70 * row), "Nom :", fill="black", font=ImageFont.load_default(size=36))
        draw.line((360, 1342 + 70 * row, 1400, 1342 + 70 * row), fill="black", width=3)
        draw.text((380, 1306 + 70 * row), "Helene Imaginaire", fill=BLUE, font=ImageFont.load_default(size=40))


def picture(page: Image.Image) -> None:
    colours = np.random.default_rng(7).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    page.paste(Image.fromarray(colours).resize((600, 400), Image.Resampling.BICUBIC), (600, 1000))


def edge(page: Image.Image) -> None:
    ImageDraw.Draw(page).rectangle((0, 0, 300, 2199), outline=(150, 40, 30), width=40)


@pytest.mark.parametrize("draw", [headings, highlighting, fields, picture, edge])
def test_other_things_in_colour_stay_in_the_page(draw: Callable[[Image.Image], None]) -> None:
    page = print_page()
    draw(page)
    assert stamps_over_print(page) == []


@pytest.mark.parametrize("size", [26, 30, 36])
def test_print_in_coloured_ink_is_no_stamp_over_itself(size: int) -> None:
    """Thick strokes have more colour than fine ones, as if a stamp lay over print."""
    page = Image.new("RGB", (1700, 2200), (150, 190, 215))
    for number, line in enumerate(LINES * 2):
        place = 150, 400 + round(1.4 * size) * number
        ImageDraw.Draw(page).text(place, line, fill=(20, 30, 90), font=ImageFont.load_default(size=size))
    assert stamps_over_print(page.filter(ImageFilter.GaussianBlur(0.5))) == []
