"""Finds the arithmetic that is exact on this machine: 8 bits if its instructions do not saturate, floats otherwise.

x86 processors without VNNI multiply bytes into 16 bits and cut off larger results, which ONNX Runtime accepts for speed.
This is tested with the largest factors, so that no list of processors is needed. An emulated Haswell (qemu) saturated:
probabilities differed from those of floats by up to 0.48 on lines of noise, and by 0.10 without saturation.
"""

from functools import cache

import numpy as np

from notaflow_pipeline.ocr.engines.onnx.model import onnx_format
from notaflow_pipeline.ocr.engines.onnx.model.conversion import MICROSOFT, VERSIONS, Arithmetic
from notaflow_pipeline.ocr.engines.onnx.model.runtime import run, start_session

TERMS, COLUMNS = 64, 32
LARGEST = 127
"""The largest weight; the activations of the test are the largest too, 255."""


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
