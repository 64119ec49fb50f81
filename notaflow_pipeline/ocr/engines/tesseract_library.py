"""Tesseract as a library, through tesserocr: its wheel brings the engine, the models come from the system.

Against the program it saves the start, the loading of models and the detour over files: 1.0 instead of 1.2 to 1.4 CPU
seconds on 12 pages (reference measurement 4.2). What it cannot do is to be interrupted: its own deadline of 5 s was
measured to take 32 s, so whoever calls it must be ready to end the process, as `crew` is.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import NOTHING, Recognition, Segmentation, no_language, recognition_of
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, FailureKind
from notaflow_pipeline.ocr.layout import Word, words_of_tsv
from notaflow_pipeline.ocr.preparing import is_blank

if TYPE_CHECKING:
    from tesserocr import PyTessBaseAPI

USUAL_PLACES = (
    "/usr/share/tesseract-ocr/*/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)

MODELS_KEPT = 4
"""Sets of languages that a worker keeps loaded; each takes some 10 to 30 MB."""


@dataclass(frozen=True)
class TesserocrEngine:
    """Tesseract through tesserocr: models loaded once a process, pixels handed over in memory, one recognition a call.

    `languages` are Tesseract's codes joined by `+`; the first one leads.
    """

    languages: str = "fra+eng"

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"tesserocr ({self.languages})"

    def check(self) -> None:
        """Raise `EngineUnavailable` unless the library loads here and has a model of every language."""
        try:
            import tesserocr  # noqa: F401 - an engine that is optional is imported where it is used
        except Exception as error:
            raise EngineUnavailable(
                "tesserocr cannot be imported: `pip install tesserocr`, or set OCR_ENGINE=pytesseract"
            ) from error
        folder = model_folder(tuple(self.languages.split("+")))
        installed = sorted(path.stem for path in folder.glob("*.traineddata")) if folder else []
        for language in self.languages.split("+"):
            if language not in installed:
                raise no_language(language, installed)

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        """Read a page as it is; see `Engine`."""
        return NOTHING if is_blank(image) else recognition_of(self.find_words(image, dpi, timeout_seconds))

    def find_words(
        self,
        image: Image.Image,
        dpi: int | None,
        timeout_seconds: float,  # noqa: ARG002 - kept by ending the process, see the module's first lines
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> list[Word]:
        """The words of a page."""
        engine = _loaded(languages or self.languages)
        try:
            engine.SetPageSegMode(segmentation.value)
            engine.SetImageBytes(image.tobytes(), image.width, image.height, 1, image.width)
            if dpi:
                engine.SetSourceResolution(dpi)
            with _leptonica_silenced():
                recognised = engine.Recognize()
            if not recognised:
                raise DocumentFailure(FailureKind.ENGINE, "Tesseract gave up on this page. Try again.")
            return list(words_of_tsv(engine.GetTSVText(0)))
        except RuntimeError as error:
            raise DocumentFailure(FailureKind.ENGINE, "Tesseract could not take this page in. Try again.") from error
        finally:
            engine.Clear()


@contextmanager
def _leptonica_silenced() -> Iterator[None]:
    """Keep off the terminal what Leptonica says of boxes outside of boxes, which it can only be told by the descriptor."""
    said_before = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(said_before, 2)
        os.close(said_before)


@lru_cache(maxsize=MODELS_KEPT)
def _loaded(languages: str) -> "PyTessBaseAPI":
    os.environ["OMP_THREAD_LIMIT"] = "1"  # the wheel is built without OpenMP, a library of one's own may not be
    folder = model_folder(tuple(languages.split("+")))
    try:
        import tesserocr

        # It asks the C library for numbers with a point, so LC_NUMERIC stays as Python leaves it: "C".
        return tesserocr.PyTessBaseAPI(path=f"{folder}/" if folder else "", lang=languages, oem=tesserocr.OEM.LSTM_ONLY)
    except (RuntimeError, ImportError) as error:
        raise EngineUnavailable(
            f"Tesseract has no language data for '{languages}': install it or change OCR_LANGUAGES"
        ) from error


@lru_cache
def model_folder(languages: tuple[str, ...]) -> Path | None:
    """Where the system keeps Tesseract's models: the first known place that has all of these, else the first at all."""
    folders = [folder for folder in _known_folders() if folder.is_dir()]
    complete = (f for f in folders if all((f / f"{language}.traineddata").is_file() for language in languages))
    return next(complete, folders[0] if folders else None)


def _known_folders() -> list[Path]:
    stated = os.environ.get("TESSDATA_PREFIX")
    if stated:  # the program looks nowhere else either
        return [Path(stated), Path(stated) / "tessdata"]
    usual = [folder for pattern in USUAL_PLACES for folder in sorted(Path("/").glob(pattern[1:]), reverse=True)]
    return usual or _folder_of_program()


def _folder_of_program() -> list[Path]:
    try:
        said = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    named = re.search(r'"(.+)"', said.stdout + said.stderr)
    return [Path(named[1])] if named else []
