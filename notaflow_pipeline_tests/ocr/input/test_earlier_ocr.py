"""Tests of the lines with which an earlier OCR is compared: lines with digits, wherever they are."""

from PIL import Image, ImageDraw

from notaflow_pipeline.ocr.input.text_layer.earlier_ocr import earlier_ocr
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, LayerWord


def line(text: str, top: float, left: float = 50) -> LayerLine:
    word = LayerWord(text, left, top, left + 200, top + 10)
    return LayerLine((word,), text)


def test_lines_with_digits_are_chosen_from_the_whole_page() -> None:
    lines = [line("rien", 20 * number) for number in range(1, 40)]
    lines[2], lines[30] = line("75 000,00 $", lines[2].top), line("3 770 292", lines[30].top)
    earlier = earlier_ocr(Image.new("L", (500, 800), 255), lines, (500, 800))
    assert {"75 000,00 $", "3 770 292"} < set(earlier.strip_words)
    assert len(earlier.strip_words) == 16  # a fifth of the page's height
    assert len(earlier.lines) == 39


def test_strip_shows_the_chosen_lines_and_nothing_beside_them() -> None:
    image = Image.new("L", (500, 800), 230)
    draw = ImageDraw.Draw(image)
    draw.rectangle((50, 100, 250, 110), fill=0)
    draw.rectangle((300, 95, 450, 115), fill=100)  # of the other column, which has no digits
    lines = [line("12 345", 100), *(line("rien", top, 300) for top in range(95, 700, 10))]
    earlier = earlier_ocr(image, lines[:1], (500, 800))
    assert earlier.strip_words == ("12 345",)
    assert sorted(set(earlier.strip.tobytes())) == [0, 230]
