"""Compares the text and the cost of ONNX Runtime with those of tesserocr, page by page, in groups.

The groups are `pages` and `layouts` of the corpus, where it is present, the pages that are drawn by
`notaflow_pipeline_tests/ocr/drawn_pages.py`, and the first pages of the samples, which have no transcription. Given are,
tesserocr beside ONNX Runtime, for one pass over the page as it is prepared first (with `--models`), or through the whole
policy (`--policy`): the mean character error rate (CER), mean confidence, the share of words with a confidence below 60,
CPU seconds a page, the error rate of one text against the other, the pages on which ONNX Runtime is furthest behind and
ahead, and for one pass its CPU seconds by stage. At the end, pages of all groups by tesserocr's confidence, with the mean
of both engines: that is the curve of confidences. One process, one thread.

usage: python -m benchmarks.engine_comparison [--groups pages layouts drawn samples] [--pages N] [--policy]
"""

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.paths import CORPUS, PROJECT, write_results
from benchmarks.scoring import character_error_rate, transcribed_pages, without_library_footer
from notaflow_pipeline.ocr.engines.interface import Recognition, recognition_of
from notaflow_pipeline.ocr.engines.onnx import engine as onnx_engine
from notaflow_pipeline.ocr.engines.onnx import unit_reader
from notaflow_pipeline.ocr.engines.onnx.engine import OnnxEngine
from notaflow_pipeline.ocr.engines.onnx.model.session import LineModel
from notaflow_pipeline.ocr.engines.tesseract_library import TesserocrEngine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import page_dpi, render_page
from notaflow_pipeline.ocr.preprocessing.preprocess import ALL_STEPS
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.page_plan import plan
from notaflow_pipeline.ocr.workers.resource_limits import FIXED_VARIABLES
from notaflow_pipeline_tests.ocr import drawn_pages

TIMEOUT_SECONDS = 600.0
LANGUAGES = "fra+eng"
STAGES = {
    "layout": (onnx_engine, "find_units"),
    "line images": (unit_reader, "line_image"),
    "normalising": (unit_reader, "normalised"),
    "inference": (LineModel, "probabilities"),
    "decoding": (unit_reader, "read_words"),
}
BUCKETS = (0, 60, 70, 75, 80, 85, 88, 90, 92, 94, 101)
PAGES_SHOWN = 3

Engine = TesserocrEngine | OnnxEngine


@dataclass(frozen=True)
class Page:
    """A page, and its transcription, if there is one."""

    name: str
    image: Image.Image
    dpi: int | None
    truth: str | None


@dataclass(frozen=True)
class Figures:
    """The figures of one engine on one page."""

    cer: float | None
    confidence: float
    low_share: float
    cpu_seconds: float


@dataclass(frozen=True)
class Pair:
    """Both engines on one page, and the error rate of ONNX Runtime's text against tesserocr's text."""

    tesserocr: Figures
    onnx: Figures
    differs: float

    @property
    def behind(self) -> float:
        """By how much the error rate is higher with ONNX Runtime."""
        return (self.onnx.cer or 0.0) - (self.tesserocr.cer or 0.0)


def main() -> None:
    """Reads, prints, writes the JSON."""
    os.environ.update(FIXED_VARIABLES)  # as in a worker process
    arguments = _arguments()
    seconds = _timed_stages()
    read = _by_policy if arguments.policy else _in_one_pass(arguments.models)
    engines = TesserocrEngine(LANGUAGES), OnnxEngine(LANGUAGES)
    for engine in engines:
        engine.check()
        for languages in ("fra", "eng", LANGUAGES, "fra-typescript-1", "fra-typescript-1+eng"):  # loads the models
            engine.find_words(Image.new("L", (99, 99), 255), 150, TIMEOUT_SECONDS, languages)
    results: dict[str, dict[str, Pair]] = {}
    for name in arguments.groups:
        seconds.clear()
        pages = _spread(list(_group(name, arguments.corpus)), arguments.pages)
        results[name] = {page.name: _pair(page, engines, read) for page in pages}
        _print_group(name, results[name], seconds)
    _print_curve([pair for group in results.values() for pair in group.values()])
    write_results("engine_comparison", results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="the folder with pages and layouts")
    parser.add_argument("--groups", nargs="*", default=["pages", "layouts", "drawn", "samples"])
    parser.add_argument("--pages", type=int, help="so many pages of each group, spread over it")
    parser.add_argument("--policy", action="store_true", help="the whole policy instead of one pass")
    parser.add_argument("--models", default="fra-typescript-1", help="of the one pass: fra, eng, fra+eng")
    return parser.parse_args()


# --- Pages -----------------------------------------------------------------------------------------------------------


