"""The jobs of a worker: probe a document, or read one page of it.

A job returns its failure as a value and raises nothing, so everything that passes between processes can be
pickled. For an unexpected exception only its type is reported, because its message may contain text of the document.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.document import PageText
from notaflow_pipeline.ocr.engines.interface import Engine
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, out_of_memory
from notaflow_pipeline.ocr.input.page_loading import load_page, render_page
from notaflow_pipeline.ocr.input.probe import ProbedDocument, probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.recognition.layer_check import is_contradicted
from notaflow_pipeline.ocr.recognition.layered_page import recognised_page
from notaflow_pipeline.ocr.recognition.viewing import view_of

Failure = DocumentFailure | EngineUnavailable

Result = TypeVar("Result")

VIEW_DPI = 150
"""The resolution at which a page with a text layer is rendered for a person."""


@dataclass(frozen=True)
class PageRequest:
    """Request to read one page. `number` counts from 1; `coarse` asks for fewer pixels (see `load_page`), `view` for a
    `PageView`."""

    path: Path
    probed: ProbedDocument
    number: int
    dpi: int
    limits: Limits
    coarse: bool = False
    view: bool = False


def probe_job(path: Path, limits: Limits) -> ProbedDocument | Failure:
    """Probes a document."""
    return _result_or_failure(probe_document, path, limits)


def page_job(request: PageRequest, engine: Engine) -> PageText | Failure:
    """Loads one page and recognises what its text layer does not account for."""
    return _result_or_failure(_read_page, request, engine)


def _read_page(request: PageRequest, engine: Engine) -> PageText:
    started_at, deadline = time.monotonic(), cpu_seconds() + request.limits.page_seconds
    load = partial(
        load_page,
        request.path,
        request.probed.format,
        request.number,
        request.dpi,
        request.limits,
        coarse=request.coarse,
    )
    page = load()
    if page.sample and is_contradicted(page.sample, engine):
        page = load(use_layer=False)
    recognised = recognised_page(request.number, page, engine, started_at, deadline)
    if not request.view:
        return recognised.text
    render = partial(render_page, request.path, request.probed.format, request.number, VIEW_DPI, request.limits)
    return replace(recognised.text, view=view_of(page, recognised, render))


def _result_or_failure(function: Callable[..., Result], *arguments: Any) -> Result | Failure:
    try:
        return function(*arguments)
    except (DocumentFailure, EngineUnavailable) as failure:
        return failure
    except MemoryError:
        return out_of_memory()
    except Exception as error:  # noqa: BLE001 - see the module's first lines
        return DocumentFailure(
            FailureKind.CRASHED, f"The worker failed with an unexpected error ({type(error).__name__}). Try again."
        )
