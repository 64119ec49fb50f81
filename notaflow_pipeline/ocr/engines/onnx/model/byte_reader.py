"""Reads little-endian values from bytes, with every length checked before it is used."""

import struct

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel


class ByteReader:
    """A position in the bytes of one component of a model. `what` names it in errors."""

    def __init__(self, data: memoryview, what: str) -> None:
        self._data = data
        self._what = what
        self._position = 0

    def take(self, count: int) -> memoryview:
        """The next bytes. Raises `DamagedModel` where there are not so many."""
        if not 0 <= count <= self.remaining:
            raise DamagedModel(f"{self._what} ends too early")
        taken = self._data[self._position : self._position + count]
        self._position += count
        return taken

    @property
    def remaining(self) -> int:
        """Returns the number of bytes left."""
        return len(self._data) - self._position

    def byte(self) -> int:
        """An unsigned byte."""
        return self.take(1)[0]

    def integer(self) -> int:
        """A signed integer of 32 bits."""
        return int(struct.unpack("<i", self.take(4))[0])

    def integers(self, count: int) -> tuple[int, ...]:
        """Signed integers of 32 bits."""
        return struct.unpack(f"<{count}i", self.take(4 * count))

    def text(self) -> str:
        """A string with its length before it."""
        try:
            return bytes(self.take(self.integer())).decode()
        except UnicodeDecodeError as error:
            raise DamagedModel(f"{self._what} holds a name that is no text") from error

    def bytes_matrix(self, rows: int, columns: int) -> NDArray[np.int8]:
        """Signed bytes, row by row."""
        if rows < 0 or columns < 0:
            raise DamagedModel(f"{self._what} has a matrix of negative size")
        return np.frombuffer(self.take(rows * columns), np.int8).reshape(rows, columns)

    def doubles(self, count: int) -> NDArray[np.float64]:
        """Numbers of 64 bits."""
        return np.frombuffer(self.take(8 * count), "<f8")
