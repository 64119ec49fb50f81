"""Selects the OCR engine: the fastest that works here, or the one that the settings name."""

import logging
from enum import StrEnum

from notaflow_pipeline.ocr.engines.interface import WordEngine
from notaflow_pipeline.ocr.engines.tesseract_library import TesserocrEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.failures import EngineUnavailable

log = logging.getLogger(__name__)


class EngineName(StrEnum):
    """What OCR_ENGINE may say."""

    AUTO = "auto"
    TESSEROCR = "tesserocr"
    PYTESSERACT = "pytesseract"
    ONNX = "onnx"


_logged: set[str] = set()


def select_engine(name: EngineName, languages: str) -> WordEngine:
    """Return the engine of that name, or for `auto` the fastest that works here; the reason is logged once a process.

    Whether the program works is not checked here; its own `check` says what is missing.
    """
    match name:
        case EngineName.PYTESSERACT:
            return TesseractEngine(languages)
        case EngineName.TESSEROCR:
            return TesserocrEngine(languages)
        case EngineName.ONNX:
            return _onnx(languages)
        case EngineName.AUTO:
            return _automatic(languages)


def _automatic(languages: str) -> WordEngine:
    for engine in (_onnx(languages), TesserocrEngine(languages)):
        try:
            engine.check()
        except EngineUnavailable as unavailable:
            _log_once(f"The OCR engine {engine.name} does not work here: {unavailable}")
        else:
            _log_once(f"Pages are read by {engine.name}, the fastest engine that works here")
            return engine
    program = TesseractEngine(languages)
    _log_once(f"Pages are read by {program.name}")
    return program


def _onnx(languages: str) -> WordEngine:
    # with NumPy, which slows the start of commands that read nothing
    from notaflow_pipeline.ocr.engines.onnx.engine import OnnxEngine

    return OnnxEngine(languages)


def _log_once(reason: str) -> None:
    if reason not in _logged:
        _logged.add(reason)
        log.info(reason)
