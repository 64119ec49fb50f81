"""Measures how well index tables are read: their rows, and their numbers to the last character, compared with bare.

Index pages with invented entries are drawn as `scripts/samples` draws the samples, so that every cell of them is
known (`benchmarks/table_pages.py`). The group `clean` has grey pages in print of 6.5 to 12 points at 150 to 300 dpi, ruled
and not, of which each lies in one of four ways: a quarter of the whole matrix, 24 pages, which `--every` makes 96. The
group `scanned` has 12 pages as scans spoil them, most of them one bit deep. They are read with the policy as it is, with
first tries at fixed resolutions (`--dpi`), and by the bare `tesseract -l fra+eng --psm 3` program. Given are, for each page
and way:

    CER     edits per character of the page, its lines from the top, a double page's left half first
    cells   the share of numbers, dates and amounts that are found to the last character
    rows    the share of table rows whose cells stand on one line in order, up to a sixth of the characters misread
    CPU s   the seconds of one core, preparation included

The means follow, of each group and of the clean pages by print, resolution, rules and way of lying; then the worst page in
cells and rows compared with bare. The status is 1 where a page is below bare in either, or the clean pages have a mean
of 0.98 of their cells or less. The fonts are those that `scripts/samples` names. One process,
one thread, the engine of `--engine`.

usage: python -m benchmarks.tables [--groups clean scanned] [--every] [--only PART OF A PAGE'S NAME] [--dpi 150 200 ...]
           [--engine auto] [--keep FOLDER]
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from benchmarks import table_pages
from benchmarks.paths import write_results
from benchmarks.scoring import cells_found, character_error_rate
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes.pass_result import DEFAULT_POLICY, Policy

LANGUAGES = "fra+eng"
TIMEOUT_SECONDS = 600.0
LIKE_A_ROW = 5 / 6
LABEL = 40
BARE = "tesseract"
OURS = "the policy"
MIN_CELLS = 0.98
"""The share of the clean pages' cells that must be found exactly."""


@dataclass(frozen=True)
class Reading:
    """The result of one way of reading on one page."""

    page: str
    way: str
    error_rate: float
    cells: float
    rows: float
    cpu_seconds: float


def main() -> None:
    """Draws, reads, prints the table, writes the JSON."""
    arguments = _arguments()
    if missing := list(table_pages.missing_fonts()):
        sys.exit(f"fonts of these Debian packages are missing: apt-get install {' '.join(missing)}")
    groups = {"clean": table_pages.clean_pages(every=arguments.every), "scanned": table_pages.scanned_pages()}
    readers = _readers(arguments.dpi, arguments.engine)
    print(f"{'':{LABEL}}" + "".join(f"{way:>32}" for way in readers))
    print(f"{'':{LABEL}}" + f"{'CER  cells   rows  CPU s':>32}" * len(readers))
    readings: dict[str, list[Reading]] = {}
    for group in arguments.groups:
        for name, draw in groups[group].items():
            if arguments.only in name:
                readings.setdefault(group, []).extend(_read(draw(name), readers, arguments.keep))
    everything = [reading for group in readings.values() for reading in group]
    _print_means(readings, readers)
    write_results("tables", everything)
    sys.exit(any(_is_below(pair) for pair in _pairs(everything).values()) or _misses_cells(readings.get("clean", [])))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="*", default=["clean", "scanned"], choices=["clean", "scanned"])
    parser.add_argument("--every", action="store_true", help="the whole matrix of clean pages")
    parser.add_argument("--only", default="", help="part of a page's name")
    parser.add_argument("--dpi", type=int, nargs="*", default=[], help="fixed resolutions of the first try")
    parser.add_argument("--engine", type=EngineName, default=EngineName.AUTO, choices=list(EngineName))
    parser.add_argument("--keep", type=Path, help="a folder for the pages, their truth and what was read")
    return parser.parse_args()


# --- Reading and judging ---------------------------------------------------------------------------------------------


Reader = Callable[[table_pages.IndexPage], str]
"""Returns the text of a page."""


def _readers(fixed_dpi: Sequence[int], name: EngineName) -> dict[str, Reader]:
    engine = select_engine(name, LANGUAGES)
    engine.check()
    for languages in ("fra", LANGUAGES):
        engine.find_words(Image.new("L", (99, 99), 255), 150, TIMEOUT_SECONDS, languages)  # loads the models

    def reader(policy: Policy) -> Reader:
        return lambda page: read_page(page.image, page.dpi, engine, TIMEOUT_SECONDS, policy).text

    fixed = {f"{dpi} dpi": reader(replace(DEFAULT_POLICY, first_dpi=dpi)) for dpi in fixed_dpi}
    return {OURS: reader(DEFAULT_POLICY), **fixed, BARE: _bare}


