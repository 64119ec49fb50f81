"""Measures the peak memory of a worker over documents of 2, 50 and 500 pages, which should not depend on the length.

Each document is a PDF of scanned A4 pages at 300 dpi, every page a separate JPEG, read by one worker of a new reader. It
uses the null engine, because the length of a document can affect the memory of the reader but not Tesseract's;
`--tesseract` uses Tesseract, which takes minutes.

usage: python -m benchmarks.memory [--pages 2 50 500] [--tesseract]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from PIL import Image

from benchmarks.paths import write_results
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool

if TYPE_CHECKING:
    from notaflow_pipeline.ocr.engines.interface import Engine

A4_AT_300_DPI = (2480, 3508)


def main() -> None:
    """Reads each document, prints the table, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, nargs="+", default=[2, 50, 500])
    parser.add_argument("--tesseract", action="store_true")
    arguments = parser.parse_args()
    engine: Engine = TesseractEngine() if arguments.tesseract else NullEngine()
    print(f"{'pages':>6} {'file MB':>8} {'worker MB':>10} {'reader MB':>10} {'ms/page':>8}")
    results = []
    for pages in arguments.pages:
        with tempfile.TemporaryDirectory(prefix="notaflow-bench-") as folder:
            path = _scanned_pdf(Path(folder) / "scan.pdf", pages)
            began = time.monotonic()
            with DocumentPool(engine, workers=1) as reader:
                before = psutil.Process().memory_info().rss
                document = reader.start(path).result()
                worker_bytes = max(_peak_bytes(child.pid) for child in psutil.Process().children(recursive=True))
                grown = psutil.Process().memory_info().rss - before
            if document.pages_failed:
                sys.exit(f"the run is invalid: {document.pages_failed} pages were not read")
            row = {
                "pages": pages,
                "file_bytes": path.stat().st_size,
                "worker_bytes": worker_bytes,
                "reader_grown_bytes": grown,
                "seconds": time.monotonic() - began,
            }
        results.append(row)
        print(
            f"{pages:6} {row['file_bytes'] / 1e6:8.1f} {worker_bytes / 1e6:10.0f} {grown / 1e6:+10.1f}"
            f" {1000 * row['seconds'] / pages:8.0f}",
            flush=True,
        )
    write_results("memory", results)


def _scanned_pdf(path: Path, pages: int) -> Path:
    noise = Image.effect_noise((A4_AT_300_DPI[0] // 8, A4_AT_300_DPI[1] // 8), 40).resize(A4_AT_300_DPI)
    noise.save(path, format="PDF", resolution=300, save_all=True, append_images=[noise] * (pages - 1))
    return path


def _peak_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
