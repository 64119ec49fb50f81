"""Tests of tables: wide print is read without ruling lines, and small print of one bit with soft edges."""

import pytest
from PIL import Image

from notaflow_pipeline.ocr.preprocessing.preprocess import prepare
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes import tables
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.drawn_pages import Sheet, ruled_index
from notaflow_pipeline_tests.ocr.recording_engine import RecordingEngine

ENGINE = default_engine()


@pytest.mark.parametrize(("points", "dpi", "pitch"), [(11, 200, 17), (12, 300, 18)])
def test_rows_of_a_ruled_table_in_wide_print_are_read_without_its_lines(points: float, dpi: int, pitch: float) -> None:
    """With the ruling lines the page took a pass more. Narrow spaces between thousands are not compared."""
    page = ruled_index(points, dpi, 30, pitch)
    found = read_page(page.image, page.dpi, ENGINE, 120)
    lines = {"".join(line.split()) for line in found.text.splitlines()}
    assert sum("".join(line.split()) in lines for line in page.text.splitlines()) >= 29  # of 31
    assert found.passes == 3, "a strip, the page, and its signs with the model for typescript"


@pytest.mark.parametrize(
    ("dpi", "bits", "read_at"), [(150, 8, 200), (200, 8, 200), (300, 8, 300), (300, 1, 300), (600, 8, 250)]
)
def test_small_print_is_read_at_the_resolution_of_its_scan(dpi: int, bits: int, read_at: int) -> None:
    page = prepare(_small_index(dpi, bits), dpi)
    fine = tables._with_separate_digits(page)
    assert fine.dpi == read_at
    assert fine.image.width == round(fine.source.width * read_at / dpi)
    assert fine.source is page.source


def test_only_pages_of_one_bit_get_soft_edges() -> None:
    one_bit, grey = (prepare(_small_index(200, bits), 200, target_dpi=200) for bits in (1, 8))
    assert len(set(one_bit.image.tobytes())) == 2
    assert len(set(tables._with_separate_digits(one_bit).image.tobytes())) > 2
    assert tables._with_separate_digits(grey) is grey


def _small_index(dpi: int, bits: int) -> Image.Image:
    page = ruled_index(8, dpi, 20, 14).image
    return page.point(lambda value: 255 * (value > 150)) if bits == 1 else page


@pytest.mark.parametrize(
    ("kind", "languages"),
    [("Vente du lot par le vendeur et", "fra"), ("Sale of the lot by the vendor to", "fra+eng")],
)
def test_table_in_small_print_is_read_with_the_models_for_print(kind: str, languages: str) -> None:
    sheet = Sheet(300, "table in small print")
    for number in range(30):
        numbers = [(260.0 + 60 * place, f"{sheet.random.randint(10, 99)},{number + 100}.00") for place in range(5)]
        sheet.row([(60.0, kind), *numbers], 60 + 16 * number, 5)
    engine = RecordingEngine(engine=ENGINE)
    read_page(sheet.page().image, 300, engine, 120)
    assert engine.used[1] == languages, "of the pass after the strip"
