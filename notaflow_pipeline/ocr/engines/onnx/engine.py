"""Tesseract's network on ONNX Runtime as an engine: Tesseract's own layout analysis, then recognition unit by unit.

It reads what tesserocr reads, at half of its CPU time; `benchmarks/engine_comparison.py` measures the differences.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.engines.interface import (
    NOTHING,
    Recognition,
    Segmentation,
    recognition_of,
    require_languages,
)
from notaflow_pipeline.ocr.engines.model_files import installed_languages, with_typescript_models
from notaflow_pipeline.ocr.engines.onnx.lines.layout_units import Unit, find_units
from notaflow_pipeline.ocr.engines.onnx.lines.line_images import Pixels
from notaflow_pipeline.ocr.engines.onnx.lines.word_boxes import word_boxes
from notaflow_pipeline.ocr.engines.onnx.model.session import load_model
from notaflow_pipeline.ocr.engines.onnx.recent_results import RecentResults
from notaflow_pipeline.ocr.engines.onnx.unit_reader import UnitReader
from notaflow_pipeline.ocr.engines.tesseract_library import leptonica_silenced
from notaflow_pipeline.ocr.engines.words import RULE, Word
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.ocr.preprocessing.preprocess import is_blank

if TYPE_CHECKING:
    from tesserocr import PyTessBaseAPI

NO_LAYOUT = (
    "tesserocr, which finds the lines, cannot be imported: `pip install tesserocr`, or set OCR_ENGINE=pytesseract"
)

MAX_RECENT_LAYOUTS = 2
"""A page is read in another language right after its first pass, which needs the same layout: 0.1 to 0.5 CPU seconds."""

_recent_layouts: RecentResults[list[Unit]] = RecentResults(MAX_RECENT_LAYOUTS)


@dataclass(frozen=True)
class OnnxEngine:
    """Tesseract's models on ONNX Runtime: loaded once per process, a call is one pass, in one thread.

    `languages` are Tesseract's codes joined by `+`; the first one leads.
    """

    languages: str = "fra+eng"

    @property
    def name(self) -> str:
        """The name in reports."""
        return f"onnx ({with_typescript_models(self.languages)})"

    def check(self) -> None:
        """Raises `EngineUnavailable` unless the libraries load here and every language has a model that they can run."""
        try:
            import tesserocr  # noqa: F401 - optional engines are imported where they are used
        except Exception as error:
            raise EngineUnavailable(NO_LAYOUT) from error
        installed = installed_languages()
        require_languages(self.languages, installed)
        for language in {*self.languages.split("+"), *with_typescript_models(self.languages).split("+")}:
            load_model(language)

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        """Reads a page without preprocessing; see `Engine`."""
        return NOTHING if is_blank(image) else recognition_of(self.find_words(image, dpi, timeout_seconds))

    def find_words(
        self,
        image: Image.Image,
        dpi: int | None,
        timeout_seconds: float,  # noqa: ARG002 - enforced by ending the process, as with tesserocr
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> list[Word]:
        """Returns the words of a page."""
        reader = UnitReader([load_model(language) for language in (languages or self.languages).split("+")])
        page = np.asarray(image)
        return [word for unit in _units(image, dpi, segmentation) for word in _words(reader, page, unit)]


def _units(image: Image.Image, dpi: int | None, segmentation: Segmentation) -> list[Unit]:
    others = (image.size, dpi, segmentation.value)
    return _recent_layouts.result(image.tobytes(), others, lambda: _layout_of(image, dpi, segmentation))


def _layout_of(image: Image.Image, dpi: int | None, segmentation: Segmentation) -> list[Unit]:
    layout = _layout_engine()
    try:
        with leptonica_silenced():
            return find_units(layout, image, dpi, segmentation)
    except RuntimeError as error:
        raise DocumentFailure(FailureKind.ENGINE, "Tesseract could not load this page. Try again.") from error
    finally:
        layout.Clear()


def _words(reader: UnitReader, page: Pixels, unit: Unit) -> Iterator[Word]:
    read = reader.read(page, unit)
    for word, (left, top, right, bottom) in zip(read, word_boxes(unit, read), strict=True):
        if text := word.text.strip().strip(RULE):
            place = (unit.block, unit.paragraph, unit.line, left, top, right - left, bottom - top)
            yield Word(text, word.confidence, *place)


@cache
def _layout_engine() -> "PyTessBaseAPI":
    """Tesseract without a model, which is enough to find lines."""
    try:
        import tesserocr
    except ImportError as error:
        raise EngineUnavailable(NO_LAYOUT) from error
    engine = tesserocr.PyTessBaseAPI(init=False)
    engine.InitForAnalysePage()
    return engine
