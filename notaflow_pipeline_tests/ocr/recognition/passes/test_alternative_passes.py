"""Tests of alternative passes: faint typescript with broken strokes is read better blurred than median-filtered."""

import jiwer
import pytest

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import render_page
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes import alternative_passes
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.testing.corpus import CORPUS

ENGINE = default_engine()


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus in {CORPUS}: set NOTAFLOW_CORPUS to have it")
def test_faint_typescript_is_read_better_with_a_blur(monkeypatch: pytest.MonkeyPatch) -> None:
    def error_rates() -> float:
        return sum(map(_error_rate, ("page28", "page34")))

    with_blur = error_rates()
    monkeypatch.setattr(alternative_passes, "blurred", lambda prepared: prepared)
    assert with_blur < error_rates() - 0.01


def _error_rate(name: str) -> float:
    truth = " ".join((CORPUS / "pages" / f"{name}.gt.txt").read_text(encoding="utf-8").split())
    page = render_page(CORPUS / "pages" / f"{name}.jpg", DocumentFormat.JPEG, 1)
    return float(jiwer.cer(truth, " ".join(read_page(page, None, ENGINE, 120).text.split())))
