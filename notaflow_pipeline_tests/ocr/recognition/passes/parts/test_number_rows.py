"""Tests of rows of small numbers on a page of prose: they keep their decimal points."""

import pytest

from notaflow_pipeline.ocr.recognition import page as recognition
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.drawn_pages import DrawnPage, Sheet

ENGINE = default_engine()


def prose_with_table() -> tuple[DrawnPage, list[str]]:
    """Returns two paragraphs with six rows of ten numbers of 7 points between them, and those numbers."""
    sheet = Sheet(300, "digits in prose")
    sheet.prose(60, 40, 550, 330, 11)
    pick = sheet.random.randint
    rows = [[f"{pick(10, 99)}.{pick(0, 9)}" for _ in range(10)] for _ in range(6)]
    for number, row in enumerate(rows):
        sheet.row([(60 + 50 * place, cell) for place, cell in enumerate(row)], 345 + number * 10.5, 7)
    sheet.prose(60, 450, 550, 740, 11)
    return sheet.page(), [cell for row in rows for cell in row]


def test_rows_of_small_numbers_in_prose_keep_their_points(monkeypatch: pytest.MonkeyPatch) -> None:
    page, numbers = prose_with_table()

    def kept() -> int:
        said = recognition.read_page(page.image, page.dpi, ENGINE, 60).text.split()
        return sum(number in said for number in numbers)

    finer = kept()
    monkeypatch.setattr(recognition, "with_finer_rows", lambda _, found: found)
    assert finer == len(numbers)
    assert kept() < 0.9 * len(numbers)


def test_rows_of_numbers_stay_between_the_prose_around_them() -> None:
    page, numbers = prose_with_table()
    said = recognition.read_page(page.image, page.dpi, ENGINE, 60).text.split()
    expected = page.text.split()
    at = expected.index(numbers[0])
    assert said.index(numbers[0]) == pytest.approx(at, abs=5)
    assert said.index(numbers[-1]) - said.index(numbers[0]) == len(numbers) - 1
    assert len(said) == pytest.approx(len(expected), abs=8)
