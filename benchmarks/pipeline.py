"""Compares the speed and quality of the whole pipeline with the bare `tesseract` program and OCRmyPDF on the same pages.

All read every image of a folder on all cores, in turn, several times:

- the pipeline is `notaflow work --until-empty` in a process of its own, from the queue to the recorded text, on an
  embedded PostgreSQL that runs already;
- the bare program is `tesseract FILE OUTPUT` under `xargs -P cores`, one thread a page, with the pipeline's languages
  and with French alone, which is what the pipeline begins with;
- OCRmyPDF, where it is installed, reads one PDF of all pages with all cores.

Where an image has a transcription `NAME.gt.txt`, character error rate and word F1 are given, also without the line that
libraries print under their scans and transcriptions leave out. By default the pages are those of ../shared/corpus/pages.

usage: python -m benchmarks.pipeline [--pages FOLDER] [--repetitions N] [--workers N] [--ocrmypdf PROGRAM] [--engine E]
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.compared_programs import Measured, bare_tesseract, find_ocrmypdf, ocrmypdf
from benchmarks.paths import PAGES, page_images, write_results
from benchmarks.pipeline_run import PipelineMeasured, run_pipeline
from benchmarks.scoring import character_error_rate, transcribed_pages, without_library_footer, word_f1

LANGUAGES = "fra+eng"
BARE = f"bare tesseract {LANGUAGES}"
PIPELINE = "pipeline, cold start included"
MUCH_WORSE = 0.05
"""A page with this loss against the tesseract program alone is named."""

_PAGE_MARK = "--- Page 1 ---"


@dataclass(frozen=True)
class Quality:
    """Means and median over the pages that have a transcription."""

    mean_error_rate: float
    median_error_rate: float
    without_footer: float
    word_f1: float


Program = Callable[[Path], Measured]


def main() -> None:
    """Measures, prints the tables, writes the JSON."""
    arguments = _arguments()
    files = page_images(arguments.pages)
    if not files:
        sys.exit(f"no page images in {arguments.pages}: name a folder of them with --pages")
    programs = _programs(files, arguments)
    runs: dict[str, list[Measured]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder:
        for number in range(arguments.repetitions):
            for place, (name, read) in enumerate(programs.items()):
                runs[name].append(read(Path(folder) / f"{number}-{place}"))
                print(f"repetition {number + 1}: {name} {runs[name][-1].seconds:.1f} s", flush=True)
    _report(runs, transcribed_pages(arguments.pages), len(files), arguments.workers)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, default=PAGES)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--ocrmypdf", help="its program; without it the one on PATH, if any")
    parser.add_argument("--engine", default="auto", help="OCR_ENGINE of the pipeline")
    return parser.parse_args()


def _programs(files: list[Path], arguments: argparse.Namespace) -> dict[str, Program]:
    workers = arguments.workers
    programs: dict[str, Program] = {
        name: partial(bare_tesseract, files, workers, languages)
        for name, languages in ((BARE, LANGUAGES), ("bare tesseract fra", "fra"))
    }
    ocrmypdf_program = find_ocrmypdf(arguments.ocrmypdf)
    if ocrmypdf_program:
        programs["OCRmyPDF"] = partial(ocrmypdf, ocrmypdf_program, files, workers, LANGUAGES)
    else:
        print("OCRmyPDF is not here, and is left out")
    programs[PIPELINE] = partial(_pipeline, files, workers, arguments.engine)
    return programs


def _pipeline(files: list[Path], workers: int, engine: str, home: Path) -> PipelineMeasured:
    settings = {"OCR_ENGINE": engine, "OCR_LANGUAGES": LANGUAGES, "OCR_WORKERS": str(workers)}
    run = run_pipeline(files, home, settings)
    if len(run.succeeded) != len(files):
        sys.exit(f"the run is invalid: {len(run.succeeded)} of {len(files)} documents were read")
    run.texts = {name: text.replace(_PAGE_MARK, "") for name, text in run.texts.items()}
    return run


def _report(runs: dict[str, list[Measured]], truths: dict[Path, str], pages: int, workers: int) -> None:
    repetitions = len(runs[BARE])
    print(f"\n{pages} pages, {workers} workers, {repetitions} interleaved repetitions, medians\n")
    print(f"{'':38} {'pages/s':>8} {'CPU s/page':>11} {'peak MB':>8} {'times bare (min-max)':>22}")
    for name, measured in runs.items():
        _speed(name, [one.seconds for one in measured], measured, runs[BARE], pages)
        warm = [one.warm_seconds for one in measured if isinstance(one, PipelineMeasured)]
        if warm:
            _speed("pipeline, first claim to last record", warm, measured, runs[BARE], pages)
    rates = {name: _error_rates(measured[-1], truths) for name, measured in runs.items()}
    qualities = {name: _quality(measured[-1], truths) for name, measured in runs.items()} if truths else {}
    if qualities:
        _print_quality(qualities, rates)
    speeds = {
        name: [{**asdict(one), "texts": None, "attempts": None} for one in measured] for name, measured in runs.items()
    }
    write_results("pipeline", {"runs": speeds, "quality": qualities, "error_rates": rates})


def _speed(name: str, seconds: list[float], measured: list[Measured], bare: list[Measured], pages: int) -> None:
    ratios = [one.seconds / own for one, own in zip(bare, seconds, strict=True)]
    cpu = statistics.median(one.cpu_seconds / pages for one in measured)
    peak = max(one.peak_bytes for one in measured) / 1_000_000
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    print(f"{name:38} {pages / statistics.median(seconds):8.2f} {cpu:11.2f} {peak:8.0f} {spread:>22}")


def _error_rates(measured: Measured, truths: dict[Path, str]) -> dict[str, float]:
    return {path.stem: character_error_rate(truth, measured.texts.get(path.stem, "")) for path, truth in truths.items()}


def _quality(measured: Measured, truths: dict[Path, str]) -> Quality:
    rates = list(_error_rates(measured, truths).values())
    read = [(truth, measured.texts.get(path.stem, "")) for path, truth in truths.items()]
    return Quality(
        statistics.mean(rates),
        statistics.median(rates),
        statistics.mean(character_error_rate(truth, without_library_footer(text)) for truth, text in read),
        statistics.mean(word_f1(truth, text) for truth, text in read),
    )


def _print_quality(qualities: dict[str, Quality], rates: dict[str, dict[str, float]]) -> None:
    print(
        f"\n{'':38} {'mean CER':>9} {'median':>8} {'word F1':>8} {'times bare':>11} {'CER without footer':>19} {'':>11}"
    )
    bare = qualities[BARE]
    for name, one in qualities.items():
        print(
            f"{name:38} {one.mean_error_rate:9.4f} {one.median_error_rate:8.4f} {one.word_f1:8.3f} "
            f"{one.mean_error_rate / bare.mean_error_rate:11.2f} {one.without_footer:19.4f} "
            f"{one.without_footer / bare.without_footer:11.2f}"
        )
    losses = sorted(((rates[PIPELINE][page] - rate, page) for page, rate in rates[BARE].items()), reverse=True)
    worse = [f"{page} {loss:+.3f}" for loss, page in losses if loss > MUCH_WORSE]
    print(f"\nlargest loss of a page against the bare program: {losses[0][1]} {losses[0][0]:+.3f}")
    print(f"worse by more than {MUCH_WORSE}: {', '.join(worse) or 'none'}")


if __name__ == "__main__":
    main()
