"""Tests of coverage: the share of a page's ink that its words account for."""

import pytest
from PIL import Image, ImageDraw

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.recognition.coverage import LOW_COVERAGE, ink_coverage


def page_and_words() -> tuple[Image.Image, list[Word]]:
    image = Image.new("L", (1240, 1754), 255)
    draw, words = ImageDraw.Draw(image), []
    for line in range(20):
        draw.text((100, 100 + 50 * line), "Vente du lot 3 770 292 au cadastre", fill=40, font_size=24)
        words.append(Word("Vente", 90, 1, 1, line, 95, 100 + 50 * line, 420, 26))
    return image, words


def test_page_whose_words_cover_its_ink_is_covered() -> None:
    assert ink_coverage(*page_and_words()) == pytest.approx(1, abs=0.02)


def test_lines_that_were_not_read_lower_coverage() -> None:
    image, words = page_and_words()
    assert ink_coverage(image, words[:10]) == pytest.approx(0.5, abs=0.05)
    assert ink_coverage(image, []) == 0


def test_ruling_lines_and_pictures_are_not_print() -> None:
    image, words = page_and_words()
    draw = ImageDraw.Draw(image)
    for x in (60, 700):
        draw.line((x, 50, x, 1200), fill=0, width=3)
    draw.line((60, 50, 700, 50), fill=0, width=3)
    draw.rectangle((100, 1250, 900, 1650), fill=60)
    assert ink_coverage(image, words) == pytest.approx(1, abs=0.05)


def test_blank_page_has_no_coverage() -> None:
    assert ink_coverage(Image.new("L", (1240, 1754), 255), []) is None
    assert ink_coverage(Image.new("L", (3, 3), 255), []) is None
    assert 0 < LOW_COVERAGE < 1
