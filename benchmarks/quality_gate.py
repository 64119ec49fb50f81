"""Compares the texts of the pipeline with those of bare `tesseract -l fra+eng`, page by page, in groups.

The groups are the folders `pages` and `layouts` of the corpus, where it is present; pages that are drawn here, of the
kinds on which text was lost before (`notaflow_pipeline_tests/ocr/drawn_pages.py`); and the project's own samples, whole
documents of which `notaflow_pipeline/samples/MANIFEST.json` says what must be found. Given are for each group, ours beside
bare: the mean character error rate (CER), the share of the transcription's words that were found, CPU seconds a page,
and the page that is worst compared with bare in each of the two. Pages whose transcription has no reading order
(MANIFEST.tsv says "order of the transcription: none") count in words found alone. So do samples: for them it is the share
of the manifest's texts, each found as a whole, and for a blank one whether nothing was found; bare gets their pages
drawn at 300 dpi. The line that libraries print under their scans, which no transcription has, is taken out of both texts.

`benchmarks/quality.json` holds the recorded figures of each page. The program ends with status 1 when a group is worse
than recorded for the same pages: by more than 0.005 in mean CER or words found, by more than 0.02 in its worst page
compared with bare, or by more than 0.3 in CPU seconds divided by those of bare (left out where the cached seconds of
bare are from another run). One process, one thread, the engine that OCR_ENGINE=auto selects here; with `--engines onnx
tesserocr` the pages are read by each of them, and the first is compared with what is recorded.

usage: python -m benchmarks.quality_gate [--groups pages layouts drawn samples] [--pages N] [--engines auto]
                                         [--record] [--bare-cache FOLDER]
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from benchmarks.paths import CORPUS, PROJECT
from benchmarks.quality_pages import Page, groups_of_pages, images_for_bare, spread
from benchmarks.scoring import character_error_rate, phrases_found, without_library_footer, words_found
from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.engines.model_files import with_typescript_models
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.probe import probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.recognition.layered_page import recognised_page
from notaflow_pipeline.ocr.workers.resource_limits import FIXED_VARIABLES

RECORDED = PROJECT / "benchmarks" / "quality.json"
LANGUAGES = "fra+eng"
TIMEOUT_SECONDS = 600.0

MAX_LOSS = 0.005
"""In a group's mean CER or words found, compared with the recorded value for the same pages."""

MAX_WORST_LOSS = 0.02
"""In the difference of a group's worst page from bare."""

MAX_CPU_LOSS = 0.3
"""In CPU seconds divided by those of bare; on a machine with other work the ratio moves by a tenth."""


@dataclass(frozen=True)
class Figures:
    """The figures of one program on one page; `cer` is None if the text has no known reading order."""

    cer: float | None
    found: float
    cpu_seconds: float


@dataclass(frozen=True)
class Pair:
    """Both programs on one page."""

    ours: Figures
    bare: Figures

    @property
    def cer_behind(self) -> float:
        """By how much our CER is higher."""
        return 0.0 if self.ours.cer is None or self.bare.cer is None else self.ours.cer - self.bare.cer

    @property
    def found_behind(self) -> float:
        """By how much our share of words found is lower."""
        return self.bare.found - self.ours.found


Group = dict[str, Pair]


def main() -> None:
    """Measures, prints, compares or records."""
    os.environ.update(FIXED_VARIABLES)  # as in a worker process
    arguments = _arguments()
    readers = {engine: _reader(engine) for engine in arguments.engines}
    bare = _Bare(arguments.bare_cache)
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        groups: dict[str, Group] = {}
        for name, pages in groups_of_pages(arguments.corpus, Path(folder)).items():
            if name in arguments.groups:
                chosen = [page for page in spread(pages, arguments.pages) if arguments.only in page.name]
                found = {engine: Group() for engine in readers}
                for page in chosen:
                    for engine, pair in _pairs(page, readers, bare, Path(folder), arguments.keep).items():
                        found[engine][page.name] = pair
                groups[name] = found[arguments.engines[0]]
                for engine, group in found.items():
                    if group:
                        _print_group(f"{name}, {engine}", group, all_pages=arguments.all)
    if arguments.record:
        _record(groups)
        return
    problems = list(_problems(groups, _recorded(), same_run=bare.is_same_run))
    print("\n".join(["", *problems]) if problems else "\nno group is worse than recorded")
    sys.exit(bool(problems))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="the folder with pages and layouts")
    parser.add_argument("--groups", nargs="*", default=["pages", "layouts", "drawn", "samples"])
    parser.add_argument("--pages", type=int, help="so many pages of each group, spread over it")
    parser.add_argument("--engines", nargs="+", type=EngineName, default=[EngineName.AUTO])
    parser.add_argument("--only", default="", help="part of a page's name")
    parser.add_argument("--all", action="store_true", help="print every page, not only those that are worse than bare")
    parser.add_argument("--record", action="store_true", help="write benchmarks/quality.json instead of comparing")
    parser.add_argument("--bare-cache", type=Path, help="a folder that keeps what the bare program read")
    parser.add_argument("--keep", type=Path, help="a folder for the texts of both")
    return parser.parse_args()


