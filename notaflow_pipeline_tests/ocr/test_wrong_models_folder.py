"""Tests of a TESSDATA_PREFIX without models: the error names it as the cause, and no package."""

from pathlib import Path

import pytest

from notaflow_pipeline.ocr.engines import model_files
from notaflow_pipeline.ocr.engines.tesseract_library import TesserocrEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.failures import EngineUnavailable


@pytest.mark.parametrize("engine", [TesserocrEngine("fra"), TesseractEngine("fra")])
def test_folder_without_models_is_named(
    engine: TesserocrEngine | TesseractEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    model_files.model_folder.cache_clear()
    try:
        with pytest.raises(EngineUnavailable) as unavailable:
            engine.check()
    finally:
        model_files.model_folder.cache_clear()
    assert str(unavailable.value).startswith(f"TESSDATA_PREFIX={tmp_path} has no fra.traineddata")
    assert "install tesseract" not in str(unavailable.value)
