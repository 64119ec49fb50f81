"""A network in plain numpy floats, computed step by step like Tesseract, as the reference for conversions."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.engines.onnx.model.network import KERNEL, POOL, Lstm, Network

Floats = NDArray[np.float64]


def probabilities(network: Network, line: NDArray[np.float32]) -> Floats:
    columns = pooled(convolved(line, network))
    values = np.stack([run(network.down, column)[-1] for column in columns])
    for lstm in network.along:
        values = run(lstm, values[::-1])[::-1] if lstm.is_reversed else run(lstm, values)
    scores = with_bias(values) @ network.output.floats.T
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def convolved(line: NDArray[np.float32], network: Network) -> Floats:
    """Returns (columns, rows, channels); the pixels around one are taken column by column, from the left."""
    height, width = line.shape
    noise = random_numbers(network.iteration)
    around = np.zeros((width, height, KERNEL, KERNEL))
    for y in range(height):
        for x in range(width):
            for column in range(KERNEL):
                for row in range(KERNEL):
                    at_x, at_y = x + column - 1, y + row - 1
                    inside = 0 <= at_x < width and 0 <= at_y < height
                    around[x, y, column, row] = line[at_y, at_x] if inside else next(noise)
    return np.asarray(np.tanh(with_bias(around.reshape(width, height, -1)) @ network.convolution.floats.T))


def random_numbers(iteration: int) -> Iterator[float]:
    """Yields the numbers of Tesseract's generator."""
    state = iteration * 0x10000001
    first = True
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        number = 127 * 2.0 * (state >> 33) / (2**31 - 1) - 127
        if not first:
            yield (int(number + 0.5) if number >= 0 else -int(0.5 - number)) / 127
        first = False


def pooled(values: Floats) -> Floats:
    columns, rows = values.shape[0] // POOL, values.shape[1] // POOL
    cut = values[: columns * POOL, : rows * POOL]
    return np.asarray(cut.reshape(columns, POOL, rows, POOL, -1).max(axis=(1, 3)))


def run(lstm: Lstm, values: Floats) -> Floats:
    """Returns the outputs of a memory at each step."""
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
