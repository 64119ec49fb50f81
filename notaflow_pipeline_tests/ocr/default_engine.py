"""The engine that tests of reading use: what OCR_ENGINE=auto selects, or the one that OCR_ENGINE names."""

import os

from notaflow_pipeline.ocr.engines.interface import WordEngine
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine


def default_engine(languages: str = "fra+eng") -> WordEngine:
    """Return the engine for these languages."""
    return select_engine(EngineName(os.environ.get("OCR_ENGINE", EngineName.AUTO)), languages)
