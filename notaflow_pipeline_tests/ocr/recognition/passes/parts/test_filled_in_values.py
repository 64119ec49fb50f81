"""Tests of the values of forms: those above dotted lines and those with one character in each box are read."""

import numpy as np
import pytest
from PIL import Image

from notaflow_pipeline.ocr.input.images.ruling_lines import without_boxes, without_dotted_lines
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes.parts.filled_in_values import condensed
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.drawn_pages import Sheet
from notaflow_pipeline_tests.testing.noise import noisy

DPI = 200
SECONDS = 60.0
FIELDS = (
    ("Nom", "BELANGER"),
    ("Prenom", "NOELLE"),
    ("Lot", "3412887"),
    ("Code postal", "G5R3C8"),
    ("Telephone", "4185550147"),
    ("Ville", "QUEBEC"),
)


def dotted_form() -> Image.Image:
    sheet = Sheet(DPI, "dotted form")
    sheet.write(200, 40, "FORMULAIRE D'INSCRIPTION", 13)
    for number, (label, value) in enumerate(FIELDS * 3):
        y = 80 + 30 * number
        sheet.write(60, y, f"{label} :", 10)
        for dot in range(120):
            sheet.fill(200 + 2.8 * dot, y + 13.5, 200.8 + 2.8 * dot, y + 14.3)
        sheet.write(215, y - 1, value, 12)
    return sheet.page().image


def form_with_values_on_dots() -> Image.Image:
    """The dots touch the feet of letters."""
    sheet = Sheet(DPI, "values on dots")
    sheet.write(200, 40, "FORMULAIRE D'INSCRIPTION", 13)
    for number, (label, value) in enumerate(FIELDS * 3):
        y = 80 + 30 * number
        sheet.write(60, y, f"{label} :", 10)
        for dot in range(70):
            sheet.fill(200 + 2.8 * dot, y + 11.2, 200.9 + 2.8 * dot, y + 12.1)
        sheet.write(215, y - 1, value, 12)
    return sheet.page().image


def boxed_form() -> Image.Image:
    sheet = Sheet(DPI, "boxed form")
    sheet.write(200, 40, "DEMANDE DE PUBLICATION", 13)
    for number, (label, value) in enumerate(FIELDS * 2):
        y = 90 + 50 * number
        sheet.write(60, y, label, 10)
        for box in range(17):
            sheet.fill(160 + 22 * box, y - 5, 160.8 + 22 * box, y + 18)
        for edge in (y - 5, y + 17.2):
            sheet.fill(160, edge, 512.8, edge + 0.8)
        for box, character in enumerate(value):
            sheet.write(166 + 22 * box, y - 3, character, 14)
    return sheet.page().image


@pytest.mark.parametrize("draw", [dotted_form, boxed_form])
def test_values_of_a_form_are_read_beside_their_labels(draw) -> None:  # type: ignore[no-untyped-def]
    read = read_page(draw(), DPI, default_engine(), SECONDS)
    lines = [" ".join(line.replace(":", "").split()) for line in read.text.splitlines()]
    assert [f"{label} {value}" in lines for label, value in FIELDS] == [True] * len(FIELDS)


def test_value_that_was_read_with_its_dotted_line_is_read_without_it() -> None:
    read = read_page(form_with_values_on_dots(), DPI, default_engine(), SECONDS)
    assert read.text.count("4185550147\n") == 3


def test_dots_of_a_dotted_line_are_removed_and_those_of_print_stay() -> None:
    """The second line has the dots of a sentence."""
    sheet = Sheet(DPI, "dots")
    for dot in range(90):
        sheet.fill(60 + 3 * dot, 60, 61 + 3 * dot, 61)
    sheet.write(60, 80, "Prends garde .... Jean ! M. le notaire C. J. Roy, no. 1.2.3, a dit.", 12)
    image = sheet.page().image
    undotted = without_dotted_lines(image, 24)
    assert undotted is not None
    boxes = (0, 0, image.width, sheet.pixels(70)), (0, sheet.pixels(70), *image.size)
    assert min(undotted.crop(boxes[0]).tobytes()) > 200
    assert undotted.crop(boxes[1]).tobytes() == image.crop(boxes[1]).tobytes()


def test_gap_of_a_blank_box_stays_a_space() -> None:
    strip = np.full((40, 400), 255, dtype=np.uint8)
    for left in (20, 60, 140, 180, 220):  # 100 is a blank box
        strip[10:30, left : left + 12] = 0
    image, columns = condensed(Image.fromarray(strip), 20)
    inked = np.flatnonzero((np.asarray(image) == 0).any(axis=0))
    gaps = np.diff(inked)[np.diff(inked) > 1] - 1
    assert gaps.tolist() == [2, 14, 2, 2]
    assert columns[inked[0]] == 20
    assert columns[inked[-1]] == 231


def test_strip_with_words_is_not_condensed() -> None:
    strip = np.full((40, 400), 255, dtype=np.uint8)
    for left in (20, 120, 220, 320):
        strip[10:30, left : left + 60] = 0
    assert condensed(Image.fromarray(strip), 20)[0].width == 400


def test_strokes_of_letters_are_no_boxes() -> None:
    strip = np.full((40, 400), 255, dtype=np.uint8)
    strip[34:36, 10:390] = 0  # a line below
    for left in range(20, 380, 40):
        strip[8:30, left : left + 3] = 0
    assert without_boxes(Image.fromarray(strip), 16) is None


def test_page_of_specks_without_any_word_is_read_to_the_end() -> None:
    sheet = Sheet(DPI, "specks", paper=240)
    for _ in range(120):
        x, y = sheet.random.uniform(0, 610), sheet.random.uniform(0, 790)
        sheet.fill(x, y, x + sheet.random.uniform(0.4, 1.2), y + sheet.random.uniform(0.4, 1.2), 90)
    page = noisy(sheet.page().image, 6)
    assert read_page(page, DPI, default_engine(), SECONDS).text == ""
