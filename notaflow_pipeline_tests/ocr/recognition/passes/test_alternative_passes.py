"""Tests of alternative passes: faint typescript with broken strokes is read better blurred than median-filtered."""

from collections.abc import Iterator

import jiwer
import pytest

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import render_page
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes import alternative_passes
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.test_corpus import CORPUS

ENGINE = default_engine()


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus in {CORPUS}: set NOTAFLOW_CORPUS to have it")
def test_faint_typescript_is_read_better_with_a_blur(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = " ".join((CORPUS / "pages" / "page34.gt.txt").read_text(encoding="utf-8").split())
    page = render_page(CORPUS / "pages" / "page34.jpg", DocumentFormat.JPEG, 1)

    def error_rate() -> float:
        return float(jiwer.cer(truth, " ".join(read_page(page, None, ENGINE, 120).text.split())))

    blurred, usual = error_rate(), alternative_passes._alternatives

    def without_blur(*given: object, **named: object) -> Iterator[tuple[PreprocessedPage, Segmentation]]:
        return (way for number, way in enumerate(usual(*given, **named)) if number)  # type: ignore[arg-type]

    monkeypatch.setattr(alternative_passes, "_alternatives", without_blur)
    assert blurred < error_rate() - 0.02
