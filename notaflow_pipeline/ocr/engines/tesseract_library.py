"""Tesseract as a library, through tesserocr: the wheel contains the engine, `model_files` finds the models.

Compared with the program it saves the start, the loading of models and temporary files: 1.0 instead of 1.2 to 1.4 CPU
seconds a page on 12 pages. It cannot be interrupted: with its own deadline of 5 s it took 32 s when measured. The caller
must be able to end the process, as `workers.pool` does.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.engines.interface import (
    NOTHING,
    Recognition,
    Segmentation,
    recognition_of,
    require_languages,
)
from notaflow_pipeline.ocr.engines.model_files import installed_languages, models_of, with_typescript_models
from notaflow_pipeline.ocr.engines.words import Word, words_of_tsv
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.ocr.preprocessing.preprocess import is_blank

if TYPE_CHECKING:
    from tesserocr import PyTessBaseAPI

MAX_LOADED_MODELS = 4
"""The number of sets of languages that a worker keeps loaded; each takes some 10 to 30 MB."""


@dataclass(frozen=True)
class TesserocrEngine:
    """Tesseract through tesserocr: models are loaded once per process, pixels are passed in memory, a call is one pass.

    `languages` are Tesseract's codes joined by `+`; the first one leads.
    """

    languages: str = "fra+eng"

    @property
    def name(self) -> str:
        """The name in reports."""
        return f"tesserocr ({with_typescript_models(self.languages)})"

    def check(self) -> None:
        """Raises `EngineUnavailable` unless the library can be imported and has a model of every language."""
        try:
            import tesserocr  # noqa: F401 - an optional engine is imported where it is used
        except Exception as error:
            raise EngineUnavailable(
                "tesserocr cannot be imported: `pip install tesserocr`, or set OCR_ENGINE=pytesseract"
            ) from error
        installed = installed_languages()
        require_languages(self.languages, installed)

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        """Reads a page without preprocessing; see `Engine`."""
        return NOTHING if is_blank(image) else recognition_of(self.find_words(image, dpi, timeout_seconds))

    def find_words(
        self,
        image: Image.Image,
        dpi: int | None,
        timeout_seconds: float,  # noqa: ARG002 - enforced by ending the process, see the module's docstring
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> list[Word]:
        """Returns the words of a page."""
        engine = _loaded_api(languages or self.languages)
        try:
            engine.SetPageSegMode(segmentation.value)
            engine.SetImageBytes(image.tobytes(), image.width, image.height, 1, image.width)
            if dpi:
                engine.SetSourceResolution(dpi)
            with leptonica_silenced():
                recognised = engine.Recognize()
            if not recognised:
                raise DocumentFailure(FailureKind.ENGINE, "Tesseract failed on this page. Try again.")
            return list(words_of_tsv(engine.GetTSVText(0)))
        except RuntimeError as error:
            raise DocumentFailure(FailureKind.ENGINE, "Tesseract could not load this page. Try again.") from error
        finally:
            engine.Clear()


@contextmanager
def leptonica_silenced() -> Iterator[None]:
    """Hides Leptonica's messages about boxes outside of boxes, which it writes directly to the descriptor of standard
    error.
    """
    original = os.dup(2)
    with Path(os.devnull).open("wb") as null_device:
        os.dup2(null_device.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)


@lru_cache(maxsize=MAX_LOADED_MODELS)
def _loaded_api(languages: str) -> "PyTessBaseAPI":
    os.environ["OMP_THREAD_LIMIT"] = "1"  # the wheel is built without OpenMP, another build can have it
    models = models_of(languages)
    try:
        import tesserocr

        # It parses numbers with a decimal point through the C library, so LC_NUMERIC must stay "C", Python's default.
        return tesserocr.PyTessBaseAPI(
            path=f"{models.folder}/" if models.folder else "", lang=models.names, oem=tesserocr.OEM.LSTM_ONLY
        )
    except (RuntimeError, ImportError) as error:
        raise EngineUnavailable(
            f"Tesseract has no language data for '{languages}': install it or change OCR_LANGUAGES"
        ) from error
