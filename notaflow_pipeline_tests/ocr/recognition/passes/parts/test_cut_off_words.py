"""Tests of words that were cut off their lines: they are read in their places, and what lies beside a line is no word."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from PIL import Image, ImageDraw, ImageFont

from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import Line, Word, lines_of, text_of_words
from notaflow_pipeline.ocr.preprocessing.preprocess import Steps, prepare
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes.parts.cut_off_words import with_cut_off_words
from notaflow_pipeline.ocr.recognition.passes.pass_result import DEFAULT_POLICY, PassResult
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.recording_engine import RecordingEngine
from notaflow_pipeline_tests.ocr.samples import act_page

ENGINE = default_engine("fra")
NO_OTHER_PASS = replace(DEFAULT_POLICY, cut_lines=False, missed_lines=False, filled_in_values=False, plain_pass=False)


def cutting(kept: Callable[[int, Line], Line]) -> RecordingEngine:
    """Tesseract with a layout analysis that leaves words out of lines wherever it looks for lines."""

    def altered(words: list[Word], image: Image.Image, segmentation: Segmentation) -> list[Word]:
        if segmentation is Segmentation.RAW_LINE:
            return words
        return [word for number, line in enumerate(lines_of(words)) for word in kept(number, line)]

    return RecordingEngine(engine=ENGINE, alter=altered)


def without_beginnings(number: int, line: Line) -> Line:
    return line[1:] if number % 2 and len(line) > 3 else line


def without_ends(number: int, line: Line) -> Line:
    return line[:-1] if number % 2 and len(line) > 3 else line


def without_middles(number: int, line: Line) -> Line:
    return [*line[:2], *line[3:]] if number % 2 and len(line) > 3 else line


def with_a_line_in_two_blocks(number: int, line: Line) -> Line:
    """The end of the line was read first, and two words between the parts were left out."""
    return [*(replace(word, block=90) for word in line[5:]), *line[:3]] if number == 3 else line


def whole(number: int, line: Line) -> Line:
    return line


@pytest.mark.parametrize("kept", [without_beginnings, without_ends, without_middles, with_a_line_in_two_blocks])
def test_words_that_were_left_out_of_lines_are_read_in_their_places(kept: Callable[[int, Line], Line]) -> None:
    page, engine = act_page(150), cutting(kept)
    expected = read_page(page, 150, ENGINE, 60, NO_OTHER_PASS).text.split()
    cut = read_page(page, 150, engine, 60, replace(NO_OTHER_PASS, cut_off_words=False)).text.split()
    assert len(cut) < len(expected) - 1
    assert read_page(page, 150, engine, 60, NO_OTHER_PASS).text.split() == expected


def test_page_without_ink_beside_its_lines_is_not_read_again() -> None:
    engine = cutting(whole)
    read_page(act_page(150), 150, engine, 60, NO_OTHER_PASS)
    assert Segmentation.RAW_LINE not in engine.segmentations


def test_stroke_beside_a_line_is_no_word() -> None:
    page = act_page(150)
    expected = read_page(page, 150, ENGINE, 60, NO_OTHER_PASS)
    last = max(expected.image_words, key=lambda word: word.right)
    draw = ImageDraw.Draw(page)
    for step in range(3):
        left = last.right + 30 + 14 * step
        draw.arc((left, last.top - 3, left + 40, last.bottom + 3), 100, 330, fill=40, width=3)
    engine = cutting(lambda _, line: [word for word in line if word.left < last.right])
    assert read_page(page, 150, engine, 60, NO_OTHER_PASS).text == expected.text
    assert Segmentation.RAW_LINE in engine.segmentations, "the strokes were not read"


def test_table_is_not_read_again() -> None:
    page = Image.new("L", (1240, 900), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=24)
    for row in range(14):
        for column in range(4):
            draw.text((120 + 260 * column, 100 + 48 * row), f"{3770292 + 17 * row + column} ", fill=30, font=font)
    engine = cutting(lambda number, line: line[:-1] if number % 2 else line)
    assert len(read_page(page, 150, engine, 60, NO_OTHER_PASS).text.split()) > 14
    assert Segmentation.RAW_LINE not in engine.segmentations


def read_with_one_new_word(*words: Word) -> list[str]:
    """Reads two lines 40 pixels apart with ink right of them that no word covers, and these words."""
    page = Image.new("L", (600, 300), 255)
    for top in (100, 140):
        for left in range(410, 470, 6):
            ImageDraw.Draw(page).rectangle((left, top, left + 2, top + 19), fill=0)

    new = Word("cadastre", 95, 1, 1, 1, 318, 8, 60, 20)  # at the ink, in strips of lines that begin at 100
    engine = RecordingEngine(engine=ENGINE, alter=lambda *_: [new])
    runner = PassRunner(engine, cpu_seconds() + 60, DEFAULT_POLICY)
    prepared = prepare(page, 150, Steps(*[False] * len(fields(Steps))))
    read = with_cut_off_words(runner, PassResult(list(words), prepared)).words
    return text_of_words(read).split()


UPPER, LOWER = ([Word("lot", 90, 1, 1, n, 100 + 60 * k, 40 * n + 60, 40, 20) for k in range(4)] for n in (1, 2))


def test_line_whose_words_have_joined_other_lines_is_left() -> None:
    """Two words at different heights are one line for the layout analysis, and each is level with another line."""
    slanted = [Word("vendu", 90, 2, 1, 1, 340, 100, 60, 20), Word("ici", 90, 2, 1, 1, 340, 140, 60, 20)]
    upper, lower = [*["lot"] * 4, "vendu", "cadastre"], [*["lot"] * 4, "ici", "cadastre"]
    assert read_with_one_new_word(*UPPER, *LOWER, *slanted) == [*upper, *lower]


def test_completed_line_stands_where_its_longest_part_stood() -> None:
    part = Word("ici", 90, 2, 1, 1, 340, 140, 60, 20)
    upper, lower = [*["lot"] * 4, "cadastre"], [*["lot"] * 4, "ici", "cadastre"]
    assert read_with_one_new_word(part, *UPPER, *LOWER) == [*upper, *lower]
