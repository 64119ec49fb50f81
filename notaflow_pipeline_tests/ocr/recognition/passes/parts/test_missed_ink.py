"""Tests of missed lines: they are found by their ink, read, and inserted at their positions; nothing else is added."""

import random
from dataclasses import replace
from difflib import SequenceMatcher

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.words import Word, lines_of, text_of_words
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes.parts.missed_ink import (
    confident_new_lines,
    missed_ink_strips,
    uncovered_ink_share,
    with_lines,
)
from notaflow_pipeline.ocr.recognition.passes.pass_result import DEFAULT_POLICY
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.recording_engine import RecordingEngine
from notaflow_pipeline_tests.ocr.samples import ACT, act_page

ENGINE = default_engine("fra")
LINES = ACT.replace("\n\n", "\n").splitlines()


def missing_lines(*forgotten: int) -> RecordingEngine:
    """Tesseract with a layout analysis that misses some lines of a page."""

    def altered(words: list[Word], image: Image.Image, segmentation: Segmentation) -> list[Word]:
        if segmentation in (Segmentation.SINGLE_BLOCK, Segmentation.RAW_LINE):
            return words
        return [word for number, line in enumerate(lines_of(words)) if number not in forgotten for word in line]

    return RecordingEngine(engine=ENGINE, alter=altered)


def finding_no_line_in_strips(engine: RecordingEngine) -> RecordingEngine:
    """Tesseract with a layout analysis that finds no line in a strip of a page either."""

    def altered(words: list[Word], image: Image.Image, segmentation: Segmentation) -> list[Word]:
        return [] if segmentation is Segmentation.SINGLE_BLOCK else engine.alter(words, image, segmentation)

    return replace(engine, alter=altered)


def cutting_lines(words: list[Word], image: Image.Image, segmentation: Segmentation) -> list[Word]:
    """Loses the first words of lines, except when a single column is expected."""
    return words if segmentation is not Segmentation.AUTOMATIC else without_first_words(words)


def without_first_words(words: list[Word]) -> list[Word]:
    return [word for line in lines_of(words) for word in (line[1:] if len(line) > 2 else line)]


@pytest.fixture(scope="module")
def page() -> Image.Image:
    return act_page(150)


@pytest.fixture(scope="module")
def words(page: Image.Image) -> list[Word]:
    return ENGINE.find_words(page, 150, 60)


@pytest.mark.parametrize("forgotten", [(3,), (0,), (9,), (2, 7), (4, 5)])
def test_missed_lines_are_read_and_stand_in_their_places(page: Image.Image, forgotten: tuple[int, ...]) -> None:
    engine = missing_lines(*forgotten)
    blind = replace(DEFAULT_POLICY, missed_lines=False, filled_in_values=False)
    lost = [line for line in read_page(page, 150, engine, 60, blind).text.splitlines() if line]
    assert len(lost) == len(LINES) - len(forgotten)
    found = [line for line in read_page(page, 150, engine, 60).text.splitlines() if line]
    assert found == [line for line in read_page(page, 150, missing_lines(), 60).text.splitlines() if line]
    assert len(found) == len(LINES)


def test_missed_lines_are_read_as_they_are_if_no_line_is_found_in_their_strips(page: Image.Image) -> None:
    whole = read_page(page, 150, missing_lines(), 60).text.split()
    assert read_page(page, 150, finding_no_line_in_strips(missing_lines(2, 7)), 60).text.split() == whole


def test_strips_of_missed_lines_have_no_part_of_each_other() -> None:
    """The upper half of the line below misleads Tesseract: it finds no line in such a strip."""
    page = Image.new("L", (800, 400), 255)
    tops = (40, 80, 100, 120)  # of lines of letters 16 pixels high; the first one is known
    for top in tops:
        for left in range(100, 700, 14):
            ImageDraw.Draw(page).rectangle((left, top, left + 9, top + 15), outline=0, width=2)
    known = [replace(word("lot", 100 + 40 * number, tops[0]), height=16) for number in range(15)]
    strips = missed_ink_strips(page, known)
    assert [[top for top in tops if top < strip[3] and strip[1] < top + 16] for strip in strips] == [[80], [100], [120]]


def test_missed_underlined_lines_close_together_are_read() -> None:
    """The underlining joins them to one area that is higher than a line, and runs through letters."""
    page = Image.new("L", (1240, 900), 225)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=22)
    for number, line in enumerate(LINES):
        left, _, right, bottom = draw.textbbox((150, 150 + 24 * number), line, font=font)
        draw.text((150, 150 + 24 * number), line, fill=60, font=font)
        if number in (4, 5, 6):
            draw.rectangle((left, bottom - 5, right, bottom + 3), fill=60)
    page = page.filter(ImageFilter.GaussianBlur(0.7))
    found = [line for line in read_page(page, 150, missing_lines(4, 5, 6), 60).text.splitlines() if line]
    assert len(found) == len(LINES)
    alike = [SequenceMatcher(None, one, other).ratio() for one, other in zip(found, LINES, strict=True)]
    assert min(alike) > 0.8, list(zip(alike, found, strict=True))


