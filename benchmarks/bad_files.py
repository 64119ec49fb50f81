"""Reads every bad file of the corpus and compares the outcome with the one in its manifest.

Each file is read by a separate reader, in two workers under the default limits, by the engine that OCR_ENGINE=auto selects
here unless `--engine` names another; peak memory is the largest resident set of any worker of that reader. The corpus is
expected in ../shared/corpus. Compared are the outcome, the kind of failure, emptiness, pages and the required words;
seconds and memory are printed. Exits with 1 if an outcome differs.

usage: python -m benchmarks.bad_files [--corpus FOLDER] [--languages fra+eng] [--engine tesserocr] [--only PART-OF-NAME]
"""

import argparse
import csv
import re
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.paths import CORPUS, write_results
from notaflow_pipeline.ocr.document import DocumentText
from notaflow_pipeline.ocr.engines.interface import WordEngine
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool

TIMEOUT_SECONDS = 600.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Result:
    """The outcome of one file; `peak_bytes` is of one worker."""

    name: str
    expected: str
    got: str
    seconds: float
    peak_bytes: int
    agrees: bool


def main() -> None:
    """Reads every file, prints the table, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--languages", default="fra+eng")
    parser.add_argument("--engine", type=EngineName, default=EngineName.AUTO, choices=list(EngineName))
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    manifest = arguments.corpus / "MANIFEST.tsv"
    if not manifest.is_file():
        parser.error(f"no corpus in {arguments.corpus}: say where it is with --corpus")
    with manifest.open(newline="") as file:
        rows = [
            row for row in csv.reader(file, delimiter="\t") if row[0].startswith("bad/") and arguments.only in row[0]
        ]
    print(f"{'file':52} {'expected':44} {'got':40} {'s':>6} {'MB':>5}")
    results = []
    for path, *_, expected in sorted(rows):
        result = _read(arguments.corpus / path, expected, select_engine(arguments.engine, arguments.languages))
        results.append(result)
        mark = "" if result.agrees else "  <-- differs"
        print(
            f"{result.name[-52:]:52} {expected[:44]:44} {result.got[:40]:40} {result.seconds:6.1f}"
            f" {result.peak_bytes / 1e6:5.0f}{mark}",
            flush=True,
        )
    different = [result.name for result in results if not result.agrees]
    print(
        f"\n{len(results)} files, {len(different)} otherwise than expected{': ' if different else ''}{', '.join(different)};"
        f" {sum(result.seconds for result in results):.0f} s, slowest {max(result.seconds for result in results):.1f} s,"
        f" largest worker {max(result.peak_bytes for result in results) / 1e6:.0f} MB"
    )
    write_results("bad_files", results)
    sys.exit(bool(different))


def _read(path: Path, expected: str, engine: WordEngine) -> Result:
    limits = Limits()
    began = time.monotonic()
    with DocumentPool(engine, workers=2, limits=limits) as reader:
        memory = _Memory()
        future = reader.start(path)
        error = future.exception(timeout=TIMEOUT_SECONDS)
        seconds = time.monotonic() - began
        peak_bytes = memory.stop()
    if error is not None and not isinstance(error, DocumentFailure):
        return Result(path.name, expected, f"{type(error).__name__}: {error}", seconds, peak_bytes, agrees=False)
    got = f"failed:{error.kind}" if error else _described(future)
    agrees = _agrees(expected, error, None if error else future.result())
    return Result(path.name, expected, got, seconds, peak_bytes, agrees)


def _described(future: Future[DocumentText]) -> str:
    document = future.result()
    parts = [
        f"{len(document.pages)} pages" if len(document.pages) > 1 else "1 page",
        f"{document.characters} characters",
    ]
    counts = {
        "blank": document.pages_blank,
        "from text layer": document.pages_text_layer,
        "damaged": document.pages_damaged,
        "failed": document.pages_failed,
    }
    parts += [f"{count} {name}" for name, count in counts.items() if count]
    return "ok: " + ", ".join(parts)


def _agrees(expected: str, error: DocumentFailure | None, document: DocumentText | None) -> bool:
    """Returns whether an outcome is one of those in a manifest's cell, as far as its words can be compared."""
    if error is not None:
        kinds = re.findall(r"failed:(\w+)", expected)
        return error.kind in kinds if kinds else "failed" in expected
    if document is None or not re.search(r"\bok\b", expected):
        return False
    wanted = re.search(r'contains "?([\w ]+?)"?(?: 4x)?$', expected)
    times = 4 if expected.endswith("4x") else 1
    if wanted and _letters(document.text).count(_letters(wanted[1])) < times:
        return False
    pages = re.search(r"ok:(\d+) pages", expected)
    if pages and len(document.pages) != int(pages[1]):
        return False
    only_empty = "ok:empty" in expected and "ok:text" not in expected
    return not document.text if only_empty else bool(document.text) or "ok:text" not in expected


def _letters(text: str) -> str:
    return "".join(text.split()).lower()


class _Memory:
    """Measures the memory of the workers of this process, in a separate thread."""

    def __init__(self) -> None:
        self._peak_bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Returns the largest measured resident set of a worker."""
        self._sample()
        self._stopped.set()
        self._thread.join()
        return self._peak_bytes

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self._sample()

    def _sample(self) -> None:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error, OSError, ValueError, IndexError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                self._peak_bytes = max(self._peak_bytes, int(status.split("VmHWM:")[1].split()[0]) * 1024)


if __name__ == "__main__":
    main()
