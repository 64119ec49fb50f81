"""Tests of the choice of models: the system's, and ours for French typescript unless the environment names others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from notaflow_pipeline.ocr.engines import model_files, tesseract_library
from notaflow_pipeline.ocr.engines.interface import WordEngine
from notaflow_pipeline.ocr.engines.tesseract_library import TesserocrEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.failures import EngineUnavailable
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline_tests.ocr.recording_engine import RecordingEngine
from notaflow_pipeline_tests.ocr.samples import SENTENCE, act_page, index_page, page_image

BOTH = pytest.mark.parametrize("engine", [TesserocrEngine, TesseractEngine])
OURS = "fra-typescript-1"


@pytest.fixture(autouse=True)
def forget_what_was_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TESSDATA_PREFIX", raising=False)
    model_files.model_folder.cache_clear()
    tesseract_library._loaded_api.cache_clear()
    yield
    model_files.model_folder.cache_clear()
    tesseract_library._loaded_api.cache_clear()


@pytest.fixture
def recording() -> RecordingEngine:
    return RecordingEngine(engine=TesserocrEngine("fra+eng"))


@BOTH
@pytest.mark.parametrize("languages", ["fra", "fra+eng", "eng+fra"])
def test_our_model_reads_also_beside_one_of_the_system(engine: Callable[[str], WordEngine], languages: str) -> None:
    ours = languages.replace("fra", OURS)
    assert model_files.with_typescript_models(languages) == ours
    assert engine(languages).name.endswith(f"({ours})")
    found = engine(languages).find_words(page_image(), None, 30, ours)
    assert " ".join(word.text for word in found) == SENTENCE


def test_page_of_running_text_is_read_with_our_model(recording: RecordingEngine) -> None:
    read_page(act_page(), 150, recording, 60)
    assert set(recording.used) == {OURS}


def test_table_in_small_print_is_read_again_with_the_system_s_model(recording: RecordingEngine) -> None:
    read_page(index_page(6.5), 300, recording, 60)
    assert recording.used[0] == OURS
    assert recording.used[-1] == "fra"


@BOTH
def test_other_languages_have_no_model_of_ours(engine: Callable[[str], WordEngine]) -> None:
    assert model_files.with_typescript_models("eng") == "eng"
    assert engine("eng").name.endswith("(eng)")
    folder = model_files.model_folder(("eng",))
    assert model_files.models_of("eng") == model_files.Models(folder, "eng")


def test_only_the_models_named_by_the_environment_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recording: RecordingEngine
) -> None:
    (tmp_path / "fra.traineddata").touch()
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    assert model_files.with_typescript_models("fra") == "fra"
    assert model_files.models_of("fra") == model_files.Models(tmp_path, "fra")
    with pytest.raises(EngineUnavailable, match=r"has no eng\.traineddata"):
        TesserocrEngine("fra+eng").check()


def test_system_s_french_is_used_if_our_path_has_a_plus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "c++"
    folder.mkdir()
    (folder / f"{OURS}{model_files.SUFFIX}").touch()
    monkeypatch.setattr(model_files, "PACKAGE_FOLDER", folder)
    assert model_files.with_typescript_models("fra+eng") == "fra+eng"


def test_system_s_french_is_used_if_our_model_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "PACKAGE_FOLDER", tmp_path)
    assert model_files.with_typescript_models("fra+eng") == "fra+eng"


def test_our_models_are_in_the_folder_that_is_named() -> None:
    for name in model_files.TYPESCRIPT_MODELS.values():
        assert (model_files.PACKAGE_FOLDER / f"{name}{model_files.SUFFIX}").is_file()
