"""Tests that a legitimate scan of 100 pages, 600 dpi and A3 double pages is read with every limit at its default.

Each page is an open book as a scanner takes it: two facing pages, in turn of a printed index, of one in serifs, of a
typed deed and of an index typed into a form, with the shadow of the fold, the grain of the paper and its browned
patches, all invented as `scripts/samples` invents them. `--different` of them are drawn, and the PDF repeats
them, each time in a copy. `notaflow enqueue` puts it into an empty queue on an embedded PostgreSQL, and
`notaflow work --until-empty` reads it with all cores. Printed are, for each variant:

- its outcome, how many pages were read, which share of the drawn numbers, dates and amounts was found to the last
  character, seconds by the clock, CPU seconds a page, and the megabytes of the file;
- how near it came to each limit, and the most memory that the parent held. A worker's memory is counted twice: what it
  may write to, as the limit counts it (looked at ten times a second), and what it held, by the kernel's high-water mark.

Seconds by the clock, and so the limits of a page and of a document, depend on other programs on the machine: its load
before and after, and the CPU seconds of others, are printed too.

The variants: `grey` and `colour` (JPEG), `one-bit` (CCITT group 4), each with 70 million pixels a page; and `a2`, grey,
two A3 pages side by side, 139 million. The fonts are Liberation and Courier Prime, see `scripts/samples`.

usage: python -m benchmarks.large_scan [--pages N] [--different N] [--variants grey colour one-bit a2] [--keep FOLDER]
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import psutil
from PIL import Image, ImageOps

from benchmarks.compared_programs import SAMPLE_SECONDS
from benchmarks.paths import write_results
from benchmarks.pipeline_run import PipelineMeasured, run_pipeline
from benchmarks.scoring import cells_found
from notaflow_pipeline.ocr.limits import Limits
from scripts.samples.deeds import SALE, typed_lines, typed_pages
from scripts.samples.files import one_bit
from scripts.samples.marks import Mark, Size, Text, shifted
from scripts.samples.registry import amount, entries, person, spaced
from scripts.samples.scanning import SEED, faded, grained, gutter, on_paper
from scripts.samples.tables import PRINTED, TYPED_TABLE, Table, fields_of, table_page

DPI = 600
A4: Size = (595.28, 841.89)
A3: Size = (841.89, 1190.55)
HEAD_AND_FOOT_POINTS = 205
JPEG_QUALITY = 85
PAPER, INK = (250, 243, 226), (26, 20, 24)
NUMBER = re.compile(r"\d{4}-\d\d-\d\d|\d{1,3}(?: \d{3})+(?:,\d\d \$)?|\d+(?:,\d\d \$)?")
"""A date, an inscription number, an amount, or any other number."""

PAGE_MARK = re.compile(r"^--- Page (\d+) ---$", re.MULTILINE)

PageRecord = dict[str, float | str | None]

Sheet = Callable[[np.random.Generator, int, Size], list[Mark]]


@dataclass(frozen=True)
class Variant:
    """The storage format of the pages, and the size of one of the two that lie side by side."""

    stored: Callable[[Image.Image], Image.Image]
    half: Size = A4


@dataclass(frozen=True)
class OpenBook:
    """A scanned page, and its numbers."""

    image: Image.Image
    cells: Counter[str]


@dataclass
class Memory:
    """Measures the processes of `notaflow work` within a block: peak bytes of the parent and of any worker."""

    parent_bytes: int = 0
    worker_held_bytes: int = 0
    worker_writable_bytes: int = 0
    _over: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            with suppress(psutil.Error, OSError, IndexError):
                for work in psutil.Process().children():
                    if "--until-empty" in work.cmdline():
                        self._sample(work)

    def _sample(self, work: psutil.Process) -> None:
        self.parent_bytes = max(self.parent_bytes, _held_bytes(work.pid))
        for worker in work.children():
            with suppress(psutil.Error, OSError, IndexError):
                self.worker_held_bytes = max(self.worker_held_bytes, _held_bytes(worker.pid))
                self.worker_writable_bytes = max(self.worker_writable_bytes, _writable_bytes(worker.pid))


@dataclass(frozen=True)
class Margin:
    """A limit, and its used part; None if that is unknown."""

    limit: str
    allowed: float
    used: float | None

    @property
    def share(self) -> float | None:
        """Of the limit, 1 is all of it."""
        return None if self.used is None else self.used / self.allowed


@dataclass(frozen=True)
class Result:
    """The outcome of one variant."""

    variant: str
    pages: int
    outcome: str
    attempts: int
    pages_read: int
    cells: float
    seconds: float
    warm_seconds: float
    cpu_seconds_a_page: float
    others_cpu_seconds: float
    file_bytes: int
    parent_bytes: int
    worker_held_bytes: int
    load_before: float
    load_after: float
    margins: list[Margin]


def main() -> None:
    """Draws, reads, prints the tables, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--different", type=int, default=8, help="how many of the pages are drawn")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["grey"])
    parser.add_argument("--keep", type=Path, help="a folder for the PDFs and what was read")
    arguments = parser.parse_args()
    results = []
    for name in arguments.variants:
        with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder:
            results.append(_result(name, arguments.pages, arguments.different, Path(folder), arguments.keep))
        _print(results[-1])
    write_results("large_scan", results)


