"""Tests of sideways lines: print that runs in any direction is read, and the edge of a sheet is no line."""

from dataclasses import replace

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes.pass_result import DEFAULT_POLICY
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.recording_engine import RecordingEngine
from notaflow_pipeline_tests.ocr.samples import act_page

ENGINE = default_engine("fra")
POLICY = replace(
    DEFAULT_POLICY, cut_lines=False, cut_off_words=False, missed_lines=False, filled_in_values=False, strip=False
)
LEFT, TOP = 1130, 300


def finding(line: list[Word]) -> RecordingEngine:
    """Tesseract with a layout analysis that finds a line which runs downwards on the page, with these words."""

    def altered(words: list[Word], image: Image.Image, segmentation: Segmentation) -> list[Word]:
        if image.size != act_page(150).size:
            return words
        return [*(word for word in words if word.right <= LEFT), *line]

    return RecordingEngine(engine=ENGINE, alter=altered)


def page_with(mark: Image.Image) -> Image.Image:
    page = act_page(150)
    page.paste(mark, (LEFT, TOP))
    return page


def printed(text: str, quarter_turns: int = 0) -> Image.Image:
    font = ImageFont.load_default(size=24)
    _, _, right, bottom = (round(edge) for edge in font.getbbox(text))
    mark = Image.new("L", (right + 20, bottom + 12), act_page(150).getpixel((5, 5)))
    ImageDraw.Draw(mark).text((10, 4), text, fill=40, font=font)
    return mark.rotate(90 * quarter_turns, expand=True).filter(ImageFilter.GaussianBlur(0.5))


def column(*numbers: str) -> Image.Image:
    mark = Image.new("L", (46, 60 * len(numbers)), act_page(150).getpixel((5, 5)))
    for place, number in enumerate(numbers):
        ImageDraw.Draw(mark).text((10, 60 * place), number, fill=40, font=ImageFont.load_default(size=24))
    return mark.filter(ImageFilter.GaussianBlur(0.5))


def misread(mark: Image.Image, text: str, confidence: float) -> list[Word]:
    """Returns the words of a line that fills the height of a mark, from top to bottom."""
    said = text.split()
    height = mark.height // len(said)
    return [
        Word(one, confidence, 99, 1, 1, LEFT + 4, TOP + height * place, mark.width - 8, height - 4)
        for place, one in enumerate(said)
    ]


@pytest.mark.parametrize("quarter_turns", [1, 3])
def test_sideways_print_that_was_read_in_the_wrong_direction_is_read_in_the_other(quarter_turns: int) -> None:
    mark = printed("Lot 3 770 292", quarter_turns)
    read = read_page(page_with(mark), 150, finding(misread(mark, "TGIT OLL E", 40)), 60, POLICY)
    assert "Lot 3 770 292" in read.text
    assert "TGIT" not in read.text
    words = [word for word in read.placed if word.left >= LEFT]
    assert all(word.height > 0 and word.right <= LEFT + mark.width + 4 for word in words)
    from_top = " ".join(word.text for word in sorted(words, key=lambda word: word.top))
    assert from_top == ("292 770 3 Lot" if quarter_turns == 1 else "Lot 3 770 292")


def test_column_of_numbers_that_was_taken_for_a_sideways_line_is_read_upright() -> None:
    mark = column("12", "13", "14", "15")
    read = read_page(page_with(mark), 150, finding(misread(mark, "so 8 wo D", 30)), 60, POLICY)
    assert [line for line in read.text.splitlines() if line][-4:] == ["12", "13", "14", "15"]


def test_edge_of_a_sheet_is_no_line() -> None:
    expected = read_page(act_page(150), 150, finding([]), 60, POLICY).text
    edge = Image.linear_gradient("L").resize((30, 700))
    edge = Image.blend(edge, Image.new("L", edge.size, 255), 0.6)
    read = read_page(page_with(edge), 150, finding(misread(edge, "eme ete gerer", 12)), 60, POLICY)
    assert read.text == expected


def test_sure_sideways_line_is_not_read_again() -> None:
    mark = printed("Lot 3 770 292", 1)
    engine = finding(misread(mark, "Lot 41", 92))
    assert "Lot 41" in read_page(page_with(mark), 150, engine, 60, POLICY).text
    assert Segmentation.SINGLE_BLOCK not in engine.segmentations


def test_narrow_mark_is_no_sideways_line() -> None:
    engine = finding([Word("l", 20, 99, 1, 1, LEFT, TOP, 4, 30)])
    assert read_page(act_page(150), 150, engine, 60, POLICY).text.endswith("l")
    assert Segmentation.SINGLE_BLOCK not in engine.segmentations
