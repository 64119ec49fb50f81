"""Which engine reads here? The library where it works, the program otherwise, or the one that the settings name."""

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


_told: set[str] = set()


def choose_engine(name: EngineName, languages: str) -> WordEngine:
    """The engine of that name, or for `auto` the faster one that works here; the reason is logged once a process.

    Whether the program works is not looked at: its own `check` says so better.
    """
    if name is EngineName.PYTESSERACT:
        return TesseractEngine(languages)
    library = TesserocrEngine(languages)
    if name is EngineName.TESSEROCR:
        return library
    try:
        library.check()
    except EngineUnavailable as unavailable:
        _tell(f"Pages are read by the tesseract program, because the library does not work here: {unavailable}")
        return TesseractEngine(languages)
    _tell("Pages are read by tesserocr, which keeps Tesseract's models loaded")
    return library


def _tell(reason: str) -> None:
    if reason not in _told:
        _told.add(reason)
        log.info(reason)