def _result(name: str, pages: int, different: int, folder: Path, keep: Path | None) -> Result:
    file, records, memory = folder / f"{name}.pdf", folder / "pages.json", Memory()
    cells, pixels = _scanned(VARIANTS[name], pages, min(pages, different), file)
    load_before = os.getloadavg()[0]
    print(f"{name}: {file.stat().st_size / 1e6:.0f} MB in {pages} pages, load {load_before:.1f}", flush=True)
    notaflow = (sys.executable, "-m", "benchmarks.page_times", str(records))
    run = run_pipeline([file], folder / "home", {}, notaflow=notaflow, watching=memory)
    text = run.texts[file.stem]
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, keep)
        (keep / f"{name}.txt").write_text(text, encoding="utf-8")
    read, page_records = _pages_of(text), _page_records(records)
    return Result(
        name,
        pages,
        _outcome(run),
        len(run.attempts),
        sum(page["failed"] is None for page in page_records),
        sum(cells_found(drawn, read.get(number, "")) for number, drawn in enumerate(cells, 1))
        / sum(drawn.total() for drawn in cells),
        run.seconds,
        run.warm_seconds,
        run.cpu_seconds / pages,
        run.machine_cpu_seconds - run.cpu_seconds - run.server_cpu_seconds,
        file.stat().st_size,
        memory.parent_bytes,
        memory.worker_held_bytes,
        load_before,
        os.getloadavg()[0],
        list(_margins(file, pages, pixels, page_records, memory)),
    )


def _page_records(records: Path) -> list[PageRecord]:
    """Returns the record of `page_times` of the last attempt; nothing if the attempt failed."""
    documents = records.read_text(encoding="utf-8").splitlines() if records.exists() else []
    found: list[PageRecord] = json.loads(documents[-1]) if documents else []
    return found


def _margins(file: Path, pages: int, pixels: int, page_records: list[PageRecord], memory: Memory) -> Iterator[Margin]:
    limits = Limits()
    seconds = [float(page["seconds"] or 0) for page in page_records]
    yield Margin("file MB", limits.file_bytes / 1e6, file.stat().st_size / 1e6)
    yield Margin("pages", limits.pages, pages)
    yield Margin("million pixels a page", limits.page_pixels / 1e6, pixels / 1e6)
    yield Margin("seconds, longest page", limits.page_seconds, max(seconds, default=None))
    yield Margin("seconds, sum of pages", limits.document_seconds, sum(seconds) if seconds else None)
    yield Margin("worker MB, writable", limits.worker_bytes / 1e6, memory.worker_writable_bytes / 1e6)


def _outcome(run: PipelineMeasured) -> str:
    """Returns the outcome of the last attempt; its message holds no text of the document."""
    if not run.attempts:
        return "never claimed"
    last = run.attempts[-1]
    return str(last["outcome"] if last["error"] is None else f"{last['failure_kind']}: {last['error']}")


def _pages_of(text: str) -> dict[int, str]:
    _, *parts = PAGE_MARK.split(text)
    return {int(number): words.strip() for number, words in zip(parts[::2], parts[1::2], strict=True)}


