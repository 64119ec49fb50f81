"""Which arithmetic is exact on this machine: 8 bits where its instructions do not saturate, floats otherwise.

x86 processors without VNNI multiply bytes into 16 bits and cut off what is larger, which ONNX Runtime accepts for speed.
That is tried with the largest factors instead of asked of the processor: it needs no list of processors. Emulated
(qemu), a Haswell was found to saturate: probabilities differed from those of floats by up to 0.48 on lines of noise, by
0.10 where nothing saturates.
"""

from functools import cache

import numpy as np

from notaflow_pipeline.ocr.engines.onnx import onnx_format
from notaflow_pipeline.ocr.engines.onnx.conversion import MICROSOFT, VERSIONS, Arithmetic
from notaflow_pipeline.ocr.engines.onnx.runtime import run, start_session

TERMS, COLUMNS = 64, 32
LARGEST = 127
"""Of a weight; the activations are the largest too, 255."""


@cache
def best_arithmetic() -> Arithmetic:
    """8 bits, which are faster, if this machine adds the largest products without an error; else floats."""
    return Arithmetic.INTEGER if _is_integer_exact() else Arithmetic.FLOAT


def _is_integer_exact() -> bool:
    constants = [
        onnx_format.tensor("weights", np.full((TERMS, COLUMNS), LARGEST, np.int8)),
        onnx_format.tensor("scales", np.ones(COLUMNS, np.float32)),
    ]
    node = onnx_format.node("DynamicQuantizeMatMul", ["values", "weights", "scales"], ["sums"], domain=MICROSOFT)
    values = onnx_format.float_tensor_type("values", ("rows", TERMS))
    sums = onnx_format.float_tensor_type("sums", ("rows", COLUMNS))
    session = start_session(onnx_format.model([node], constants, [values], sums, VERSIONS))
    for rows in (1, 8):  # a single row has a code of its own in ONNX Runtime
        found = run(session, values=np.ones((rows, TERMS), np.float32))
        if not np.allclose(found, TERMS * LARGEST, rtol=1e-3):
            return False
    return True
