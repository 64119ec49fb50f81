"""Tests of engines: the real Tesseract with its real errors, and the null engine."""

import logging
import os
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.engines import selection
from notaflow_pipeline.ocr.engines.interface import NOTHING, Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.onnx.engine import OnnxEngine
from notaflow_pipeline.ocr.engines.onnx.model.arithmetic import best_arithmetic
from notaflow_pipeline.ocr.engines.onnx.model.session import load_model
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
from notaflow_pipeline.ocr.engines.tesseract_library import TesserocrEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import render_page
from notaflow_pipeline_tests.ocr.samples import act_page, page_image, typed_pdf


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of all temporary files during a test, so that remaining files are seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Puts a shell script in the place of the tesseract program on PATH."""
    folder.mkdir()
    program = folder / "tesseract"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_tesseract_reads_french_and_leaves_no_file(tmp_path: Path, temporary_folder: Path) -> None:
    path = typed_pdf(tmp_path / "a.pdf", "Vente du lot 3 770 292", "à Québec, reçu 75 000,00 $ de l'acquéreur")
    found = TesseractEngine().recognise(render_page(path, DocumentFormat.PDF, 1), 300, 30)
    assert found.text == "Vente du lot 3 770 292\nà Québec, reçu 75 000,00 $ de l'acquéreur"
    assert found.words == len(found.text.split())
    assert found.mean_confidence is not None
    assert 60 < found.mean_confidence <= 100
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize("image", [page_image(""), Image.new("L", (800, 800), 0), Image.new("L", (2000, 1), 0)])
def test_page_without_words_has_no_confidence(image: Image.Image) -> None:
    assert TesseractEngine().recognise(image, None, 30) == NOTHING


def test_tesseract_runs_in_one_thread_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_THREAD_LIMIT", "64")
    real = os.environ["PATH"]
    put_on_path(
        monkeypatch, tmp_path / "bin", f'echo $OMP_THREAD_LIMIT > {tmp_path}/seen\nPATH="{real}" tesseract "$@"'
    )
    TesseractEngine().recognise(page_image(), None, 30)
    assert (tmp_path / "seen").read_text().strip() == "1"


@pytest.mark.parametrize(
    ("end", "said"), [("echo 'Vente du lot' >&2; exit 3", "status 3"), ("kill -9 $$", "killed by signal 9")]
)
def test_tesseract_failure_fails_the_page_without_quoting_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, said: str
) -> None:
    put_on_path(monkeypatch, tmp_path / "bin", f'[ "$1" = --version ] && echo "tesseract 5.3.0" && exit\n{end}')
    with pytest.raises(DocumentFailure) as caught:
        TesseractEngine().recognise(page_image(), None, 30)
    assert caught.value.kind is FailureKind.ENGINE
    assert said in caught.value.sentence
    assert "Vente" not in caught.value.sentence


def test_check_passes_where_tesseract_and_its_languages_are_installed() -> None:
    TesseractEngine("fra+eng").check()


@pytest.mark.parametrize("languages", ["fra+xyz", "xyz"])
def test_missing_language_is_named_with_what_to_install(languages: str) -> None:
    with pytest.raises(EngineUnavailable, match=r"no language data for 'xyz'.*install tesseract-ocr-xyz"):
        TesseractEngine(languages).check()


def test_language_missing_during_work_is_an_infrastructure_failure() -> None:
    with pytest.raises(EngineUnavailable, match="xyz"):
        TesseractEngine("xyz").recognise(page_image(), None, 30)


def test_missing_tesseract_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailable, match="apt-get install tesseract-ocr"):
        TesseractEngine().check()
    with pytest.raises(EngineUnavailable, match="apt-get install tesseract-ocr"):
        TesseractEngine().recognise(page_image(), None, 30)


def test_full_or_missing_temporary_folder_is_an_infrastructure_failure(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary_folder / "gone"))
    with pytest.raises(EngineUnavailable, match="temporary folder"):
        TesseractEngine().recognise(page_image(), None, 30)


def test_null_engine_returns_the_size_of_the_page() -> None:
    found = NullEngine().recognise(page_image(size=(30, 20)), None, 1)
    assert (found.text, found.words, found.mean_confidence) == ("page of 30x20", 3, 90.0)


def test_library_and_program_read_the_same() -> None:
    """They are two releases of Tesseract: their confidences differ by a little, but not their text of a clean page."""
    page = act_page(300)
    for segmentation in (Segmentation.AUTOMATIC, Segmentation.SINGLE_COLUMN):
        program, library = (
            engine.find_words(page, 300, 60, "fra", segmentation) for engine in (TesseractEngine(), TesserocrEngine())
        )
        assert [word.text for word in library] == [word.text for word in program]
        assert [word.left for word in library] == pytest.approx([word.left for word in program], abs=4)
        ours, theirs = (sum(word.confidence for word in words) / len(words) for words in (library, program))
        assert ours == pytest.approx(theirs, abs=2)


def test_library_leaves_no_file(temporary_folder: Path) -> None:
    assert TesserocrEngine("fra").recognise(page_image(), None, 30).words > 3
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize("image", [page_image(""), Image.new("L", (2000, 1), 0)])
def test_library_finds_no_words_on_an_empty_page(image: Image.Image) -> None:
    assert TesserocrEngine().recognise(image, None, 30) == NOTHING


def test_library_names_a_missing_language() -> None:
    with pytest.raises(EngineUnavailable, match=r"no language data for 'xyz'.*install tesseract-ocr-xyz"):
        TesserocrEngine("fra+xyz").check()
    with pytest.raises(EngineUnavailable, match="xyz"):
        TesserocrEngine("xyz").recognise(page_image(), None, 30)


def test_setting_forces_an_engine() -> None:
    assert select_engine(EngineName.PYTESSERACT, "fra") == TesseractEngine("fra")
    assert select_engine(EngineName.TESSEROCR, "fra") == TesserocrEngine("fra")


@pytest.mark.parametrize(
    ("missing", "chosen", "reasons"),
    [
        ("", OnnxEngine("fra"), 0),
        ("onnxruntime", TesserocrEngine("fra"), 1),
        ("tesserocr", TesseractEngine("fra"), 2),  # the engine on ONNX Runtime needs its layout analysis
    ],
)
def test_fastest_engine_that_works_is_chosen_and_logged_once(
    missing: str,
    chosen: WordEngine,
    reasons: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(selection, "_logged", set())
    load_model.cache_clear()
    best_arithmetic.cache_clear()
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    with caplog.at_level(logging.INFO):
        assert [select_engine(EngineName.AUTO, "fra") for _ in range(2)] == [chosen] * 2
    *unavailable, selected = caplog.messages
    assert f"Pages are read by {chosen.name}" in selected
    assert len(unavailable) == reasons
    assert all(missing in reason and "cannot be imported" in reason for reason in unavailable)
