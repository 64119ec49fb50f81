"""Tesseract as a program, through pytesseract: works wherever `tesseract` is on PATH.

Only this module knows the program's options and error messages.
"""

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.engines.interface import (
    NOTHING,
    Recognition,
    Segmentation,
    recognition_of,
    require_languages,
)
from notaflow_pipeline.ocr.engines.model_files import models_of, with_typescript_models
from notaflow_pipeline.ocr.engines.words import Word, words_of_tsv
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable, NoRoomForPage, out_of_memory
from notaflow_pipeline.ocr.preprocessing.preprocess import is_blank


@dataclass(frozen=True)
class TesseractEngine:
    """Tesseract through pytesseract: a call is one pass over an uncompressed file, in one thread.

    `languages` are Tesseract's codes joined by `+`; the first one leads. The program loads its models at each call, which
    takes 40 to 60 ms; `tesserocr` keeps them loaded. pytesseract's wall-clock timeout is not used: the caller must be
    able to end the process with its programs, as `workers.pool` does.
    """

    languages: str = "fra+eng"

    @property
    def name(self) -> str:
        """The name in reports."""
        return f"tesseract ({with_typescript_models(self.languages)})"

    def check(self) -> None:
        """Raises `EngineUnavailable` unless Tesseract runs here and has every language; takes some 20 ms."""
        import pytesseract  # not at the top: it imports pandas, which workers block first (`workers.process`)

        try:
            installed = sorted(pytesseract.get_languages())
        except (pytesseract.TesseractNotFoundError, OSError) as error:
            raise _not_installed_error() from error
        require_languages(self.languages, installed)

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        """Reads a page without preprocessing; see `Engine`."""
        return NOTHING if is_blank(image) else recognition_of(self.find_words(image, dpi, timeout_seconds))

    def find_words(
        self,
        image: Image.Image,
        dpi: int | None,
        timeout_seconds: float,  # noqa: ARG002 - enforced by ending the worker with the program, see the class
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> list[Word]:
        """Returns the words of a page; temporary files lie in Python's temporary folder and are removed."""
        languages = languages or self.languages
        models = models_of(languages)
        options = f"--psm {segmentation.value}" + (f" --dpi {dpi}" if dpi else "")
        if models.names != languages:  # in its default folder the program finds only the system's models
            options += f" --tessdata-dir {models.folder}"
        try:
            with tempfile.TemporaryDirectory(prefix="page-") as folder:
                page = Path(folder) / "page.pgm"
                image.save(page, format="PPM")  # writing PNG took 0.69 s a page, this takes 10 ms
                tsv = self._tsv(page, models.names, options)
        except OSError as error:
            raise _error_for_os_error(error) from error
        return list(words_of_tsv(tsv))

    def _tsv(self, page: Path, models: str, options: str) -> str:
        import pytesseract

        # pytesseract passes this process's environment to the program. Without the limit, Tesseract's OpenMP threads spin
        # while they wait for each other: 12 pages took 84 s instead of 15 s on two busy cores.
        os.environ["OMP_THREAD_LIMIT"] = "1"
        try:
            return str(pytesseract.image_to_data(str(page), lang=models, config=options))
        except pytesseract.TesseractNotFoundError as error:
            raise _not_installed_error() from error
        except pytesseract.TesseractError as error:
            raise self._error_for(error.status, error.message) from error
        except ValueError as error:
            raise DocumentFailure(FailureKind.ENGINE, "Tesseract's answer could not be decoded. Try again.") from error

    def _error_for(self, status: int, message: str) -> Exception:
        if "load any languages" in message or "Error opening data file" in message:
            return EngineUnavailable(
                f"Tesseract has no language data for '{self.languages}': install it or change OCR_LANGUAGES"
            )
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return DocumentFailure(
            FailureKind.ENGINE, f"Tesseract {ended} on this page. Try again; check that the machine has free memory."
        )


def _error_for_os_error(error: OSError) -> DocumentFailure | EngineUnavailable:
    """Returns the error for a page that could not be written to a file, or a program that could not be started."""
    if error.errno == errno.ENOMEM:
        return out_of_memory()
    kind = NoRoomForPage if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} else EngineUnavailable
    return kind(
        f"Tesseract cannot run here ({error.strerror}): check that the temporary folder is writable and not full"
    )


def _not_installed_error() -> EngineUnavailable:
    return EngineUnavailable(
        "Tesseract is not installed or not on PATH: `apt-get install tesseract-ocr tesseract-ocr-fra` "
        "(Debian, Ubuntu), `brew install tesseract tesseract-lang` (macOS)"
    )
