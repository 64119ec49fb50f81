"""Pages a second through the whole pipeline, beside the bare `tesseract` program on the same page images.

Both read every image of a folder with `fra+eng` on all cores, one thread a page, in turn, several times. The pipeline is
`notaflow work --until-empty` in a process of its own, on an embedded PostgreSQL that runs already; the bare program is
`tesseract FILE OUTPUT` under `xargs -P cores`. By default the pages are those of ../shared/corpus/pages, where they are,
otherwise the project's own samples.

usage: python benchmarks/pipeline.py [--pages FOLDER] [--repetitions N] [--workers N]
"""

import sys

# from this file's folder, `import queue` anywhere in the standard library would find this project's benchmark of that name
sys.path.pop(0)
sys.path.insert(0, __file__.rpartition("/benchmarks/")[0])

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from notaflow_pipeline.embedded import embedded_database

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
LANGUAGES = "fra+eng"

_SPAN = """
SELECT count(*), sum(pages),
       EXTRACT(EPOCH FROM max(finished_at) - min(claimed_at))::double precision,
       sum(fetch_seconds), sum(ocr_seconds)
FROM ocr_attempt
WHERE outcome = 'succeeded'
"""


@dataclass(frozen=True)
class Measured:
    """One run over all pages; seconds by the clock, and CPU seconds of every process that took part."""

    pages: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class PipelineMeasured(Measured):
    """A run of the pipeline, with what the attempts recorded: from the first claim to the last outcome, and the parts."""

    warm_seconds: float
    fetch_seconds: float
    ocr_seconds: float


def main() -> None:
    """Measure, print the table, write the JSON."""
    arguments = _arguments()
    files = sorted(path for path in arguments.pages.iterdir() if path.suffix.lower() in IMAGES)
    if not files:
        sys.exit(f"no page images in {arguments.pages}")
    bare: list[Measured] = []
    ours: list[PipelineMeasured] = []
    with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder:
        for number in range(arguments.repetitions):
            bare.append(_bare(files, arguments.workers, Path(folder) / f"bare-{number}"))
            ours.append(_pipeline(files, arguments.workers, Path(folder) / f"home-{number}"))
            print(
                f"repetition {number + 1}: bare {bare[-1].seconds:.1f} s, pipeline {ours[-1].seconds:.1f} s", flush=True
            )
    _report(bare, ours, arguments.workers)


def _arguments() -> argparse.Namespace:
    corpus = PROJECT.parent / "shared" / "corpus" / "pages"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, default=corpus if corpus.is_dir() else None)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if arguments.pages is None:
        parser.error("../shared/corpus/pages is not here: name a folder of page images with --pages")
    return arguments


def _bare(files: list[Path], workers: int, output: Path) -> Measured:
    """Read every image with the bare program."""
    output.mkdir(parents=True)
    lines = "".join(f"{path}\0{output / path.stem}\0" for path in files)
    command = ["xargs", "-0", "-n", "2", "-P", str(workers), "sh", "-c"]
    command += [f'tesseract "$1" "$2" -l {LANGUAGES} 2>/dev/null', "sh"]
    began, cpu = time.monotonic(), _cpu_seconds()
    subprocess.run(command, input=lines, text=True, check=True, env={**os.environ, "OMP_THREAD_LIMIT": "1"})
    return Measured(len(files), time.monotonic() - began, _cpu_seconds() - cpu)


def _pipeline(files: list[Path], workers: int, home: Path) -> PipelineMeasured:
    """Enqueue every image, then read them all; only the reading is measured."""
    notaflow = [str(Path(sys.executable).with_name("notaflow"))]
    with embedded_database(home) as url:
        environment = {
            **os.environ,
            "NOTAFLOW_DATABASE_URL": url,
            "NOTAFLOW_HOME": str(home),
            "OCR_LANGUAGES": LANGUAGES,
            "OCR_WORKERS": str(workers),
        }
        for preparation in (["migrate"], ["enqueue", *map(str, files)]):
            subprocess.run(notaflow + preparation, env=environment, check=True, stdout=subprocess.DEVNULL)
        began, cpu = time.monotonic(), _cpu_seconds()
        subprocess.run([*notaflow, "work", "--until-empty", "--json"], env=environment, check=True)
        seconds, cpu = time.monotonic() - began, _cpu_seconds() - cpu
        with psycopg.connect(url) as connection:
            row = connection.execute(_SPAN).fetchone()
    shutil.rmtree(home, ignore_errors=True)
    if row is None or row[0] != len(files):
        sys.exit(f"the run is void: {row and row[0]} of {len(files)} documents were read")
    return PipelineMeasured(int(row[1]), seconds, cpu, float(row[2]), float(row[3]), float(row[4]))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _report(bare: list[Measured], ours: list[PipelineMeasured], workers: int) -> None:
    bare_rate = statistics.median(one.pages / one.seconds for one in bare)
    cold_rate = statistics.median(one.pages / one.seconds for one in ours)
    warm_rate = statistics.median(one.pages / one.warm_seconds for one in ours)
    cold_ratios = [a.seconds / b.seconds for a, b in zip(bare, ours, strict=True)]
    warm_ratios = [a.seconds / b.warm_seconds for a, b in zip(bare, ours, strict=True)]
    print(f"\n{ours[0].pages} pages, {workers} workers, {len(bare)} interleaved repetitions, medians\n")
    print(f"{'':36} {'pages/s':>8} {'CPU s/page':>11} {'ratio to bare (min-max)':>26}")
    print(f"{'bare tesseract, xargs -P':36} {bare_rate:8.2f} {_cpu_a_page(bare):11.2f} {1:11.2f}")
    for name, rate, ratios in (
        ("pipeline, cold start included", cold_rate, cold_ratios),
        ("pipeline, first claim to last record", warm_rate, warm_ratios),
    ):
        spread = f"{statistics.median(ratios):11.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"{name:36} {rate:8.2f} {_cpu_a_page(ours):11.2f} {spread}")
    print("\nwhere the pipeline's time goes, seconds (median run)")
    one = sorted(ours, key=lambda run: run.seconds)[len(ours) // 2]
    print(f"  start of the program and its workers {one.seconds - one.warm_seconds:8.2f}")
    print(f"  first claim to last record           {one.warm_seconds:8.2f}   of which, on {workers} workers:")
    print(f"    rendering and recognition          {one.ocr_seconds / workers:8.2f}")
    print(f"    everything else                    {one.warm_seconds - one.ocr_seconds / workers:8.2f}")
    print(f"  fetching, beside recognition         {one.fetch_seconds:8.2f}")
    results = PROJECT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    target = results / "pipeline.json"
    target.write_text(
        json.dumps({"bare": [asdict(run) for run in bare], "pipeline": [asdict(run) for run in ours]}, indent=2)
    )
    print(f"\nwritten to {target.relative_to(PROJECT)}")


def _cpu_a_page(runs: list[Measured] | list[PipelineMeasured]) -> float:
    return statistics.median(run.cpu_seconds / run.pages for run in runs)


if __name__ == "__main__":
    main()
