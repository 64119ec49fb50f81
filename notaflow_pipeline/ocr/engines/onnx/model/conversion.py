"""Writes a Tesseract network as an ONNX model, with its 8-bit weights as they are or as floats.

The model takes one line, `(LINE_HEIGHT, width)`, and what `borders.border_maxima` gives for it, and gives the
probabilities `(steps, classes)`.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.engines.onnx.model import onnx_format
from notaflow_pipeline.ocr.engines.onnx.model.network import KERNEL, LINE_HEIGHT, POOL, Lstm, Network

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
VERSIONS = {"": 17, MICROSOFT: 1}


class Arithmetic(StrEnum):
    """The number format of the memories and the last layer."""

    FLOAT = "float"
    INTEGER = "8 bits"


def to_onnx(network: Network, arithmetic: Arithmetic) -> bytes:
    """The network as an ONNX model with the inputs `line` and `border` and the output `probabilities`."""
    return _Conversion(arithmetic).convert(network)


class _Conversion:
    def __init__(self, arithmetic: Arithmetic) -> None:
        self._arithmetic = arithmetic
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._names = 0

    def convert(self, network: Network) -> bytes:
        value = self._columns("line", network)
        value = self._lstm(value, network.down, keep_last=True)
        value = self._apply("Reshape", value, self._shape(-1, 1, network.down.outputs))
        for lstm in network.along:
            value = self._lstm(value, lstm)
        value = self._apply("Reshape", value, self._shape(-1, network.along[-1].outputs))
        value = self._output(value, network)
        self._nodes.append(onnx_format.node("Softmax", [value], ["probabilities"], {"axis": -1}))
        return onnx_format.model(
            self._nodes,
            self._constants,
            [
                onnx_format.float_tensor_type("line", (LINE_HEIGHT, "width")),
                onnx_format.float_tensor_type("border", (LINE_HEIGHT // POOL, "steps", network.down.inputs)),
            ],
            onnx_format.float_tensor_type("probabilities", ("steps", network.classes)),
            VERSIONS,
        )

    def _columns(self, value: str, network: Network) -> str:
        """Converts the picture to a sequence from top to bottom, of every column at once: `(height, columns, channels)`."""
        floats = network.convolution.floats
        kernels = floats[:, :-1].reshape(-1, 1, KERNEL, KERNEL).transpose(0, 1, 3, 2)
        value = self._apply("Reshape", value, self._shape(1, 1, LINE_HEIGHT, -1))
        value = self._apply("Conv", value, self._constant(kernels), self._constant(floats[:, -1]))
        # without the positions at the border: they come from `border`, and count as minus infinity here
        pool = (POOL, POOL)
        value = self._apply("MaxPool", value, kernel_shape=pool, strides=pool, pads=(1, 1, 1, 1))
        value = self._apply("Transpose", value, perm=(2, 3, 0, 1))
        value = self._apply("Reshape", value, self._shape(LINE_HEIGHT // POOL, -1, len(floats)))
        # tanh grows with its argument, so it can follow the maxima, which are a ninth
        return self._apply("Tanh", self._apply("Max", value, "border"))

    def _lstm(self, value: str, lstm: Lstm, *, keep_last: bool = False) -> str:
        gates = (lstm.input_gate, lstm.output_gate, lstm.forget_gate, lstm.cell)  # ONNX's order: i, o, f, c
        integers = np.concatenate([gate.integers for gate in gates])
        scales = np.concatenate([gate.scales for gate in gates])
        bias = np.zeros((1, 2 * len(scales)), np.float32)  # ONNX has a second one, for the outputs of the step before
        bias[0, : len(scales)] = integers[:, -1] * scales
        inputs, outputs = integers[:, : lstm.inputs], integers[:, lstm.inputs : -1]
        attributes = {"hidden_size": lstm.outputs, "direction": "reverse" if lstm.is_reversed else "forward"}
        name = self._new_name()
        result = ["", name] if keep_last else [name]
        if self._arithmetic is Arithmetic.FLOAT:
            matrices = [self._constant((part * scales[:, None])[None]) for part in (inputs, outputs)]
            operands = [value, *matrices, self._constant(bias)]
            self._nodes.append(onnx_format.node("LSTM", operands, result, attributes))
        else:
            matrices = [self._constant(part.T[None]) for part in (inputs, outputs)]
            quantisation = [self._constant(scales[None]), self._constant(np.zeros((1, len(scales)), np.int8))] * 2
            operands = [value, *matrices, self._constant(bias), "", "", "", "", *quantisation]
            self._nodes.append(onnx_format.node("DynamicQuantizeLSTM", operands, result, attributes, MICROSOFT))
        return name if keep_last else self._apply("Squeeze", name, self._shape(1))

    def _output(self, value: str, network: Network) -> str:
        integers, scales = network.output.integers, network.output.scales
        bias = self._constant(integers[:, -1] * scales)
        if self._arithmetic is Arithmetic.FLOAT:
            matrix = self._constant(network.output.floats[:, :-1].T)
            return self._apply("Add", self._apply("MatMul", value, matrix), bias)
        operands = [self._constant(integers[:, :-1].T), self._constant(scales)]
        operands += [self._constant(np.zeros(len(scales), np.int8)), bias]
        result = self._new_name()
        self._nodes.append(onnx_format.node("DynamicQuantizeMatMul", [value, *operands], [result], domain=MICROSOFT))
        return result

    def _apply(self, operator: str, *operands: str, **attributes: tuple[int, ...]) -> str:
        result = self._new_name()
        self._nodes.append(onnx_format.node(operator, operands, [result], attributes))
        return result

    def _constant(self, values: NDArray[np.generic]) -> str:
        name = self._new_name()
        self._constants.append(onnx_format.tensor(name, values))
        return name

    def _shape(self, *sizes: int) -> str:
        return self._constant(np.array(sizes, np.int64))

    def _new_name(self) -> str:
        self._names += 1
        return f"value{self._names}"
