"""Tests of the start of our model's training: the system's weights as floats, with which Tesseract reads the same."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from notaflow_pipeline.ocr.engines.model_files import SUFFIX, model_folder
from notaflow_pipeline_tests.deploy import PROJECT
from notaflow_pipeline_tests.ocr.samples import act_page

needs_tools = pytest.mark.skipif(shutil.which("combine_tessdata") is None, reason="needs Debian's tesseract-ocr")


@pytest.fixture(scope="module")
def float_weights() -> ModuleType:
    path = PROJECT / "scripts" / "typescript_model" / "float_weights.py"
    spec = importlib.util.spec_from_file_location("float_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Returns the system's French model, with its components beside it."""
    folder = model_folder(("fra",))
    assert folder is not None
    copy = tmp_path / f"fra{SUFFIX}"
    shutil.copy(folder / copy.name, copy)
    subprocess.run(["combine_tessdata", "-u", copy, f"{tmp_path}/fra."], check=True, capture_output=True)
    return copy


def read(folder: Path, page: Path) -> str:
    command: list[str | Path] = ["tesseract", page, "-", "-l", "fra", "--tessdata-dir", folder, "--dpi", "150"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@needs_tools
def test_tesseract_reads_the_same_with_the_weights_as_numbers(float_weights: ModuleType, model: Path) -> None:
    page = model.parent / "page.pgm"
    act_page().save(page)
    before = read(model.parent, page)
    network = model.with_suffix(".lstm")
    network.write_bytes(float_weights.with_float_weights(network.read_bytes()))
    size = model.stat().st_size
    subprocess.run(["combine_tessdata", "-o", model, network], check=True, capture_output=True)
    assert model.stat().st_size > 2 * size, "eight bytes a weight instead of one"
    assert read(model.parent, page) == before


@needs_tools
@pytest.mark.parametrize("cut", [0, 10, 5000])
def test_other_data_than_a_network_of_integers_is_rejected(float_weights: ModuleType, model: Path, cut: int) -> None:
    network = model.with_suffix(".lstm").read_bytes()
    with pytest.raises(ValueError, match="ends too early"):
        float_weights.with_float_weights(network[:cut])
    with pytest.raises(ValueError, match="no integers"):
        float_weights.with_float_weights(float_weights.with_float_weights(network))
