"""ONNX Runtime, set up for workers that each have one core and little memory, and without its telemetry."""

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, out_of_memory

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FATAL = 4
"""One of ONNX Runtime's severities of messages; errors are raised as well, so they need not be printed."""


def start_session(model: bytes) -> "InferenceSession":
    """Load a model for one thread. Raises `EngineUnavailable` where ONNX Runtime is not installed or cannot load it."""
    # the wheel of 1.32 for Linux has telemetry for Microsoft, and writes identifiers into home and temporary folder
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime  # an engine that is optional is imported where it is used
    except Exception as error:
        raise EngineUnavailable(
            "onnxruntime cannot be imported: `pip install onnxruntime`, or set OCR_ENGINE=tesserocr"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = (
        False  # a plan for each width of line would be kept: 106 MB instead of 90 after 2,400 lines
    )
    options.enable_cpu_mem_arena = False  # a pool that never shrinks: 104 MB instead of 90, in the same time
    options.log_severity_level = FATAL
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineUnavailable(
            "ONNX Runtime cannot load this model: install another version of onnxruntime, or set OCR_ENGINE=tesserocr"
        ) from error


def run(session: "InferenceSession", **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the outputs of the session's model for its inputs. Raises `DocumentFailure` if it fails."""
    try:
        found: NDArray[np.float32] = session.run(None, inputs)[0]
    except Exception as error:
        if "bad_alloc" in str(error):
            raise out_of_memory() from error
        raise DocumentFailure(FailureKind.ENGINE, "ONNX Runtime failed on this page. Try again.") from error
    return found