# --- Reading ---------------------------------------------------------------------------------------------------------


Reader = Callable[[Path], str]
"""Returns the text of a document."""


def _reader(name: EngineName) -> Reader:
    engine = select_engine(name, LANGUAGES)
    engine.check()
    for languages in (
        "fra",
        "eng",
        LANGUAGES,
        with_typescript_models("fra"),
        with_typescript_models(LANGUAGES),
    ):  # loads the models
        engine.find_words(Image.new("L", (99, 99), 255), 150, TIMEOUT_SECONDS, languages)

    def read(path: Path) -> str:
        opened = probe_document(path, Limits())
        pages = [load_page(path, opened.format, number) for number in range(1, opened.pages + 1)]
        began, deadline = time.monotonic(), cpu_seconds() + TIMEOUT_SECONDS
        return "\n\n".join(recognised_page(1, page, engine, began, deadline).text.text for page in pages)

    return read


class _Bare:
    """The bare program; its texts are kept in a folder by the file's content, if a folder is given."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache
        self.is_same_run = True

    def read(self, path: Path) -> tuple[str, float]:
        """Returns the text of a page and its CPU seconds."""
        if self._cache is None:
            return self._read(path)
        kept = self._cache / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.json"
        if kept.is_file():
            self.is_same_run = False
            text, seconds = json.loads(kept.read_text(encoding="utf-8"))
            return text, seconds
        self._cache.mkdir(parents=True, exist_ok=True)
        found = self._read(path)
        kept.write_text(json.dumps(found), encoding="utf-8")
        return found

    def _read(self, path: Path) -> tuple[str, float]:
        began = _children_seconds()
        found = subprocess.run(
            ["tesseract", str(path), "stdout", "-l", LANGUAGES],
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        return found.stdout, _children_seconds() - began


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pairs(
    page: Page, readers: dict[EngineName, Reader], bare: _Bare, folder: Path, keep: Path | None
) -> dict[EngineName, Pair]:
    """Read a page by each engine, and by the bare program once."""
    parts = [bare.read(image) for image in images_for_bare(page.path, folder)]
    bare_text, bare_seconds = "\n\n".join(text for text, _ in parts), sum(seconds for _, seconds in parts)
    bare_figures = _figures(page, bare_text, bare_seconds)
    texts = {"bare": bare_text, "truth": page.truth}
    pairs = {}
    for engine, read in readers.items():
        began = time.process_time()
        texts[engine] = read(page.path)
        pairs[engine] = Pair(_figures(page, texts[engine], time.process_time() - began), bare_figures)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        for program, text in texts.items():
            (keep / f"{page.name}.{program}.txt").write_text(text, encoding="utf-8")
    return pairs


def _figures(page: Page, text: str, seconds: float) -> Figures:
    text = without_library_footer(text)
    cer = round(character_error_rate(page.truth, text), 4) if page.has_order else None
    found = words_found(page.truth, text) if page.phrases is None else phrases_found(page.phrases, text)
    return Figures(cer, round(found, 4), round(seconds, 2))


# --- Judging ---------------------------------------------------------------------------------------------------------


def _mean_cer(figures: list[Figures]) -> float:
    return statistics.fmean([one.cer for one in figures if one.cer is not None] or [0.0])


def _mean_found(figures: list[Figures]) -> float:
    return statistics.fmean(one.found for one in figures)


def _cpu_ratio(group: Group) -> float:
    ours, bare = (sum(one.cpu_seconds for one in side) for side in _sides(group))
    return ours / max(bare, 0.01)


def _sides(group: Group) -> tuple[list[Figures], list[Figures]]:
    return [pair.ours for pair in group.values()], [pair.bare for pair in group.values()]


def _print_group(name: str, group: Group, *, all_pages: bool) -> None:
    ours, bare = _sides(group)
    print(f"\n{name}: {len(group)} pages {'ours':>10} {'bare':>8} {'ratio':>8}")
    for label, mean in (("mean CER", _mean_cer), ("words found", _mean_found)):
        print(f"  {label:20} {mean(ours):10.4f} {mean(bare):8.4f} {mean(ours) / max(mean(bare), 0.0001):8.3f}")
    seconds = [sum(one.cpu_seconds for one in side) / max(len(group), 1) for side in (ours, bare)]
    print(f"  {'CPU s a page':20} {seconds[0]:10.2f} {seconds[1]:8.2f} {_cpu_ratio(group):8.3f}")
    for label, behind in (("CER", lambda p: p.cer_behind), ("words found", lambda p: p.found_behind)):
        worst = max(group, key=lambda one: behind(group[one]))
        print(f"  worst against bare in {label}: {behind(group[worst]):+.4f} ({worst})")
    for page, pair in group.items():
        is_behind = max(pair.cer_behind, pair.found_behind) > MAX_WORST_LOSS
        if all_pages or is_behind:
            print(f"  {'!' if is_behind else ' '} {page:32} {_line(pair)}", flush=True)


def _line(pair: Pair) -> str:
    cers = " ".join("  none" if one.cer is None else f"{one.cer:6.3f}" for one in (pair.ours, pair.bare))
    found = f"{pair.ours.found:6.3f} {pair.bare.found:6.3f}"
    return f"CER {cers}  found {found}  CPU s {pair.ours.cpu_seconds:6.2f} {pair.bare.cpu_seconds:6.2f}"


def _problems(groups: dict[str, Group], recorded: dict[str, Group], *, same_run: bool) -> Iterator[str]:
    for name, measured in groups.items():
        before = {page: pair for page, pair in recorded.get(name, {}).items() if page in measured}
        now = {page: pair for page, pair in measured.items() if page in before}
        if not now:
            yield f"{name}: nothing is recorded; run with --record"
            continue
        for what, value, known, margin in _compared(now, before):
            if value > known + margin:
                yield f"{name}: {what} is {value:.4f}, recorded {known:.4f}, margin {margin}"
        if same_run and _cpu_ratio(now) > _cpu_ratio(before) + MAX_CPU_LOSS:
            yield f"{name}: CPU is {_cpu_ratio(now):.2f} times bare, recorded {_cpu_ratio(before):.2f}"


def _compared(now: Group, before: Group) -> Iterator[tuple[str, float, float, float]]:
    ours, known = _sides(now)[0], _sides(before)[0]
    yield "mean CER", _mean_cer(ours), _mean_cer(known), MAX_LOSS
    yield "share of words missing", 1 - _mean_found(ours), 1 - _mean_found(known), MAX_LOSS
    for what, behind in (("CER", lambda pair: pair.cer_behind), ("words found", lambda pair: pair.found_behind)):
        worst, worst_before = (max(max(map(behind, group.values())), 0.0) for group in (now, before))
        yield f"worst page against bare in {what}", worst, worst_before, MAX_WORST_LOSS


def _recorded() -> dict[str, Group]:
    if not RECORDED.is_file():
        return {}
    content = json.loads(RECORDED.read_text(encoding="utf-8"))
    return {
        name: {page: Pair(Figures(**pair["ours"]), Figures(**pair["bare"])) for page, pair in group.items()}
        for name, group in content.items()
    }


def _record(groups: dict[str, Group]) -> None:
    content = {name: {page: asdict(pair) for page, pair in group.items()} for name, group in _recorded().items()}
    for name, group in groups.items():
        content.setdefault(name, {}).update({page: asdict(pair) for page, pair in group.items()})
    RECORDED.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\nrecorded in {RECORDED.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
