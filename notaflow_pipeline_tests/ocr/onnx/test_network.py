"""Tests of networks: they are read from models and give the same probabilities as a plain computation."""

import struct

import numpy as np
import pytest

from notaflow_pipeline.ocr.engines.onnx.model.arithmetic import best_arithmetic
from notaflow_pipeline.ocr.engines.onnx.model.conversion import Arithmetic
from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel, UnsupportedModel
from notaflow_pipeline.ocr.engines.onnx.model.network import read_network
from notaflow_pipeline.ocr.engines.onnx.model.session import load_file
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component
from notaflow_pipeline_tests.ocr.onnx import reference_network
from notaflow_pipeline_tests.ocr.onnx.lines import random_line
from notaflow_pipeline_tests.ocr.onnx.model_files import model_file, network_of, parts_of

MODELS = pytest.mark.parametrize("name", ["fra", "eng", "ours"])
WIDTHS = (3, 4, 5, 61, 200)


@MODELS
@pytest.mark.parametrize("width", WIDTHS)
def test_float_conversion_gives_what_plain_numpy_gives(name: str, width: int) -> None:
    network = network_of(model_file(name))
    line = random_line(width, width)
    found = load_file(model_file(name), Arithmetic.FLOAT).probabilities(line)
    expected = reference_network.probabilities(network, line)
    assert found.shape == (width // 3, network.classes)
    assert np.abs(found - expected).max() < 1e-4


@MODELS
@pytest.mark.skipif(best_arithmetic() is Arithmetic.FLOAT, reason="8 bits are not exact on this processor")
def test_8_bits_differ_little_from_floats(name: str) -> None:
    lines = [random_line(seed, 150) for seed in range(10)]
    floats, integers = (load_file(model_file(name), arithmetic) for arithmetic in Arithmetic)
    pairs = [(floats.probabilities(line), integers.probabilities(line)) for line in lines]
    exact, rounded = (np.concatenate(found) for found in zip(*pairs, strict=True))
    assert np.abs(exact - rounded).mean() < 0.002
    assert (exact.argmax(axis=1) != rounded.argmax(axis=1)).mean() < 0.05


@MODELS
def test_layers_of_a_fast_model_are_found(name: str) -> None:
    network = network_of(model_file(name))
    assert [lstm.is_reversed for lstm in network.along] == [False, True, False]
    assert (network.down.inputs, network.down.outputs) == (16, 48)
    assert network.null_class == network.classes - 1


def test_floating_weights_are_refused_by_name() -> None:
    data = bytearray(parts_of(model_file("ours"))[Component.LSTM])
    mode = data.index(struct.pack("<II", 16, 10)) - 1  # of the weights of the convolution, 16 rows of 10
    data[mode] &= ~1
    with pytest.raises(UnsupportedModel, match=r"floating weights.*tesserocr"):
        read_network(memoryview(data), "test")


def test_another_pattern_of_layers_is_refused_by_name() -> None:
    data = parts_of(model_file("ours"))[Component.LSTM].replace(b"Maxpool", b"MaxpooX")
    with pytest.raises(UnsupportedModel, match="a layer 'MaxpooX'"):
        read_network(memoryview(data), "test")


def test_another_height_of_lines_is_refused_by_name() -> None:
    data = parts_of(model_file("ours"))[Component.LSTM]
    figures = struct.pack("<4i", 1, 36, 0, 1)
    assert data.count(figures) == 1
    with pytest.raises(UnsupportedModel, match="another pattern"):
        read_network(memoryview(data.replace(figures, struct.pack("<4i", 1, 48, 0, 1))), "test")


def test_network_of_layers_without_end_is_damaged() -> None:
    series = (
        b"\0" + struct.pack("<i", 6) + b"Series" + b"\0\0" + struct.pack("<5i", 0, 1, 1, 0, 0) + struct.pack("<i", 1)
    )
    with pytest.raises(DamagedModel, match="without end"):
        read_network(memoryview(series * 50), "test")
