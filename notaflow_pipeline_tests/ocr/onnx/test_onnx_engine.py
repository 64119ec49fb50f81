"""Tests of the ONNX engine: its selection, its errors, its use in workers, and unusual pages."""

import pickle
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from notaflow_pipeline.ocr.engines.interface import NOTHING, Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.onnx import engine as onnx_engine
from notaflow_pipeline.ocr.engines.onnx.engine import OnnxEngine
from notaflow_pipeline.ocr.engines.onnx.model.session import load_model
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
from notaflow_pipeline.ocr.failures import EngineUnavailable
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.ocr.samples import act_page, page_image, typed_pdf
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS


@pytest.fixture
def nothing_loaded() -> None:
    load_model.cache_clear()
    onnx_engine._layout_engine.cache_clear()


def test_engine_returns_word_positions_and_can_be_pickled() -> None:
    engine = OnnxEngine("fra+eng")
    assert isinstance(engine, WordEngine)
    assert pickle.loads(pickle.dumps(engine)) == engine  # noqa: S301
    assert engine.name == "onnx (fra-typescript-1+eng)"
    engine.check()


def test_workers_read_a_document_with_it(tmp_path: Path) -> None:
    path = typed_pdf(tmp_path / "a.pdf", "Vente du lot 3 770 292", "à Québec, reçu 75 000,00 $ de l'acquéreur")
    image = act_page(150)
    image.save(tmp_path / "b.png", dpi=(150, 150))
    with DocumentPool(OnnxEngine(), workers=1) as reader:
        documents = [reader.start(file).result(timeout=HANG_SECONDS) for file in (path, tmp_path / "b.png")]
    assert "Vente du lot 3 770 292" in documents[0].text
    assert "possession du lot le premier mai" in documents[1].text


def test_setting_chooses_it() -> None:
    assert select_engine(EngineName.ONNX, "fra") == OnnxEngine("fra")


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("module", ["onnxruntime", "tesserocr"])
def test_missing_library_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineUnavailable, match=rf"{module}.*cannot be imported.*pip install {module}"):
        OnnxEngine().check()
    with pytest.raises(EngineUnavailable, match=module):
        OnnxEngine().find_words(page_image(), None, 30)


@pytest.mark.parametrize("languages", ["xyz", "fra+xyz"])
def test_missing_language_is_named_with_what_to_install(languages: str) -> None:
    with pytest.raises(EngineUnavailable, match=r"no language data for 'xyz'.*install tesseract-ocr-xyz"):
        OnnxEngine(languages).check()
    with pytest.raises(EngineUnavailable, match="xyz"):
        OnnxEngine(languages).find_words(page_image(), None, 30)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (30, 30), (2000, 1), (1, 2000), (9000, 12), (12, 9000)])
@pytest.mark.parametrize("shade", [0, 255])
def test_tiny_and_narrow_pages_have_no_words(size: tuple[int, int], shade: int) -> None:
    engine = OnnxEngine("fra")
    assert engine.recognise(Image.new("L", size, shade), None, 30) == NOTHING
    assert engine.find_words(Image.new("L", size, shade), None, 30) == []


@pytest.mark.parametrize("segmentation", Segmentation)
@pytest.mark.parametrize("dpi", [None, 1, 70, 100_000])
def test_noise_and_rules_are_read_without_error(segmentation: Segmentation, dpi: int | None) -> None:
    page = Image.effect_noise((300, 200), 90)
    draw = ImageDraw.Draw(page)
    for y in (20, 21, 180):
        draw.line((0, y, 300, y), fill=0)
    draw.rectangle((250, 0, 299, 199), fill=0)
    for word in OnnxEngine("fra").find_words(page, dpi, 30, "fra", segmentation):
        assert word.text.strip()
        assert 0 <= word.confidence <= 100
        assert 0 <= word.left < word.right <= page.width
        assert 0 <= word.top < word.bottom <= page.height


def test_random_pages_are_read_without_error() -> None:
    for seed in range(12):
        size = (37 + 91 * seed, 20 + 700 // (seed + 1))
        page = act_page(100).resize(size).rotate(17 * seed, fillcolor=225)
        for word in OnnxEngine("fra").find_words(page, 100, 30):
            assert 0 <= word.left < word.right <= page.width
            assert 0 <= word.top < word.bottom <= page.height
