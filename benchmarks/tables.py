"""What resolution do the index tables of the land register need, and do their rows and numbers come out whole?

Index pages with invented entries are drawn as `scripts/make_samples.py` draws the samples, in print of 6.5 to 10 points
and as scans spoil them, so that every cell of them is known. They are read with the policy as it is, with first tries
at fixed resolutions, and by the bare `tesseract -l fra+eng --psm 3` program. Given are, for each page and way:

    CER     edits per character of the page, its lines from the top, a double page's left half first
    cells   the share of numbers, dates and amounts that are found to the last character
    rows    the share of table rows whose cells stand on one line in order, up to a sixth of the characters misread
    CPU s   the seconds of one core, preparation included

The fonts are those that `scripts/make_samples.py` names. One process, one thread, tesserocr.

usage: python -m benchmarks.tables [--only PART OF A PAGE'S NAME] [--dpi 150 200 ...] [--keep FOLDER]
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from benchmarks.scoring import cells_found, character_error_rate
from notaflow_pipeline.ocr.engine import TesserocrEngine
from notaflow_pipeline.ocr.recognising import read_page
from notaflow_pipeline.ocr.recognition.passes import DEFAULT_POLICY, Policy
from scripts import make_samples as drawing

PROJECT = Path(__file__).resolve().parents[1]
LANGUAGES = "fra+eng"
PATIENCE_SECONDS = 600.0
LIKE_A_ROW = 5 / 6
HEAD_AND_FOOT_POINTS = 205
FIXED_DPI = (150, 175, 200, 250)
BARE = "tesseract"
NUMBER = re.compile(r"\d{1,3}( \d{3})*|\d{4}-\d\d-\d\d|\d{1,3}( \d{3})*,\d\d \$")
"""A number of inscription, a date, an amount."""

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class IndexPage:
    """A scanned page, what stands on it line by line, and the rows of its table."""

    name: str
    image: Image.Image
    dpi: int
    lines: list[str]
    rows: list[str]
    cells: Counter[str]


@dataclass(frozen=True)
class Reading:
    """How one way of reading did on one page."""

    page: str
    way: str
    error_rate: float
    cells: float
    rows: float
    cpu_seconds: float


def main() -> None:
    """Draw, read, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a page's name")
    parser.add_argument("--dpi", type=int, nargs="*", default=FIXED_DPI, help="fixed resolutions of the first try")
    parser.add_argument("--keep", type=Path, help="a folder for the pages, their truth and what was read")
    arguments = parser.parse_args()
    readers = _readers(arguments.dpi)
    print(f"{'':28}" + "".join(f"{way:>32}" for way in readers))
    print(f"{'':28}" + f"{'CER  cells   rows  CPU s':>32}" * len(readers))
    readings: list[Reading] = []
    for name, draw in PAGES.items():
        if arguments.only not in name:
            continue
        page = draw(name)
        texts = {way: _timed(reader, page) for way, reader in readers.items()}
        readings += (of_page := [_judged(page, way, *found) for way, found in texts.items()])
        print(f"{name:28}" + "".join(map(_figures, of_page)), flush=True)
        if arguments.keep:
            _kept(arguments.keep, page, {way: text for way, (text, _) in texts.items()})
    print(f"{'mean':28}" + "".join(_figures(_mean(readings, way)) for way in readers))
    results = PROJECT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    target = results / "tables.json"
    target.write_text(json.dumps([asdict(reading) for reading in readings], indent=2))
    print(f"\nwritten to {target.relative_to(PROJECT)}")


# --- Pages -------------------------------------------------------------------------------------------------------------


Style = drawing.Table
Fault = drawing.Fault


def _index(
    style: Style, lines: int, dpi: int, *faults: Fault, bits: int = 1, since: date = date(2001, 11, 12)
) -> Callable[[str], IndexPage]:
    """What draws one page of an index: as many lines as fit, the same on every run."""

    def draw(name: str) -> IndexPage:
        rng = np.random.default_rng([drawing.SEED, *name.encode()])
        room = style.page[1] - HEAD_AND_FOOT_POINTS
        rows = drawing.entries(
            rng, min(lines, int(room / style.row_height)), since, 10_118_204 if since.year > 1975 else 14_208
        )
        fields = drawing.fields_of("Montréal", "Cadastre du Québec", "3 770 292")
        marks = drawing.table_page(style, fields, rows, "Page 1 de 1")
        return _scanned(name, [marks], style.page, rows, dpi, rng, faults, bits)

    return draw


def _open_book(dpi: int, *faults: Fault) -> Callable[[str], IndexPage]:
    def draw(name: str) -> IndexPage:
        rng = np.random.default_rng([drawing.SEED, *name.encode()])
        rows = drawing.entries(rng, 60, date(1921, 5, 3), 14_208)
        both = drawing.double_page(drawing.fields_of("Kamouraska", "Paroisse de Saint-André", "212"), rows)
        fold = drawing.LETTER[0]
        halves = [[m for m in both if _start(m) < fold], [m for m in both if _start(m) >= fold]]
        return _scanned(name, halves, drawing.TABLOID, rows, dpi, rng, faults, 8)

    return draw


