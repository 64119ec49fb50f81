"""Selects the OCR engine: the library where it works, the program otherwise, or the one that the settings name."""

import logging
from enum import StrEnum

from notaflow_pipeline.ocr.engines.interface import WordEngine
from notaflow_pipeline.ocr.engines.onnx.engine import OnnxEngine
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


AUTOMATIC: tuple[tuple[type[OnnxEngine | TesserocrEngine], str], ...] = (
    (TesserocrEngine, "Pages are read by tesserocr, which keeps Tesseract's models loaded"),
)
"""What `auto` tries, the best first, and why; where none of it works, the program is left."""


_told: set[str] = set()


def select_engine(name: EngineName, languages: str) -> WordEngine:
    """The engine of that name, or for `auto` the first one that works here; the reason is logged once a process.

    Whether the program works is not looked at: its own `check` says so better.
    """
    if name is EngineName.PYTESSERACT:
        return TesseractEngine(languages)
    if name is EngineName.TESSEROCR:
        return TesserocrEngine(languages)
    if name is EngineName.ONNX:
        return OnnxEngine(languages)
    for engine, reason in AUTOMATIC:
        chosen = engine(languages)
        try:
            chosen.check()
        except EngineUnavailable as unavailable:
            _tell(f"Pages are not read by {chosen.name}, because it does not work here: {unavailable}")
            continue
        _tell(reason)
        return chosen
    _tell("Pages are read by the tesseract program")
    return TesseractEngine(languages)


def _tell(reason: str) -> None:
    if reason not in _told:
        _told.add(reason)
        log.info(reason)
