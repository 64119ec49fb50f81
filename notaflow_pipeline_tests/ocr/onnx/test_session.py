"""Tests of sessions: models are loaded by language and read lines like Tesseract without its dictionaries."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
import tesserocr

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.engines.onnx.model import arithmetic, session
from notaflow_pipeline.ocr.engines.onnx.model.conversion import Arithmetic
from notaflow_pipeline.ocr.engines.onnx.model.session import load_file, load_model
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline_tests.ocr.onnx.lines import SENTENCES, best_text, drawn_line, random_line, stretched
from notaflow_pipeline_tests.ocr.onnx.model_files import model_file, packed, parts_of

LINES = [drawn_line(sentence, seed) for sentence in SENTENCES for seed in range(8)]


@pytest.fixture(autouse=True)
def forget_loaded_models() -> Iterator[None]:
    load_model.cache_clear()
    yield
    load_model.cache_clear()


@pytest.mark.parametrize("language", ["fra", "eng", "fra-typescript-1"])
def test_model_of_a_language_gives_probabilities(language: str) -> None:
    model = load_model(language)
    found = model.probabilities(random_line(1, 100))
    assert model.name == language
    assert found.shape == (33, len(model.charset.texts))
    assert found.dtype == np.float32
    assert np.allclose(found.sum(axis=1), 1, atol=1e-4)
    assert load_model(language) is model


def test_loading_a_model_leaves_nothing_in_home_and_temporary_folder(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry keeps its identifiers and what it has not sent yet there."""
    folders = {variable: str(tmp_path) for variable in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    program = f"from {session.__name__} import load_model; load_model('fra')"
    variables = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", program], env=variables | folders, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("width", [0, 1, 2])
def test_line_too_narrow_for_a_step_has_none(width: int) -> None:
    model = load_model("fra")
    assert model.probabilities(np.zeros((36, width), np.float32)).shape == (0, len(model.charset.texts))


def test_same_line_gives_the_same_probabilities_after_others() -> None:
    model = load_model("fra")
    line = random_line(1, 100)
    first = model.probabilities(line)
    model.probabilities(random_line(2, 400))
    assert np.array_equal(model.probabilities(line), first)


@pytest.mark.parametrize("name", ["fra", "eng", "ours"])
def test_lines_are_read_as_by_tesseract_without_dictionaries(name: str, tmp_path: Path) -> None:
    parts = parts_of(model_file(name))
    network_alone = {part: parts[part] for part in (Component.LSTM, Component.UNICHARSET, Component.RECODER)}
    (tmp_path / "plain.traineddata").write_bytes(packed(network_alone))
    model = load_file(tmp_path / "plain.traineddata", Arithmetic.FLOAT)
    with tesserocr.PyTessBaseAPI(
        path=f"{tmp_path}/", lang="plain", psm=tesserocr.PSM.RAW_LINE, oem=tesserocr.OEM.LSTM_ONLY
    ) as tesseract:
        expected = [read_by_tesseract(tesseract, line) for line in LINES]
    found = [best_text(model, stretched(line)) for line in LINES]
    assert all(expected)
    assert jiwer.cer(expected, found) < 0.02


def read_by_tesseract(tesseract: tesserocr.PyTessBaseAPI, line: object) -> str:
    tesseract.SetImage(line)
    tesseract.SetSourceResolution(300)
    return " ".join(tesseract.GetUTF8Text().split())


def test_language_without_a_model_is_named() -> None:
    with pytest.raises(EngineUnavailable, match="no language data for 'tlh'"):
        load_model("tlh")


def test_missing_onnxruntime_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineUnavailable, match="pip install onnxruntime"):
        load_file(model_file("ours"), Arithmetic.FLOAT)


def test_floats_are_used_where_8_bits_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "run", lambda _session, values: np.full((len(values), 32), 32767 / 2))
    monkeypatch.setattr(session, "best_arithmetic", arithmetic.best_arithmetic.__wrapped__)
    assert load_model("fra").arithmetic is Arithmetic.FLOAT


def test_8_bits_are_used_where_vnni_is() -> None:
    cpu = Path("/proc/cpuinfo")
    if not cpu.is_file() or not {"avx512_vnni", "avx_vnni"} & set(cpu.read_text(encoding="ascii").split()):
        pytest.skip("this processor has no VNNI")
    assert load_model("fra").arithmetic is Arithmetic.INTEGER


def test_failure_within_onnxruntime_is_the_documents() -> None:
    model = load_model("fra")
    with pytest.raises(DocumentFailure) as failure:
        model.probabilities(np.zeros((36, 100), np.float64))
    assert failure.value.kind is FailureKind.ENGINE
