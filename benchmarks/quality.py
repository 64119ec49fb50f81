"""Measures the gain and the cost of each step of reading a page, and of further passes by their confidence limit.

Every page image of a folder that has a transcription `NAME.gt.txt` is read with the whole policy, then with each step of
the preparation switched off, with other limits of confidence for further passes, and with other languages. Given
are CPU seconds a page and the mean character error rate, for all pages, for the odd and the even ones (a rule that
holds on one half alone holds by chance), and for groups of pages. `--variants N` adds the first N pages turned, skewed,
noisy, faint, dark, inverted and at 72 to 600 dpi. One process, one thread, the engine of `--engine`.

usage: python -m benchmarks.quality [--pages FOLDER] [--only steps|curve|languages] [--variants N] [--engine auto]
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from PIL import Image, ImageOps

from benchmarks.paths import PAGES, write_results
from benchmarks.scoring import character_error_rate, transcribed_pages, without_library_footer
from notaflow_pipeline.ocr.engines.interface import WordEngine
from notaflow_pipeline.ocr.engines.model_files import with_typescript_models
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import page_dpi, render_page
from notaflow_pipeline.ocr.preprocessing.borders import without_dark_borders
from notaflow_pipeline.ocr.preprocessing.preprocess import ALL_STEPS, PAGE_WIDTH_INCHES
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes.pass_result import DEFAULT_POLICY, Policy
from notaflow_pipeline.ocr.workers.resource_limits import FIXED_VARIABLES
from notaflow_pipeline_tests.testing.noise import noisy

LANGUAGES = "fra+eng"
THRESHOLDS = (0, 70, 80, 83, 86, 90, 101)
UNTAGGED = "without a dpi tag"
TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class Page:
    """A page in memory, with its transcription and its groups."""

    name: str
    image: Image.Image
    dpi: int | None
    truth: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """The cost and the quality of one way of reading."""

    way: str
    cpu_seconds: float
    passes: float
    error_rate: float
    without_footer: float
    by_group: dict[str, float]


def main() -> None:
    """Measures, prints the tables, writes the JSON."""
    os.environ.update(FIXED_VARIABLES)  # as in a worker process
    arguments = _arguments()
    pages = [_page(path, truth, number) for number, (path, truth) in enumerate(arguments.pages.items(), start=1)]
    engine = select_engine(arguments.engine, LANGUAGES)
    engine.check()
    for languages in (
        "fra",
        LANGUAGES,
        with_typescript_models("fra"),
        with_typescript_models(LANGUAGES),
    ):  # loads the models
        engine.find_words(Image.new("L", (99, 99), 255), 150, TIMEOUT_SECONDS, languages)
    tables: dict[str, list[Row]] = {}
    for table, ways in _tables().items():
        if arguments.only in (None, table):
            tables[table] = _measured(table, ways, pages, engine)
    if arguments.variants:
        tables["variants"] = _variants(pages[: arguments.variants], engine)
    write_results("quality", tables)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, default=PAGES)
    parser.add_argument("--only", choices=["steps", "curve", "languages", "none"])
    parser.add_argument("--variants", type=int, default=0)
    parser.add_argument("--engine", type=EngineName, default=EngineName.AUTO, choices=list(EngineName))
    arguments = parser.parse_args()
    if not arguments.pages.is_dir():
        parser.error(f"{arguments.pages} is not here: name a folder of page images with --pages")
    arguments.pages = transcribed_pages(arguments.pages)
    if not arguments.pages:
        sys.exit("no page there has a transcription")
    return arguments


def _page(path: Path, truth: str, number: int) -> Page:
    with Image.open(path) as opened:
        document_format = DocumentFormat(opened.format)
    image = render_page(path, document_format, 1)
    return Page(path.stem, image, page_dpi(image), truth, tuple(_groups(image, number)))


def _groups(image: Image.Image, number: int) -> Iterator[str]:
    yield "odd" if number % 2 else "even"
    yield "coarse" if image.width < 1100 else "fine"
    if without_dark_borders(image).size != image.size:
        yield "bordered"


def _tables() -> dict[str, dict[str, Policy]]:
    once = replace(DEFAULT_POLICY, good_confidence=0)
    blind = replace(DEFAULT_POLICY, missed_lines=False)
    system = replace(DEFAULT_POLICY, typescript_model=False)
    steps = {
        "whole policy": DEFAULT_POLICY,
        "no overlooked lines": blind,
        "no values of forms": replace(DEFAULT_POLICY, filled_in_values=False),
        "sideways lines not again": replace(DEFAULT_POLICY, sideways_lines=False),
        "words cut off lines left": replace(DEFAULT_POLICY, cut_off_words=False),
        "torn lines left": replace(DEFAULT_POLICY, cut_lines=False),
        "specks kept": replace(DEFAULT_POLICY, without_specks=False),
        "the system's French": system,
        "one try": once,
    }
    steps["one try, system's French"] = replace(once, typescript_model=False)
    for step in asdict(ALL_STEPS):
        without = replace(ALL_STEPS, **{step: False})
        steps[f"no {step}"] = replace(DEFAULT_POLICY, steps=without)
        steps[f"one try, no {step}"] = replace(once, steps=without)
    steps["one try, no step at all"] = replace(once, steps=type(ALL_STEPS)(*[False] * len(asdict(ALL_STEPS))))
    return {
        "steps": steps,
        "curve": {f"again below {limit}": replace(DEFAULT_POLICY, good_confidence=limit) for limit in THRESHOLDS},
        "languages": {
            "French first, both later": DEFAULT_POLICY,
            "French first and later": replace(DEFAULT_POLICY, all_languages_later=False),
            "both at once": replace(DEFAULT_POLICY, choose_language=False),
        },
    }


def _measured(table: str, ways: dict[str, Policy], pages: list[Page], engine: WordEngine) -> list[Row]:
    groups = sorted({group for page in pages for group in page.groups})
    print(f"\n{table}: {len(pages)} pages\n")
    print(f"{'':32} {'CPU s':>6} {'passes':>6} {'CER':>7} {'no footer':>9} " + " ".join(f"{g:>8}" for g in groups))
    rows = []
    for way, policy in ways.items():
        row = _row(way, policy, pages, engine)
        rows.append(row)
        print(
            f"{way:32} {row.cpu_seconds:6.2f} {row.passes:6.2f} {row.error_rate:7.4f} {row.without_footer:9.4f} "
            + " ".join(f"{row.by_group[group]:8.4f}" for group in groups),
            flush=True,
        )
    return rows


def _row(way: str, policy: Policy, pages: list[Page], engine: WordEngine) -> Row:
    seconds, passes, rates, bare_rates = [], [], [], []
    by_group: dict[str, list[float]] = {}
    for page in pages:
        began = time.process_time()
        found = read_page(page.image, page.dpi, engine, TIMEOUT_SECONDS, policy)
        seconds.append(time.process_time() - began)
        passes.append(found.passes)
        rates.append(character_error_rate(page.truth, found.text))
        bare_rates.append(character_error_rate(page.truth, without_library_footer(found.text)))
        for group in page.groups:
            by_group.setdefault(group, []).append(bare_rates[-1])
    means = {group: statistics.mean(values) for group, values in by_group.items()}
    return Row(way, *map(statistics.mean, (seconds, passes, rates, bare_rates)), means)


def _variants(pages: list[Page], engine: WordEngine) -> list[Row]:
    made: dict[str, list[Page]] = {}
    for page in pages:
        for name, image in _made_of(page):
            # a scanner writes its resolution whatever the page's orientation is
            dpi = int(name.removesuffix(" dpi")) if name.endswith(" dpi") else _stated_dpi(page)
            if name == UNTAGGED:
                dpi = None
            made.setdefault(name, []).append(replace(page, image=image, dpi=dpi, groups=()))
    return [row for name, variants in made.items() for row in _measured(name, {name: DEFAULT_POLICY}, variants, engine)]


def _stated_dpi(page: Page) -> int:
    return page.dpi or round(page.image.width / PAGE_WIDTH_INCHES)


def _made_of(page: Page) -> Iterator[tuple[str, Image.Image]]:
    """Returns the same page as from worse scanners."""
    upright = page.image
    paper = sorted(upright.reduce(16).tobytes())[-20 * upright.width // 256]
    yield "as it is", upright
    yield UNTAGGED, upright
    for degrees in (90, 180, 270):
        yield f"turned {degrees}", upright.rotate(degrees, expand=True)
    for skew in (-7, -5, -3, -1, 1, 3, 5, 7):
        yield f"skewed {skew}", upright.rotate(skew, Image.Resampling.BICUBIC, expand=True, fillcolor=paper)
    for deviation in (10, 20, 30):
        yield f"noise of {deviation}", noisy(upright, deviation)
    yield "faint", upright.point([round(255 - (255 - value) * 0.3) for value in range(256)])
    yield "dark", upright.point([round(value * 0.35) for value in range(256)])
    yield "inverted", ImageOps.invert(upright)
    for dpi in (72, 100, 150, 200, 300, 400, 600):
        factor = dpi / _stated_dpi(page)
        size = (round(upright.width * factor), round(upright.height * factor))
        yield f"{dpi} dpi", upright.resize(size, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