def _bare(page: table_pages.IndexPage) -> str:
    with tempfile.NamedTemporaryFile(suffix=".tif") as file:
        page.image.save(file.name, dpi=(page.dpi, page.dpi))
        found = subprocess.run(
            ["tesseract", file.name, "stdout", "-l", LANGUAGES, "--psm", "3"],
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    return found.stdout


def _timed(reader: Reader, page: table_pages.IndexPage) -> tuple[str, float]:
    began = _cpu_seconds()
    text = reader(page)
    return text, _cpu_seconds() - began


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _judged(page: table_pages.IndexPage, way: str, text: str, cpu_seconds: float) -> Reading:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    kept = [_likeness(row, lines) >= LIKE_A_ROW for row in page.rows]
    return Reading(
        page.name,
        way,
        character_error_rate("\n".join(page.lines), text),
        cells_found(page.cells, text) / page.cells.total(),
        statistics.mean(kept),
        cpu_seconds,
    )


def _likeness(row: str, lines: list[str]) -> float:
    best = process.extractOne(row, lines, scorer=Levenshtein.normalized_similarity)
    return float(best[1]) if best else 0.0


def _figures(reading: Reading) -> str:
    return f"{reading.error_rate:14.4f}{reading.cells:6.3f}{reading.rows:6.2f}{reading.cpu_seconds:6.2f}"


def _read(page: table_pages.IndexPage, readers: dict[str, Reader], keep: Path | None) -> list[Reading]:
    """Returns and prints the result of each way of reading on a page."""
    texts = {way: _timed(reader, page) for way, reader in readers.items()}
    readings = [_judged(page, way, *found) for way, found in texts.items()]
    mark = "!" if any(_is_below(pair) for pair in _pairs(readings).values()) else ""
    print(f"{page.name:{LABEL}}" + "".join(map(_figures, readings)), mark, flush=True)
    if keep:
        _kept(keep, page, {way: text for way, (text, _) in texts.items()})
    return readings


# --- Means and the worst pages ---------------------------------------------------------------------------------------


Pair = tuple[Reading, Reading]
"""The same page, ours and bare."""


def _print_means(groups: dict[str, list[Reading]], readers: dict[str, Reader]) -> None:
    print()
    for group, readings in groups.items():
        print(f"{f'mean of {group}':{LABEL}}" + "".join(_figures(_mean(readings, way)) for way in readers))
        for part, some in _parts(readings).items() if group == "clean" else []:
            print(f"{f'  {part}':{LABEL}}" + "".join(_figures(_mean(some, way)) for way in readers))
        worst = min(_pairs(readings).values(), key=_lead_over_bare)
        print(f"  worst against bare in cells and rows: {_lead_over_bare(worst):+.3f} ({worst[0].page})")


def _parts(readings: list[Reading]) -> dict[str, list[Reading]]:
    """Returns the readings of clean pages by the parts of their names, which commas separate."""
    parts: dict[str, list[Reading]] = {}
    for place in range(4):
        for reading in readings:
            parts.setdefault(reading.page.split(", ")[place], []).append(reading)
    return parts


def _mean(readings: list[Reading], way: str) -> Reading:
    of_way = [reading for reading in readings if reading.way == way]
    measured = ((r.error_rate, r.cells, r.rows, r.cpu_seconds) for r in of_way)
    return Reading("", way, *map(statistics.mean, zip(*measured, strict=True)))


def _pairs(readings: list[Reading]) -> dict[str, Pair]:
    ours, bare = ({one.page: one for one in readings if one.way == way} for way in (OURS, BARE))
    return {page: (ours[page], bare[page]) for page in ours}


def _lead_over_bare(pair: Pair) -> float:
    """Returns by how much a page is ahead of bare in cells or rows, whichever is less."""
    ours, bare = pair
    return min(ours.cells - bare.cells, ours.rows - bare.rows)


def _is_below(pair: Pair) -> bool:
    return _lead_over_bare(pair) < 0


def _misses_cells(clean: list[Reading]) -> bool:
    return bool(clean) and _mean(clean, OURS).cells <= MIN_CELLS


def _kept(folder: Path, page: table_pages.IndexPage, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = page.name.replace(" ", "_").replace(",", "").replace("°", "")
    page.image.save(folder / f"{stem}.png", dpi=(page.dpi, page.dpi))
    for way, text in {"truth": "\n".join(page.lines), **texts}.items():
        (folder / f"{stem}.{way.replace(' ', '_')}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
