"""The folders of the project and of the corpus, the page images of a folder, and the files of results."""

import json
import os
from dataclasses import asdict
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / "benchmarks" / "results"
CORPUS = Path(os.environ.get("NOTAFLOW_CORPUS", PROJECT.parent / "shared" / "corpus"))
PAGES = CORPUS / "pages"

IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


def page_images(folder: Path) -> list[Path]:
    """Returns the page images of a folder; none if it does not exist."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGES)


def write_results(name: str, content: object) -> None:
    """Writes results, with dataclasses as objects, to a JSON file, and prints where."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    target.write_text(json.dumps(content, indent=2, default=asdict) + "\n", encoding="utf-8")
    print(f"\nwritten to {target.relative_to(PROJECT)}")
