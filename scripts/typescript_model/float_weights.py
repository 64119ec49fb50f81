"""Restores float weights of a model whose weights were rounded to integers, so that training can continue.

Tesseract's fast models hold each row of a weight matrix as bytes and a factor, which `lstmtraining` refuses. Multiplied
out they are the numbers that it wants. The layout is that of `Network::Serialize`, `WeightMatrix::Serialize` and
`LSTMRecognizer::Serialize` in Tesseract 5.
"""

import struct

import numpy as np

INTEGER_WEIGHTS, ADAM, DOUBLES = 1, 4, 128
INTEGER_NETWORK = 1
RATES_A_LAYER = 64
GATES = 4
"""Weight matrices of a one-dimensional LSTM: its input and its three gates."""

HOLDS_LAYERS = {"Series", "Parallel", "Replicated", "RTLReversed", "TTBReversed", "XYTranspose"}
BYTES_OF_SHAPE = {"Input": 20, "Convolve": 8, "Maxpool": 8, "Reconfig": 8}


def with_float_weights(network: bytes) -> bytes:
    """Return the component `lstm` of a model with its weights as doubles.

    Raises:
        ValueError: the bytes are no network of integers, or hold a layer that this does not know.
    """
    copying = _Copying(network)
    copying.layer()
    copying.text()  # how the network was described
    copying.write(struct.pack("<i", copying.integer(keep=False) & ~INTEGER_NETWORK))
    copying.rest()
    return bytes(copying.written)


class _Copying:
    """Reads a network and writes it again with other weights."""

    def __init__(self, network: bytes) -> None:
        self._network = network
        self._position = 0
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data

    def take(self, count: int, *, keep: bool = True) -> bytes:
        data = self._network[self._position : self._position + count]
        if len(data) < count:
            raise ValueError("the network ends too early")
        self._position += count
        if keep:
            self.write(data)
        return data

    def rest(self) -> None:
        self.write(self._network[self._position :])

    def integer(self, *, keep: bool = True) -> int:
        return int(struct.unpack("<i", self.take(4, keep=keep))[0])

    def text(self) -> str:
        return self.take(self.integer()).decode()

    def layer(self) -> None:
        self.take(1)  # no type by number: its name follows
        kind = self.text()
        self.take(1, keep=False)
        self.write(b"\0")  # not in training yet
        self.take(1)  # whether errors are passed on
        flags = self.integer()
        self.take(12)  # inputs, outputs, weights
        self.text()  # its name
        if kind in HOLDS_LAYERS:
            for _ in range(self.integer()):
                self.layer()
            if flags & RATES_A_LAYER:
                self.take(4 * self.integer())
        elif kind in BYTES_OF_SHAPE:
            self.take(BYTES_OF_SHAPE[kind])
        elif kind in {"LSTM", "SummLSTM"}:
            self.take(4)
            for _ in range(GATES):
                self.weights()
        elif kind in {"Softmax", "Tanh", "Relu", "Linear", "Logistic"}:
            self.weights()
        else:
            raise ValueError(f"a layer {kind} is not known here")

    def weights(self) -> None:
        mode = self.take(1, keep=False)[0]
        if not (mode & INTEGER_WEIGHTS and mode & DOUBLES):
            raise ValueError("its weights are no integers")
        rows, columns = struct.unpack("<II", self.take(8, keep=False))
        self.take(1, keep=False)  # what an empty place would hold
        integers = np.frombuffer(self.take(rows * columns, keep=False), np.int8).reshape(rows, columns)
        factors = np.frombuffer(self.take(8 * self.integer(keep=False), keep=False), "<f8")[:rows]
        self.write(bytes([DOUBLES | (mode & ADAM)]))
        self.write(struct.pack("<IId", rows, columns, 0.0))
        self.write((integers * factors[:, None]).astype("<f8").tobytes())
