"""A network in plain numpy floats, step by step as Tesseract computes it, to compare conversions with."""

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.engines.onnx.network import Lstm, Network

Floats = NDArray[np.float64]


def probabilities(network: Network, line: NDArray[np.float32]) -> Floats:
    columns = pooled(convolved(line, network), network)
    values = np.stack([run(network.down, column)[-1] for column in columns])
    for lstm in network.along:
        values = run(lstm, values[::-1])[::-1] if lstm.is_reversed else run(lstm, values)
    scores = with_bias(values) @ network.output.floats.T
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def convolved(line: NDArray[np.float32], network: Network) -> Floats:
    """(columns, rows, channels); the pixels around one are taken column by column, from the left."""
    half_x, half_y = network.half_x, network.half_y
    padded = np.pad(line.astype(float), ((half_y, half_y), (half_x, half_x)))
    height, width = line.shape
    around = [padded[y : y + height, x : x + width].T for x in range(2 * half_x + 1) for y in range(2 * half_y + 1)]
    return np.asarray(np.tanh(with_bias(np.stack(around, axis=-1)) @ network.convolution.floats.T))


def pooled(values: Floats, network: Network) -> Floats:
    columns, rows = values.shape[0] // network.pool_x, values.shape[1] // network.pool_y
    cut = values[: columns * network.pool_x, : rows * network.pool_y]
    return np.asarray(cut.reshape(columns, network.pool_x, rows, network.pool_y, -1).max(axis=(1, 3)))


def run(lstm: Lstm, values: Floats) -> Floats:
    """The outputs of a memory at each step."""
    state = output = np.zeros(lstm.outputs)
    outputs = []
    for value in values:
        source = np.concatenate([value, output, [1.0]])
        cell = np.tanh(lstm.cell.floats @ source)
        state = logistic(lstm.forget_gate.floats @ source) * state + logistic(lstm.input_gate.floats @ source) * cell
        output = logistic(lstm.output_gate.floats @ source) * np.tanh(state)
        outputs.append(output)
    return np.array(outputs)


def logistic(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)))


def with_bias(values: Floats) -> Floats:
    return np.concatenate([values, np.ones((*values.shape[:-1], 1))], axis=-1)