def test_completely_read_page_has_no_missed_ink(page: Image.Image, words: list[Word]) -> None:
    assert missed_ink_strips(page, words) == []


def test_lines_that_were_cut_short_are_completed(page: Image.Image, words: list[Word]) -> None:
    assert uncovered_ink_share(page, words) < 0.01
    assert uncovered_ink_share(page, without_first_words(words)) > 0.05
    assert uncovered_ink_share(page, words[:3]) == 0
    engine = RecordingEngine(engine=ENGINE, alter=cutting_lines)
    blind = replace(DEFAULT_POLICY, cut_lines=False, cut_off_words=False, missed_lines=False, filled_in_values=False)
    torn = read_page(page, 150, engine, 60, blind)
    assert len(torn.text.split()) < len(ACT.split()) - 5
    column = replace(DEFAULT_POLICY, cut_off_words=False)
    assert len(read_page(page, 150, engine, 60, column).text.split()) == len(ACT.split())


def test_ruling_lines_are_not_uncovered_ink(page: Image.Image, words: list[Word]) -> None:
    ruled = page.copy()
    draw = ImageDraw.Draw(ruled)
    left, right = min(word.left for word in words), max(word.right for word in words)
    for x in (left - 12, (left + right) // 2, right + 12):
        draw.line((x, 0, x, page.height), fill=0, width=3)
    clear = [word for word in words if not word.left - 8 < (left + right) // 2 < word.right + 8]
    assert uncovered_ink_share(ruled, clear) < 0.025 + uncovered_ink_share(page, clear)


def test_ruling_lines_dust_and_pictures_are_not_lines(page: Image.Image, words: list[Word]) -> None:
    spoilt = page.copy()
    draw = ImageDraw.Draw(spoilt)
    draw.line((150, 900, 1000, 900), fill=0, width=3)
    draw.rectangle((300, 950, 600, 1150), outline=0, width=9)
    chance = random.Random(1)
    for _ in range(200):
        draw.point((chance.randrange(page.width), chance.randrange(900, page.height)), fill=0)
    assert missed_ink_strips(spoilt, words) == []


def test_page_with_too_few_words_has_no_missed_ink(page: Image.Image, words: list[Word]) -> None:
    assert missed_ink_strips(page, words[:3]) == []


def word(text: str, left: int, top: int, confidence: float = 90, line: int = 1) -> Word:
    return Word(text, confidence, 1, 1, line, left, top, 10 * len(text), 20)


def test_line_of_low_confidence_is_not_added() -> None:
    strip = (0, 100, 400, 130)
    assert confident_new_lines([word("quittance", 5, 5, 40)], strip, []) == []
    assert confident_new_lines([word("ab", 5, 5)], strip, []) == []
    assert confident_new_lines([word("quittance", 5, 5)], strip, []) == [[word("quittance", 5, 105)]]


def test_known_line_is_not_added_again() -> None:
    strip = (0, 100, 400, 130)
    assert confident_new_lines([word("quittance", 5, 5)], strip, [word("quittance", 8, 107)]) == []


def test_line_joins_the_column_in_which_it_stands() -> None:
    left = [word("left1", 0, 0, line=1), word("left3", 0, 60, line=3)]
    right = [replace(word(f"right{n}", 300, 30 * n - 30, line=n), block=2) for n in (1, 2, 3)]
    joined = with_lines([*left, *right], [[word("left2", 0, 30)]])
    assert text_of_words(joined) == "left1\nleft2\nleft3\n\nright1\nright2\nright3"


def test_part_of_a_line_is_joined_to_it() -> None:
    """The line below does not reach under the rest of the upper line; one column further, it is a line of its own."""
    known = [word("Prise", 0, 0, line=1), word("beauté", 130, 30, line=2), word("prend", 200, 30, line=2)]
    part, below, beside = [word("Singe", 0, 31), word("de", 95, 31)], [word("grec", 0, 60)], [word("colonne", 290, 30)]
    read = text_of_words(with_lines(known, [part, below, beside]))
    assert [line.split() for line in read.splitlines() if line] == [
        ["Prise"],
        ["Singe", "de", "beauté", "prend"],
        ["grec"],
        ["colonne"],
    ]


def test_word_between_the_words_of_a_line_is_joined_to_it() -> None:
    known = [word("tout", 0, 0), word("celà", 120, 0)]
    assert text_of_words(with_lines(known, [[word("sur", 60, 1)]])).split() == ["tout", "sur", "celà"]
