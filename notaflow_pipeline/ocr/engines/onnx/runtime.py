"""ONNX Runtime, set up for workers that each have one core and little memory."""

from typing import TYPE_CHECKING

from notaflow_pipeline.ocr.failures import EngineUnavailable

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ERRORS_ALONE = 3
"""Of ONNX Runtime's severities of messages."""


def start_session(model: bytes) -> "InferenceSession":
    """Load a model for one thread. Raises `EngineUnavailable` where ONNX Runtime is not installed or cannot load it."""
    try:
        import onnxruntime  # an engine that is optional is imported where it is used
    except ImportError as error:
        raise EngineUnavailable(
            "onnxruntime cannot be imported: `pip install onnxruntime`, or set OCR_ENGINE=tesserocr"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # a plan for each width of line would be kept: 106 MB instead of 90 after 2,400 lines
    options.enable_cpu_mem_arena = False  # a pool that never shrinks: 104 MB instead of 90, in the same time
    options.log_severity_level = ERRORS_ALONE
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
