"""Writes the few messages of the ONNX format that a model of ours is made of.

ONNX models are Protocol Buffers (onnx/onnx.proto of the ONNX project names the fields and their numbers). The package
`onnx` would write them too, with 31 MB of code that nothing else here needs.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

VARINT, BYTES = 0, 2
"""Wire types of Protocol Buffers."""

ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7}
"""The values of `TensorProto.DataType`."""
INTEGER, STRING, INTEGERS = 2, 3, 7
"""Of `AttributeProto.AttributeType`."""
IR_VERSION = 9
"""The version of the format that has operator set 17."""


def node(
    operator: str,
    inputs: Iterable[str],
    outputs: Iterable[str],
    attributes: Mapping[str, int | str | Sequence[int]] | None = None,
    domain: str = "",
) -> bytes:
    """`NodeProto`: an operator with the names of what goes in and comes out."""
    return b"".join(
        (
            *(_bytes(1, name.encode()) for name in inputs),
            *(_bytes(2, name.encode()) for name in outputs),
            _bytes(4, operator.encode()),
            *(_bytes(5, _attribute(name, value)) for name, value in (attributes or {}).items()),
            _bytes(7, domain.encode()),
        )
    )


def tensor(name: str, values: NDArray[np.generic]) -> bytes:
    """`TensorProto`: a constant."""
    return b"".join(
        (
            *(_integer(1, size) for size in values.shape),
            _integer(2, ELEMENT_TYPES[values.dtype.name]),
            _bytes(8, name.encode()),
            _bytes(9, values.astype(values.dtype.newbyteorder("<")).tobytes()),
        )
    )


def float_tensor_type(name: str, shape: Sequence[int | str]) -> bytes:
    """`ValueInfoProto`: what goes into the model or comes out; sizes that vary have a name."""
    sizes = b"".join(
        _bytes(1, _integer(1, size) if isinstance(size, int) else _bytes(2, size.encode())) for size in shape
    )
    element = _integer(1, ELEMENT_TYPES["float32"]) + _bytes(2, sizes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, element))


def model(
    nodes: Iterable[bytes],
    constants: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: bytes,
    versions: Mapping[str, int],
) -> bytes:
    """`ModelProto` with one graph; `versions` are those of the sets of operators, by domain."""
    graph = b"".join(
        (
            *(_bytes(1, each) for each in nodes),
            _bytes(2, b"network"),
            *(_bytes(5, each) for each in constants),
            *(_bytes(11, each) for each in inputs),
            _bytes(12, outputs),
        )
    )
    sets = (_bytes(8, _bytes(1, domain.encode()) + _integer(2, version)) for domain, version in versions.items())
    return _integer(1, IR_VERSION) + _bytes(7, graph) + b"".join(sets)


def _attribute(name: str, value: int | str | Sequence[int]) -> bytes:
    start = _bytes(1, name.encode())
    if isinstance(value, int):
        return start + _integer(3, value) + _integer(20, INTEGER)
    if isinstance(value, str):
        return start + _bytes(4, value.encode()) + _integer(20, STRING)
    return start + b"".join(_integer(8, each) for each in value) + _integer(20, INTEGERS)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # negative numbers are written as unsigned ones of 64 bits
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
