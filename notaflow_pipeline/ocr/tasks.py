"""What a worker is asked to do: open a document, or read one page of it.

Each task gives back its failure as a value and raises nothing, so that whatever travels between the processes is known
to survive the journey. An exception that nobody foresaw is named by its type alone: its message could hold text.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from notaflow_pipeline.ocr.document_text import PageSource, PageText
from notaflow_pipeline.ocr.engine import Engine, Recognition
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, FailureKind, out_of_memory
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.opening import Opened, open_document
from notaflow_pipeline.ocr.recognising import read_page
from notaflow_pipeline.ocr.rendering import LoadedPage, load_page, page_dpi

LEAST_ENGINE_SECONDS = 1.0
"""What the engine gets even if rendering has used up the page's time; pytesseract takes 0 for no limit at all."""

Refusal = DocumentFailure | EngineUnavailable


@dataclass(frozen=True)
class PageRequest:
    """One page that is to be read; `number` counts from 1, `coarse` asks for few pixels, see `load_page`."""

    path: Path
    opened: Opened
    number: int
    dpi: int
    limits: Limits
    coarse: bool = False


def open_task(path: Path, limits: Limits) -> Opened | Refusal:
    """Open a document."""
    try:
        return open_document(path, limits)
    except DocumentFailure as failure:
        return failure
    except MemoryError:
        return out_of_memory()
    except Exception as error:  # noqa: BLE001 - see the module's first lines
        return _unforeseen(error)


def page_task(request: PageRequest, engine: Engine) -> PageText | Refusal:
    """Load one page, and recognise it unless it has a text layer."""
    began = time.monotonic()
    try:
        page = load_page(
            request.path,
            request.opened.format,
            request.number,
            request.dpi,
            request.limits,
            masked=request.opened.masked,
            coarse=request.coarse,
        )
        found = _recognised(page, engine, request.limits.page_seconds - (time.monotonic() - began))
    except (DocumentFailure, EngineUnavailable) as refusal:
        return refusal
    except MemoryError:
        return out_of_memory()
    except Exception as error:  # noqa: BLE001 - see the module's first lines
        return _unforeseen(error)
    return _page_text(request.number, page, found, time.monotonic() - began)


def _recognised(page: LoadedPage, engine: Engine, left_seconds: float) -> Recognition | None:
    if page.image is None:
        return None
    return read_page(page.image, page_dpi(page.image), engine, max(left_seconds, LEAST_ENGINE_SECONDS))


def _page_text(number: int, page: LoadedPage, found: Recognition | None, seconds: float) -> PageText:
    """Put together what was recognised and what stood in the text layer. A stamp's words need no confidence."""
    if found is None:
        return PageText(number, page.text, page.words, None, seconds, passes=0, source=PageSource.TEXT_LAYER)
    text = "\n\n".join(part for part in (found.text, page.text) if part)
    return PageText(
        number,
        text,
        found.words,
        found.mean_confidence,
        seconds,
        low_confidence_words=found.low_confidence_words,
        passes=found.passes,
        source=PageSource.RECOGNISED if found.words or page.text else PageSource.BLANK,
        damaged=page.damaged,
        coverage=found.coverage,
    )


def _unforeseen(error: Exception) -> DocumentFailure:
    return DocumentFailure(
        FailureKind.CRASHED, f"The worker met an error that it does not know ({type(error).__name__}). Try again."
    )
