"""Tests of tables: the rows of a ruled table in wide print are read without its ruling lines."""

import pytest

from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.drawn_pages import ruled_index

ENGINE = default_engine()


@pytest.mark.parametrize(("points", "dpi", "pitch"), [(11, 200, 17), (12, 300, 18)])
def test_rows_of_a_ruled_table_in_wide_print_are_read_in_one_pass(points: float, dpi: int, pitch: float) -> None:
    """With the ruling lines the page took a pass more. Narrow spaces between thousands are not compared."""
    page = ruled_index(points, dpi, 30, pitch)
    found = read_page(page.image, page.dpi, ENGINE, 120)
    lines = {"".join(line.split()) for line in found.text.splitlines()}
    assert sum("".join(line.split()) in lines for line in page.text.splitlines()) >= 29  # of 31
    assert found.passes == 2, "a strip and the page"
