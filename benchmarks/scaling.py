"""Measures whether N workers on N cores read N times as many pages as one worker; the aim is at least 0.9 of that.

`notaflow work --until-empty` reads every image of a folder with OCR_WORKERS=1 and with OCR_WORKERS=N, in turn, several
times, on an embedded PostgreSQL that runs already. Printed are, for each, pages a second from the start of the program to
its end, and from the first claim to the last record; CPU seconds a page of the program and of the database; how many
cores they kept busy; and how many others did meanwhile, which should be next to none: a run is worth nothing otherwise.
Below stands how many times as fast N workers were as one in the same repetition, as a share of N.

One worker does not have a machine of one core: the parent and the database have the others, while N workers share theirs
with both. On two cores one worker thus has the better terms, and the share is lower than for machines with one and two
cores. What the machine itself does not give is seen too: CPU seconds a page grow where cores share caches, memory or a
core's two threads, and `--bare` measures the bare `tesseract` program under `xargs -P 1` and `-P N` beside it, which
shares nothing else. The end counts, when fewer pages are left than workers; `--times N` reads each page N times, so that
it counts for less.

By default the pages are those of ../shared/corpus/pages; where that is absent, or with `--drawn N`, they are index pages
drawn by `scripts/samples`.

usage: python -m benchmarks.scaling [--pages FOLDER] [--drawn N] [--times N] [--workers N] [--repetitions N]
       [--bare]
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.compared_programs import Measured, bare_tesseract
from benchmarks.paths import PAGES, page_images, write_results
from benchmarks.pipeline_run import PipelineMeasured, run_pipeline
from scripts.samples.registry import entries, spaced
from scripts.samples.scanning import SEED, faded, grained, on_paper
from scripts.samples.tables import PRINTED, fields_of, table_page

LANGUAGES = "fra+eng"
PIPELINE, BARE = "pipeline", "bare tesseract"
AIM = 0.9
DRAWN = 40
LINES_A_PAGE = 38

Read = Callable[[list[Path], int, Path], Measured]


@dataclass(frozen=True)
class Span:
    """A part of a run, and the function that returns its seconds."""

    name: str
    seconds: Callable[[Measured], float]


WHOLE = Span("start included", lambda run: run.seconds)
WARM = Span("first claim to last record", lambda run: run.warm_seconds if isinstance(run, PipelineMeasured) else 0.0)
SPANS = {PIPELINE: (WHOLE, WARM), BARE: (WHOLE,)}


@dataclass(frozen=True)
class Speed:
    """Medians of one way of reading with one number of workers, over one part of the runs."""

    way: str
    span: str
    workers: int
    pages_a_second: float
    cpu_seconds_a_page: float
    cores_busy: float
    cores_busy_for_others: float


@dataclass(frozen=True)
class Scaling:
    """The speed relative to one worker, as a share of the number of workers, in each repetition."""

    way: str
    span: str
    shares: list[float]

    @property
    def median(self) -> float:
        """Of the repetitions."""
        return statistics.median(self.shares)


def main() -> None:
    """Measures, prints the tables, writes the JSON."""
    arguments = _arguments()
    ways: dict[str, Read] = {PIPELINE: _pipeline}
    if arguments.bare:
        ways[BARE] = lambda files, workers, folder: bare_tesseract(files, workers, LANGUAGES, folder)
    runs: dict[tuple[str, int], list[Measured]] = {(way, n): [] for way in ways for n in (1, arguments.workers)}
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder:
        files = _drawn(Path(folder), arguments.drawn) if arguments.drawn else _images(arguments.pages)
        files *= arguments.times
        for number in range(arguments.repetitions):
            for place, (way, workers) in enumerate(_in_turn(list(runs), number)):
                run = ways[way](files, workers, Path(folder) / f"{number}-{place}")
                runs[way, workers].append(run)
                print(f"repetition {number + 1}: {way}, workers: {workers}, {run.seconds:.1f} s", flush=True)
    speeds = [
        _speed(way, span, workers, done, len(files)) for (way, workers), done in runs.items() for span in SPANS[way]
    ]
    scalings = [
        Scaling(way, span.name, _shares(span, runs[way, 1], runs[way, arguments.workers], arguments.workers))
        for way in ways
        for span in SPANS[way]
    ]
    _report(speeds, scalings, len(files), arguments.repetitions)
    write_results("scaling", {"pages": len(files), "speeds": speeds, "shares": scalings})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, default=PAGES)
    parser.add_argument("--drawn", type=int, default=0, help="read so many drawn pages instead")
    parser.add_argument("--times", type=int, default=1, help="how often each page is read in a run")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="to compare one worker with")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--bare", action="store_true", help="measure the bare program too")
    arguments = parser.parse_args()
    if arguments.workers < 2:
        parser.error("there is nothing to compare one worker with: name more with --workers")
    if not arguments.pages.is_dir() and not arguments.drawn:
        arguments.drawn = DRAWN
    return arguments


def _images(folder: Path) -> list[Path]:
    files = page_images(folder)
    if not files:
        sys.exit(f"no page images in {folder}")
    return files


def _drawn(folder: Path, pages: int) -> list[Path]:
    """Returns different index pages as from a scanner; the same in every run."""
    files = []
    for number in range(pages):
        rng = np.random.default_rng([SEED, number])
        style = replace(PRINTED, hand_size=(7.0, 8.2, 9.0)[number % 3])
        rows = entries(rng, LINES_A_PAGE, date(2001, 11, 12), 10_118_204 + 1_000 * number)
        fields = fields_of("Montréal", "Cadastre du Québec", spaced(3_770_292 + number))
        marks = table_page(style, fields, rows, f"Page {number + 1}")
        image = faded(20, 232)(grained(4)(on_paper(marks, style.page, 300, rng), rng), rng)
        files.append(folder / f"page{number + 1:03}.jpg")
        image.save(files[-1], quality=80, dpi=(300, 300))
    return files


def _in_turn(runs: list[tuple[str, int]], repetition: int) -> list[tuple[str, int]]:
    """Reverses the order in every other repetition, so that warming up affects both alike."""
    return runs[::-1] if repetition % 2 else runs


def _pipeline(files: list[Path], workers: int, home: Path) -> Measured:
    run = run_pipeline(files, home, {"OCR_WORKERS": str(workers)})
    if len(run.succeeded) != len(files):
        sys.exit(f"the run is invalid: {len(run.succeeded)} of {len(files)} documents were read")
    return run


def _speed(way: str, span: Span, workers: int, runs: list[Measured], pages: int) -> Speed:
    """CPU seconds are those of the whole program: they are not counted between the first claim and the last record."""
    return Speed(
        way,
        span.name,
        workers,
        statistics.median(pages / span.seconds(run) for run in runs),
        statistics.median(_cpu_seconds(run) / pages for run in runs),
        statistics.median(_cpu_seconds(run) / run.seconds for run in runs),
        statistics.median((run.machine_cpu_seconds - _cpu_seconds(run)) / run.seconds for run in runs),
    )


def _cpu_seconds(run: Measured) -> float:
    return run.cpu_seconds + (run.server_cpu_seconds if isinstance(run, PipelineMeasured) else 0.0)


def _shares(span: Span, alone: list[Measured], together: list[Measured], workers: int) -> list[float]:
    return [span.seconds(one) / span.seconds(all_) / workers for one, all_ in zip(alone, together, strict=True)]


def _report(speeds: list[Speed], scalings: list[Scaling], pages: int, repetitions: int) -> None:
    print(f"\n{pages} pages, {os.cpu_count()} cores, {repetitions} interleaved repetitions, medians\n")
    print(f"{'':44} {'workers':>7} {'pages/s':>8} {'CPU s/page':>11} {'cores busy':>11} {'by others':>10}")
    for one in speeds:
        print(
            f"{one.way + ', ' + one.span:44} {one.workers:7} {one.pages_a_second:8.3f} {one.cpu_seconds_a_page:11.2f}"
            f" {one.cores_busy:11.2f} {one.cores_busy_for_others:10.2f}"
        )
    print(f"\n{'':44} {'share of linear (min-max)':>27}  {AIM} aimed at")
    for scaling in scalings:
        spread = f"{scaling.median:.3f} ({min(scaling.shares):.3f}-{max(scaling.shares):.3f})"
        print(f"{scaling.way + ', ' + scaling.span:44} {spread:>27}")


if __name__ == "__main__":
    main()