def _group(name: str, corpus: Path) -> Iterator[Page]:
    if name == "drawn":
        for drawn_name, draw in drawn_pages.PAGES.items():
            drawn = draw()
            yield Page(drawn_name, drawn.image, drawn.dpi, drawn.text)
    elif name == "samples":
        for path in sorted((PROJECT / "notaflow_pipeline" / "samples").iterdir()):
            if path.suffix != ".json":
                with suppress(DocumentFailure, OSError, ValueError):  # some samples are damaged or empty
                    image = render_page(path, _format_of(path), 1)
                    yield Page(path.name[:32], image, page_dpi(image), None)
    else:
        for path, truth in transcribed_pages(corpus / name).items():
            image = render_page(path, _format_of(path), 1)
            yield Page(path.stem, image, page_dpi(image), truth)


def _format_of(path: Path) -> DocumentFormat:
    if path.suffix == ".pdf":
        return DocumentFormat.PDF
    with Image.open(path) as opened:
        return DocumentFormat(opened.format)


def _spread(pages: list[Page], count: int | None) -> list[Page]:
    return pages if count is None else pages[:: max(1, -(-len(pages) // count))]


# --- Reading ---------------------------------------------------------------------------------------------------------

Read = Callable[[Page, Engine], Recognition]


def _by_policy(page: Page, engine: Engine) -> Recognition:
    return read_page(page.image, page.dpi, engine, TIMEOUT_SECONDS)


def _in_one_pass(models: str) -> Read:
    def read(page: Page, engine: Engine) -> Recognition:
        planned = plan(page.image, page.dpi, ALL_STEPS, None)
        if planned is None:
            return recognition_of([])
        began = time.process_time()
        words = engine.find_words(planned.prepared.image, planned.prepared.dpi, TIMEOUT_SECONDS, models)
        _pass_seconds.append(time.process_time() - began)
        return recognition_of(words)

    return read


_pass_seconds: list[float] = []
"""Of the single pass over the last page, without its preprocessing."""


def _timed_stages() -> Counter[str]:
    """Makes each stage of the ONNX engine count its CPU seconds."""
    seconds: Counter[str] = Counter()
    for stage, (place, name) in STAGES.items():
        setattr(place, name, _timed(getattr(place, name), stage, seconds))
    return seconds


def _timed(function: Callable[..., Any], stage: str, seconds: Counter[str]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        result = function(*arguments, **named)
        seconds[stage] += time.process_time() - began  # type: ignore[assignment]
        return result

    return run


def _pair(page: Page, engines: tuple[Engine, ...], read: Read) -> Pair:
    figures, texts = [], []
    for engine in engines:
        _pass_seconds.clear()
        began = time.process_time()
        found = read(page, engine)
        seconds = sum(_pass_seconds) or time.process_time() - began
        texts.append(without_library_footer(found.text))
        cer = None if page.truth is None else character_error_rate(page.truth, texts[-1])
        low = found.low_confidence_words / max(1, found.words)
        figures.append(Figures(cer, found.mean_confidence or 0.0, low, seconds))
    return Pair(*figures, character_error_rate(*texts))


# --- Printing --------------------------------------------------------------------------------------------------------


def _print_group(name: str, group: dict[str, Pair], seconds: Counter[str]) -> None:
    pairs = list(group.values())
    print(f"\n{name}: {len(group)} pages {'tesserocr':>14} {'onnx':>8} {'':>8}")
    rows = {"mean confidence": "confidence", "share below 60": "low_share", "CPU s a page": "cpu_seconds"}
    if any(pair.onnx.cer is not None for pair in pairs):
        rows = {"mean CER": "cer", **rows}
    for label, field in rows.items():
        theirs, ours = (statistics.fmean(getattr(side, field) for side in sides) for sides in _sides(pairs))
        compared = f"{ours / max(theirs, 1e-9):8.3f}" if field == "cpu_seconds" else f"{ours - theirs:+8.4f}"
        print(f"  {label:20} {theirs:12.4f} {ours:8.4f} {compared}")
    differences = [pair.differs for pair in pairs]
    print(f"  texts differ by {statistics.fmean(differences):.4f}, median {statistics.median(differences):.4f}")
    ranked = sorted(group, key=lambda page: group[page].behind)
    for page in [*ranked[:PAGES_SHOWN], *ranked[-PAGES_SHOWN:]]:
        print(f"  {group[page].behind:+.4f} {page}")
    stages = ", ".join(f"{stage} {spent / len(group):.3f}" for stage, spent in seconds.items())
    print(f"  CPU s a page by stage: {stages}", flush=True)


def _sides(pairs: list[Pair]) -> tuple[list[Figures], list[Figures]]:
    return [pair.tesserocr for pair in pairs], [pair.onnx for pair in pairs]


def _print_curve(pairs: list[Pair]) -> None:
    print("\nconfidence with tesserocr, pages, means of both, shares of words below 60")
    for low, high in pairwise(BUCKETS):
        found = [pair for pair in pairs if low <= pair.tesserocr.confidence < high]
        if found:
            confidences, shares = (
                [statistics.fmean(getattr(side, field) for side in sides) for sides in _sides(found)]
                for field in ("confidence", "low_share")
            )
            print(
                f"  {low:3} to {high:3} {len(found):4} {confidences[0]:7.2f} {confidences[1]:7.2f}"
                f" {shares[0]:7.4f} {shares[1]:7.4f}"
            )


if __name__ == "__main__":
    main()
