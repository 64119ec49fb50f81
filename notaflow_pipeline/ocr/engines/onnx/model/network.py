"""The layers of a Tesseract network, read from the component `lstm` of a model.

The layout is that of `Network::CreateFromFile`, `WeightMatrix::DeSerialize` and `LSTM::DeSerialize` in Tesseract 5
(lstm/network.cpp, weightmatrix.cpp, lstm.cpp). Read are networks of 8-bit weights with one pattern of layers, that of
Tesseract's fast models: `[1,36,0,1 Ct3,3,16 Mp3,3 Lfys48 Lfx96 Lrx96 Lfx128 O1c1]` with any sizes.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.engines.onnx.model.byte_reader import ByteReader
from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel, UnsupportedModel

LINE_HEIGHT = 36
"""Pixels of a line image that Tesseract's models for `[1,36,0,1` take."""
KERNEL = POOL = 3
"""Pixels of the kernel of the convolution and of the pools, across and down: `Ct3,3` and `Mp3,3`."""
MAX_DEPTH = 8
"""Layers within layers; the networks of this pattern have three."""

MAX_SCALE = 1e3
"""The largest scale of a row of weights: more is damaged; those of `fra`, `eng` and our model are 0.52 at most."""

INTEGER_WEIGHTS = 1
"""`kInt8Flag` of weightmatrix.cpp."""
RATES_BY_LAYER = 64
"""`NF_LAYER_SPECIFIC_LR` of network.h."""
GATES = 4
"""The gates in `LSTM::DeSerialize`: CI, GI, GF1, GO; GFS is left out in networks of one dimension."""

WITH_LAYERS = {"Series", "Parallel", "Replicated", "RTLReversed", "TTBReversed", "XYTranspose"}
FIGURES = {"Input": 5, "Convolve": 2, "Maxpool": 2, "Reconfig": 2}
FULLY_CONNECTED = {"Softmax", "SoftmaxNoCTC", "Tanh", "Relu", "Linear", "Logistic"}


@dataclass(frozen=True)
class Weights:
    """A matrix of weights: a row an output, a column an input, the last column the bias. Row times scale is the weight."""

    integers: NDArray[np.int8]
    scales: NDArray[np.float32]

    @property
    def floats(self) -> NDArray[np.float32]:
        """The weights as the network multiplies with them."""
        return self.integers * self.scales[:, None]


@dataclass(frozen=True)
class Lstm:
    """A long short-term memory. Each matrix takes the layer's inputs, then its own outputs of the step before."""

    inputs: int
    outputs: int
    cell: Weights
    input_gate: Weights
    forget_gate: Weights
    output_gate: Weights
    is_reversed: bool = False


@dataclass(frozen=True)
class Network:
    """A network for lines of `LINE_HEIGHT` pixels.

    A convolution with tanh (its inputs are columns of the kernel, each from the top), a maximum over pools, a memory
    that runs down each column and keeps its last output, memories along the line, and a softmax. `iteration` is that at
    which training stopped; Tesseract's noise follows from it.
    """

    convolution: Weights
    down: Lstm
    along: tuple[Lstm, ...]
    output: Weights
    null_class: int
    iteration: int

    @property
    def classes(self) -> int:
        """The number of classes of a step of the line."""
        return len(self.output.integers)


@dataclass(frozen=True)
class _Layer:
    kind: str
    inputs: int
    outputs: int
    layers: tuple["_Layer", ...] = ()
    figures: tuple[int, ...] = ()
    weights: tuple[Weights, ...] = field(default=(), repr=False)


def read_network(data: memoryview, name: str) -> Network:
    """Read the component `lstm` of the model of that name.

    Raises:
        DamagedModel: the bytes are no network.
        UnsupportedModel: it has floating weights or another pattern of layers.
    """
    reader = ByteReader(data, f"the network of the model {name}")
    top = _read_layer(reader, name)
    reader.text()  # the pattern as its trainer wrote it, which need not be what the layers say
    _flags, _iteration, iteration, null_class = reader.integers(4)
    network = _network_of(_flat(top), null_class, iteration, name)
    if not 0 <= null_class < network.classes:
        raise DamagedModel(f"the network of the model {name} has no class {null_class}")
    return network


