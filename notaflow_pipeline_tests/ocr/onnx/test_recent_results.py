"""Tests of what the ONNX engine keeps between passes: layouts and lines."""

from collections import Counter
from typing import Any

import pytest
from PIL import Image, ImageOps

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.onnx import engine as onnx_engine
from notaflow_pipeline.ocr.engines.onnx import unit_reader
from notaflow_pipeline.ocr.engines.onnx.engine import OnnxEngine
from notaflow_pipeline.ocr.engines.onnx.lines import layout_units
from notaflow_pipeline.ocr.engines.onnx.model.session import LineModel
from notaflow_pipeline.ocr.engines.onnx.recent_results import RecentResults
from notaflow_pipeline_tests.ocr.samples import act_page


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The number of layouts that were analysed and of lines that ran through a network, with nothing kept before."""
    counted: Counter[str] = Counter()
    probabilities, find_units = LineModel.probabilities, layout_units.find_units

    def counted_probabilities(model: LineModel, line: Any) -> Any:
        counted[model.name] += 1
        return probabilities(model, line)

    def counted_units(*arguments: Any) -> Any:
        counted["layouts"] += 1
        return find_units(*arguments)

    monkeypatch.setattr(LineModel, "probabilities", counted_probabilities)
    monkeypatch.setattr(onnx_engine, "find_units", counted_units)
    monkeypatch.setattr(onnx_engine, "_recent_layouts", RecentResults(onnx_engine.MAX_RECENT_LAYOUTS))
    monkeypatch.setattr(unit_reader, "_recent_lines", RecentResults(unit_reader.MAX_RECENT_LINES))
    return counted


def test_second_pass_over_a_page_runs_no_network(calls: Counter[str]) -> None:
    page = act_page(150)
    first = OnnxEngine().find_words(page, 150, 60, "fra")
    after_first = calls.copy()
    assert after_first["layouts"] == 1
    assert after_first["fra"] > 5
    assert OnnxEngine().find_words(page.copy(), 150, 60, "fra") == first
    assert calls == after_first


def test_another_language_uses_the_layout_and_its_own_network(calls: Counter[str]) -> None:
    page = act_page(150)
    french = OnnxEngine().find_words(page, 150, 60, "fra")
    english = OnnxEngine().find_words(page, 150, 60, "eng")
    assert calls["layouts"] == 1
    assert calls["eng"] >= calls["fra"] > 5
    assert [word.text for word in french] != [word.text for word in english]


def test_layout_depends_on_resolution_segmentation_and_pixels(calls: Counter[str]) -> None:
    page = act_page(150)
    engine = OnnxEngine()
    engine.find_words(page, 150, 60, "fra")
    engine.find_words(page, 200, 60, "fra")
    engine.find_words(page, 150, 60, "fra", Segmentation.SINGLE_BLOCK)
    engine.find_words(ImageOps.mirror(page), 150, 60, "fra")
    assert calls["layouts"] == 4


def test_same_bytes_in_another_shape_are_read_again(calls: Counter[str]) -> None:
    page = Image.frombytes("L", act_page(150).size[::-1], act_page(150).tobytes())
    OnnxEngine().find_words(act_page(150), 150, 60, "fra")
    OnnxEngine().find_words(page, 150, 60, "fra")
    assert calls["layouts"] == 2


def test_results_beyond_the_number_are_forgotten_in_order_of_use() -> None:
    computed = []

    def result(pixels: bytes) -> bytes:
        def compute() -> bytes:
            computed.append(pixels)
            return pixels

        return recent.result(pixels, (), compute)

    recent: RecentResults[bytes] = RecentResults(2)
    for pixels in (b"a", b"b", b"a", b"c", b"a", b"b"):
        assert result(pixels) == pixels
    assert computed == [b"a", b"b", b"c", b"b"]
