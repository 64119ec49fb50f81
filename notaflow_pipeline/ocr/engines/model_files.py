"""Finds the model files for Tesseract: the system's, and the model for French typescript that is part of the package.

The model in the package is the system's French model, trained further (`models/README.md`). If TESSDATA_PREFIX names a
folder, only its models are used.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).resolve().parents[1] / "models"
TYPESCRIPT_MODELS = {"fra": "fra-typescript-1"}
"""Model names by language. A newly trained model gets a new name, so that `reread` can select documents read with an
older one."""

SYSTEM_FOLDERS = (
    "/usr/share/tesseract-ocr/*/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)
SUFFIX = ".traineddata"


@dataclass(frozen=True)
class Models:
    """Models in the form that Tesseract expects: a folder, None for its default, and names in it, joined by `+`."""

    folder: Path | None
    names: str


def with_typescript_models(languages: str) -> str:
    """Returns the languages with the package's models in the place of the system's: `fra-typescript-1+eng`.

    The languages are returned unchanged if the environment names models, if the package's models are missing, or if the
    path to them has a plus, at which Tesseract splits it.
    """
    if os.environ.get("TESSDATA_PREFIX") or "+" in str(PACKAGE_FOLDER):
        return languages
    available = {
        code: name for code, name in TYPESCRIPT_MODELS.items() if (PACKAGE_FOLDER / f"{name}{SUFFIX}").is_file()
    }
    return "+".join(available.get(code, code) for code in languages.split("+"))


def models_of(languages: str) -> Models:
    """Returns the models for these codes (Tesseract's or the package's, joined by `+`), whether or not the files exist."""
    codes = languages.split("+")
    package_models = set(TYPESCRIPT_MODELS.values())
    system = model_folder(tuple(code for code in codes if code not in package_models))
    if not package_models & set(codes):
        return Models(system, languages)
    # Tesseract takes one folder for all of its models: the root folder contains both
    files = [(PACKAGE_FOLDER if code in package_models else system or Path()) / code for code in codes]
    return Models(Path("/"), "+".join(str(file).removeprefix("/") for file in files))


def installed_languages() -> list[str]:
    """Returns every language of which the system has a model."""
    folder = model_folder(())
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}")) if folder else []


@lru_cache
def model_folder(languages: tuple[str, ...]) -> Path | None:
    """Returns the system's folder of models: the first that has all of these languages, else the first that exists."""
    folders = [folder for folder in _known_folders() if folder.is_dir()]
    complete = (f for f in folders if all((f / f"{language}{SUFFIX}").is_file() for language in languages))
    return next(complete, folders[0] if folders else None)


def _known_folders() -> list[Path]:
    stated = os.environ.get("TESSDATA_PREFIX")
    if stated:  # the program does not search other folders either
        return [Path(stated), Path(stated) / "tessdata"]
    return list(_system_folders()) or _folder_named_by_program()


def _system_folders() -> Iterator[Path]:
    for pattern in SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern[1:]), reverse=True)


def _folder_named_by_program() -> list[Path]:
    try:
        listing = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    named_folder = re.search(r'"(.+)"', listing.stdout + listing.stderr)
    return [Path(named_folder[1])] if named_folder else []