def _read_layer(reader: ByteReader, name: str, depth: int = 0) -> _Layer:
    if depth > MAX_DEPTH:
        raise DamagedModel(f"the network of the model {name} has layers within layers without end")
    reader.byte()  # no kind by number: its name follows
    kind = reader.text()
    reader.take(2)  # whether it is in training, whether errors are passed on
    flags, inputs, outputs, _weights = reader.integers(4)
    reader.text()  # its name
    if kind in WITH_LAYERS:
        count = reader.integer()
        layers = tuple(_read_layer(reader, name, depth + 1) for _ in range(count))
        if flags & RATES_BY_LAYER:
            reader.take(4 * reader.integer())
        return _Layer(kind, inputs, outputs, layers=layers)
    if kind in FIGURES:
        return _Layer(kind, inputs, outputs, figures=reader.integers(FIGURES[kind]))
    if kind in {"LSTM", "SummLSTM"}:
        if reader.integer() != inputs + outputs:  # with a further part, it has two dimensions
            raise UnsupportedModel(f"the model {name} has a memory of two dimensions")
        gates = tuple(_read_weights(reader, name, outputs, inputs + outputs + 1) for _ in range(GATES))
        return _Layer(kind, inputs, outputs, weights=gates)
    if kind in FULLY_CONNECTED:
        return _Layer(kind, inputs, outputs, weights=(_read_weights(reader, name, outputs, inputs + 1),))
    raise UnsupportedModel(f"the model {name} has a layer {kind[:20]!r}")


def _read_weights(reader: ByteReader, name: str, rows: int, columns: int) -> Weights:
    if not reader.byte() & INTEGER_WEIGHTS:
        raise UnsupportedModel(f"the model {name} has floating weights")
    if reader.integers(2) != (rows, columns):
        raise DamagedModel(f"the network of the model {name} has weights that do not fit its layers")
    reader.byte()  # what an empty place would hold
    integers = reader.bytes_matrix(rows, columns)
    scales = reader.doubles(reader.integer())[:rows]  # more than rows where Tesseract rounded their number up
    if len(scales) < rows or not (np.abs(scales) < MAX_SCALE).all():
        raise DamagedModel(f"the network of the model {name} has weights without scales")
    return Weights(integers, scales.astype(np.float32))


def _flat(layer: _Layer) -> list[_Layer]:
    if layer.kind == "Series":
        return [inner for part in layer.layers for inner in _flat(part)]
    return [layer]


def _network_of(layers: list[_Layer], null_class: int, iteration: int, name: str) -> Network:
    kinds = [layer.kind for layer in layers]
    if kinds[:5] != ["Input", "Convolve", "Tanh", "Maxpool", "XYTranspose"] or kinds[-1] != "Softmax":
        raise UnsupportedModel(f"the model {name} has another pattern of layers")
    picture, convolve, tanh, maxpool, turned = layers[:5]
    height, depth = picture.figures[1], picture.figures[3]
    down = _lstm_of(turned, "XYTranspose", "SummLSTM", name)
    along = tuple(_along(layer, name) for layer in layers[5:-1])
    sizes_of_pattern = (LINE_HEIGHT, 1, KERNEL // 2, KERNEL // 2, POOL, POOL)
    if (height, depth, *convolve.figures, *maxpool.figures) != sizes_of_pattern or not along:
        raise UnsupportedModel(f"the model {name} has another pattern of layers")
    sizes = [tanh.outputs, down.outputs, *(lstm.outputs for lstm in along)]
    wanted = [down.inputs, *(lstm.inputs for lstm in along), layers[-1].inputs]
    if tanh.inputs != KERNEL * KERNEL or sizes != wanted or min(sizes) < 1:
        raise DamagedModel(f"the network of the model {name} has layers that do not fit each other")
    return Network(tanh.weights[0], down, along, layers[-1].weights[0], null_class, iteration)


def _along(layer: _Layer, name: str) -> Lstm:
    if layer.kind == "RTLReversed":
        return _lstm_of(layer, "RTLReversed", "LSTM", name, is_reversed=True)
    return _lstm_of(_Layer("", 0, 0, layers=(layer,)), "", "LSTM", name)


def _lstm_of(holder: _Layer, holder_kind: str, kind: str, name: str, *, is_reversed: bool = False) -> Lstm:
    if holder.kind != holder_kind or [layer.kind for layer in holder.layers] != [kind]:
        raise UnsupportedModel(f"the model {name} has another pattern of layers")
    layer = holder.layers[0]
    cell, input_gate, forget_gate, output_gate = layer.weights
    return Lstm(layer.inputs, layer.outputs, cell, input_gate, forget_gate, output_gate, is_reversed)
