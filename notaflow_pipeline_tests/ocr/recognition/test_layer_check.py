"""Tests of text layers whose fonts map characters to wrong ones: only the image of the page shows it."""

from pathlib import Path

import pytest

from notaflow_pipeline.ocr.document import PageSource, PageText
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.probe import probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.jobs import PageRequest, page_job
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.samples import mapped_pdf, page_pdf, typed_pdf

LINE = "Le lot 3 770 292 est vendu le 2024-05-17"


def read(path: Path) -> PageText:
    page = page_job(PageRequest(path, probe_document(path, Limits()), 1, 300, Limits()), default_engine())
    assert isinstance(page, PageText)
    return page


@pytest.mark.parametrize(
    "ranges",
    ["<30> <38> <0031>", "<31> <31> <0037>", "<65> <65> <0063>", "<30> <39> <0660>"],
    ids=["all digits", "a digit", "a letter", "digits of another script"],
)
def test_page_whose_font_maps_characters_to_others_is_recognised(tmp_path: Path, ranges: str) -> None:
    page = read(mapped_pdf(tmp_path / "a.pdf", LINE, ranges))
    assert page.source is PageSource.RECOGNISED
    assert page.text.split("\n")[0] == LINE


def test_wrong_letter_is_found_beside_many_digits(tmp_path: Path) -> None:
    line = "Vente Quittance " + " ".join(f"{101 * number} {98765 - 1234 * number}" for number in range(1, 9))
    assert read(mapped_pdf(tmp_path / "a.pdf", line, "<65> <65> <0063>")).source is PageSource.RECOGNISED


def test_page_with_a_true_text_layer_keeps_it(tmp_path: Path) -> None:
    page = read(typed_pdf(tmp_path / "a.pdf", *[LINE] * 3, "Illisible : O0 Il1 jl S5 B8 Z2"))
    assert page.source is PageSource.TEXT_LAYER


def test_large_mark_over_the_text_is_not_compared(tmp_path: Path) -> None:
    lines = " ".join(f"({LINE}) Tj T*" for _ in range(8))
    content = f"BT /F 10 Tf 12 TL 72 700 Td {lines} ET 0.8 g BT /F 90 Tf 60 630 Td (COPIE) Tj ET"
    page = load_page(page_pdf(tmp_path / "a.pdf", content), DocumentFormat.PDF, 1)
    assert page.text.count(LINE) == 8
    assert "COPIE" in page.text
    assert page.sample is not None
    assert {word.text for word in page.sample.words} == set(LINE.split())