def _start(mark: drawing.Mark) -> float:
    return mark.x0 if isinstance(mark, drawing.Rule) else mark.x


def _scanned(
    name: str,
    halves: Sequence[Sequence[drawing.Mark]],
    size: drawing.Size,
    rows: Rows,
    dpi: int,
    rng: np.random.Generator,
    faults: Sequence[Fault],
    bits: int,
) -> IndexPage:
    image = drawing.on_paper([mark for half in halves for mark in half], size, dpi, rng)
    for fault in faults:
        image = fault(image, rng)
    image = drawing.one_bit(image).convert("L") if bits == 1 else image
    said = [" ".join(cell for cell in row if cell) for row in rows]
    cells = Counter(cell for row in rows for cell in row if NUMBER.fullmatch(cell))
    return IndexPage(name, image, dpi, [line for half in halves for line in _lines(half)], said, cells)


def _lines(marks: Sequence[drawing.Mark]) -> list[str]:
    """What stands on a page, from the top and from the left."""
    texts = sorted((m for m in marks if isinstance(m, drawing.Text)), key=lambda m: (round(m.baseline, 1), m.x))
    return [" ".join(m.text for m in line) for _, line in groupby(texts, lambda m: round(m.baseline, 1))]


def _printed(points: float, page: drawing.Size = drawing.LETTER, face: str = "sans") -> Style:
    return replace(drawing.PRINTED, page=page, hand=face, hand_size=points, row_height=points * 1.75)


def _pages() -> dict[str, Callable[[str], IndexPage]]:
    soft = drawing.grained()
    eight = _printed(8)
    return {
        **{f"{points} pt": _index(_printed(points), 40, 300, soft) for points in (6.5, 7, 8, 9, 10)},
        "6.5 pt serif": _index(_printed(6.5, face="serif"), 40, 300, soft),
        "6.5 pt, 200 dpi": _index(_printed(6.5), 40, 200, soft),
        "8 pt, 200 dpi": _index(eight, 40, 200, soft),
        "8 pt, 60 lines, 200 dpi": _index(drawing.DENSE, 60, 200, drawing.grained(20, 0.6)),
        "8 pt, pepper, 200 dpi": _index(eight, 40, 200, drawing.salt_and_pepper(0.02)),
        "7 pt, noisy grey": _index(_printed(7), 40, 300, drawing.grained(70, 0.9), bits=8),
        "7 pt, faint grey": _index(_printed(7), 40, 300, soft, drawing.faded(165, 225), bits=8),
        "7 pt, skewed 2": _index(_printed(7), 40, 300, drawing.skewed(2), soft),
        "typed 8.4 pt": _index(drawing.TYPED_TABLE, 50, 300, drawing.grained(34, 0.9), since=date(1961, 2, 7)),
        "double page, 200 dpi": _open_book(200, drawing.gutter, drawing.grained(3), drawing.faded(20, 232)),
        "double page, 300 dpi": _open_book(300, drawing.gutter, drawing.grained(3), drawing.faded(20, 232)),
    }


PAGES = _pages()


# --- Reading and judging ---------------------------------------------------------------------------------------------


Reader = Callable[[IndexPage], str]


def _readers(fixed_dpi: Sequence[int]) -> dict[str, Reader]:
    engine = TesserocrEngine(LANGUAGES)
    engine.check()
    for languages in ("fra", LANGUAGES):
        engine.find_words(Image.new("L", (99, 99), 255), 150, PATIENCE_SECONDS, languages)  # loads the models

    def reader(policy: Policy) -> Reader:
        return lambda page: read_page(page.image, page.dpi, engine, PATIENCE_SECONDS, policy).text

    fixed = {f"{dpi} dpi": reader(replace(DEFAULT_POLICY, first_dpi=dpi)) for dpi in fixed_dpi}
    return {"the policy": reader(DEFAULT_POLICY), **fixed, BARE: _bare}


def _bare(page: IndexPage) -> str:
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


def _timed(reader: Reader, page: IndexPage) -> tuple[str, float]:
    began = _cpu_seconds()
    text = reader(page)
    return text, _cpu_seconds() - began


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _judged(page: IndexPage, way: str, text: str, cpu_seconds: float) -> Reading:
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


def _mean(readings: list[Reading], way: str) -> Reading:
    of_way = [reading for reading in readings if reading.way == way]
    measured = ((r.error_rate, r.cells, r.rows, r.cpu_seconds) for r in of_way)
    return Reading("", way, *map(statistics.mean, zip(*measured, strict=True)))


def _kept(folder: Path, page: IndexPage, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = page.name.replace(" ", "_").replace(",", "")
    page.image.save(folder / f"{stem}.png", dpi=(page.dpi, page.dpi))
    for way, text in {"truth": "\n".join(page.lines), **texts}.items():
        (folder / f"{stem}.{way.replace(' ', '_')}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
