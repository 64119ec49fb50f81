"""The pages that `benchmarks/quality_gate.py` reads, in groups, and the text of each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scoring import transcribed_pages
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import render_page
from notaflow_pipeline.ocr.input.probe import probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline_tests.ocr import drawn_pages

SAMPLES = Path(__file__).resolve().parents[1] / "notaflow_pipeline" / "samples"
NO_ORDER = "order of the transcription: none"


@dataclass(frozen=True)
class Page:
    """A page image, or a document, and its text.

    `has_order` tells whether the text has a reading order. With `phrases`
    only these are known of the text; none at all say that it is blank.
    """

    name: str
    path: Path
    truth: str
    has_order: bool = True
    phrases: tuple[str, ...] | None = None


def groups_of_pages(corpus: Path, folder: Path) -> dict[str, list[Page]]:
    """Returns the groups by name; pages that have to be drawn are put into the folder."""
    groups = {name: _corpus_pages(corpus, name) for name in ("pages", "layouts") if (corpus / name).is_dir()}
    return {**groups, "drawn": list(_drawn_pages(folder)), "samples": list(_samples())}


def spread(pages: list[Page], count: int | None) -> list[Page]:
    """Returns this number of the pages, evenly spread over the list."""
    return pages if count is None else pages[:: max(1, -(-len(pages) // count))]


def images_for_bare(path: Path, folder: Path) -> Iterator[Path]:
    """Returns the input of the bare program: the file itself, or the pages of a PDF, drawn into the folder at 300 dpi."""
    opened = probe_document(path, Limits())
    if opened.format is not DocumentFormat.PDF:
        yield path
        return
    for number in range(1, opened.pages + 1):
        image = render_page(path, opened.format, number)
        target = folder / f"{path.stem}-{number}.png"
        image.save(target, dpi=image.info["dpi"])
        yield target


def _corpus_pages(corpus: Path, group: str) -> list[Page]:
    manifest = (corpus / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines()
    unordered = {line.split("\t")[0] for line in manifest if NO_ORDER in line}
    return [
        Page(path.stem, path, truth, has_order=f"{group}/{path.name}" not in unordered)
        for path, truth in transcribed_pages(corpus / group).items()
    ]


def _drawn_pages(folder: Path) -> Iterator[Page]:
    for name, draw in drawn_pages.PAGES.items():
        page = draw()
        path = folder / f"{name}.png"
        page.image.save(path, dpi=(page.dpi, page.dpi))
        yield Page(name, path, page.text)


def _samples() -> Iterator[Page]:
    """Returns the samples that can be read, sideways pages included."""
    for sample in json.loads((SAMPLES / "MANIFEST.json").read_text(encoding="utf-8")):
        if sample["expect"] == "done":
            path = SAMPLES / sample["file"]
            phrases = tuple(sample.get("found_when_turned") or sample["must_contain"])
            yield Page(path.stem, path, "\n".join(phrases), has_order=False, phrases=phrases)
