"""What a worker is asked to do: open a document, or read one page of it.

Each task gives back its failure as a value and raises nothing, so that whatever travels between the processes is known
to survive the journey. An exception that nobody foresaw is named by its type alone: its message could hold text.
"""

import time
from pathlib import Path

from notaflow_pipeline.ocr.document_text import PageText
from notaflow_pipeline.ocr.engine import Engine
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, FailureKind
from notaflow_pipeline.ocr.opening import Limits, Opened, open_document
from notaflow_pipeline.ocr.recognising import read_page
from notaflow_pipeline.ocr.rendering import page_dpi, render_page

LEAST_ENGINE_SECONDS = 1.0
"""What the engine gets even if rendering has used up the page's time; pytesseract takes 0 for no limit at all."""

Refusal = DocumentFailure | EngineUnavailable


def open_task(path: Path, limits: Limits) -> Opened | Refusal:
    """Open a document."""
    try:
        return open_document(path, limits)
    except DocumentFailure as failure:
        return failure
    except Exception as error:  # noqa: BLE001 - see the module's first lines
        return _unforeseen(error)


def page_task(path: Path, opened: Opened, number: int, dpi: int, limits: Limits, engine: Engine) -> PageText | Refusal:
    """Render and read one page, `number` counting from 1."""
    began = time.monotonic()
    try:
        image = render_page(path, opened.format, number, dpi, limits)
        left_seconds = limits.page_seconds - (time.monotonic() - began)
        found = read_page(image, page_dpi(image), engine, max(left_seconds, LEAST_ENGINE_SECONDS))
    except DocumentFailure as failure:
        return failure
    except EngineUnavailable as unavailable:
        return unavailable
    except Exception as error:  # noqa: BLE001 - see the module's first lines
        return _unforeseen(error)
    return PageText(number, found.text, found.words, found.mean_confidence, time.monotonic() - began)


def _unforeseen(error: Exception) -> DocumentFailure:
    return DocumentFailure(
        FailureKind.CRASHED, f"The worker met an error that it does not know ({type(error).__name__}). Try again."
    )