def _print(result: Result) -> None:
    print(f"\n{'':10} {'pages':>6} {'read':>6} {'cells':>7} {'seconds':>8} {'CPU s/page':>11} {'file MB':>8}  outcome")
    print(
        f"{result.variant:10} {result.pages:6} {result.pages_read:6} {result.cells:7.4f} {result.seconds:8.0f}"
        f" {result.cpu_seconds_a_page:11.2f} {result.file_bytes / 1e6:8.0f}  {result.outcome}"
        f" (attempts: {result.attempts})"
    )
    print(f"\n{'':24} {'limit':>8} {'used':>8} {'share':>6}")
    for margin in result.margins:
        used = "?" if margin.used is None else f"{margin.used:.1f}"
        share = "?" if margin.share is None else f"{margin.share:.2f}"
        print(f"{margin.limit:24} {margin.allowed:8.0f} {used:>8} {share:>6}")
    print(f"{'worker MB, held':24} {'':8} {result.worker_held_bytes / 1e6:8.1f}")
    print(f"{'parent MB, held':24} {'':8} {result.parent_bytes / 1e6:8.1f}")
    print(
        f"load {result.load_before:.1f} before and {result.load_after:.1f} after;"
        f" others took {result.others_cpu_seconds:.0f} CPU seconds meanwhile\n",
        flush=True,
    )


def _held_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def _writable_bytes(pid: int) -> int:
    """Private and writable, as `RLIMIT_DATA` counts; see `confinement.is_nearly_out_of_memory`."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")


# --- The scan ------------------------------------------------------------------------------------------------------------


def _scanned(variant: Variant, pages: int, different: int, target: Path) -> tuple[list[Counter[str]], int]:
    """Writes the PDF; returns the numbers on each of its pages, and the pixels of one."""
    books = [_open_book(variant, number) for number in range(different)]
    first, *rest = (book.image for book in islice(cycle(books), pages))
    quality = {} if first.mode == "1" else {"quality": JPEG_QUALITY}
    first.save(target, "PDF", resolution=DPI, save_all=True, append_images=rest, **quality)
    return [book.cells for book in islice(cycle(books), pages)], first.width * first.height


def _open_book(variant: Variant, number: int) -> OpenBook:
    """Returns two facing pages, scanned; the same in every run."""
    rng = np.random.default_rng([SEED, number])
    half = variant.half
    left, right = (SHEETS[number % len(SHEETS)](rng, 2 * number + side, half) for side in (0, 1))
    marks = [*left, *shifted(right, half[0])]
    image = on_paper(marks, (2 * half[0], half[1]), DPI, rng)
    for defect in (gutter, grained(4, 1.4), faded(20, 232)):
        image = defect(image, rng)
    said = (found for mark in marks if isinstance(mark, Text) for found in NUMBER.findall(mark.text))
    return OpenBook(variant.stored(image), Counter(said))


def _index(style: Table, since: date, first_number: int) -> Sheet:
    """Returns the drawing of a full page of an index."""

    def draw(rng: np.random.Generator, number: int, size: Size) -> list[Mark]:
        lines = int((size[1] - HEAD_AND_FOOT_POINTS) / style.row_height)
        rows = entries(rng, lines, since, first_number + 1_000 * number)
        fields = fields_of("Montréal", "Cadastre du Québec", spaced(3_770_292 + number))
        return table_page(replace(style, page=size), fields, rows, f"Page {number + 1}")

    return draw


def _deed(rng: np.random.Generator, number: int, size: Size) -> list[Mark]:
    """Returns a page of a typed deed, without signatures, which would need another font."""
    words = {who: person(rng) for who in ("notary", "seller", "buyer")}
    words |= {"town": "Val-Brumeux", "district": "Québec", "of_district": "de Québec", "cadastre": "Cadastre du Québec"}
    words |= {"lot": spaced(3_145_926 + number), "price": amount(rng, 2004)}
    lines = [line for line in typed_lines(SALE, words, 60) if not line.startswith("~")]
    sheets = typed_pages(lines, page=size)
    return sheets[number % 2]  # the first two; the last has only a page number


def _coloured(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(image, INK, PAPER)


def _as_it_is(image: Image.Image) -> Image.Image:
    return image


SHEETS: tuple[Sheet, ...] = (
    _index(PRINTED, date(2001, 11, 12), 10_118_204),
    _deed,
    _index(replace(PRINTED, hand="serif", hand_size=8.6, heading="serif-bold"), date(1988, 3, 2), 402_117),
    _index(TYPED_TABLE, date(1961, 2, 7), 14_208),
)

VARIANTS = {
    "grey": Variant(_as_it_is),
    "colour": Variant(_coloured),
    "one-bit": Variant(one_bit),
    "a2": Variant(_as_it_is, A3),
}


if __name__ == "__main__":
    main()
