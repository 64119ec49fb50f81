"""Memory and start of a process that reads hundreds of pages, with tesserocr and with ONNX Runtime.

Each engine reads the `pages` and `layouts` of the corpus through the whole policy, again and again, in a process of its
own. Given are CPU seconds until the engine is ready, CPU seconds a page, and megabytes of resident memory: when the engine
is ready, after the first page, after each of a few numbers of pages, and at most.

usage: python -m benchmarks.engine_memory [--pages 300] [--engines tesserocr onnx]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

from benchmarks.paths import CORPUS, PROJECT, write_results

LANGUAGES = "fra+eng"
TIMEOUT_SECONDS = 600.0
PARTS = 6
"""The number of times that memory is measured."""


def main() -> None:
    """Runs each engine and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--engines", nargs="+", default=["tesserocr", "onnx"])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_measured(arguments.one, arguments.corpus, arguments.pages)))
        return
    results = {}
    for engine in arguments.engines:
        command = [sys.executable, "-m", "benchmarks.engine_memory", "--one", engine, "--corpus", str(arguments.corpus)]
        command += ["--pages", str(arguments.pages)]
        run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT)
        results[engine] = json.loads(run.stdout)
        print(engine + "".join(f"\n  {name:24}{figure:10.2f}" for name, figure in results[engine].items()), flush=True)
    write_results("engine_memory", results)


def _measured(name: str, corpus: Path, count: int) -> dict[str, float]:
    from notaflow_pipeline.ocr.workers.resource_limits import FIXED_VARIABLES

    os.environ.update(FIXED_VARIABLES)  # as in a worker process
    from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
    from notaflow_pipeline.ocr.input.file_format import DocumentFormat
    from notaflow_pipeline.ocr.input.page_loading import page_dpi, render_page
    from notaflow_pipeline.ocr.recognition.page import read_page

    began = time.process_time()
    engine = select_engine(EngineName(name), LANGUAGES)
    engine.check()
    figures = {"CPU s until ready": time.process_time() - began, "MB when ready": _resident_megabytes()}
    files = [one for group in ("pages", "layouts") for one in sorted((corpus / group).glob("*.jpg"))]
    if not files:
        sys.exit(f"no page images in {corpus}")
    began = time.process_time()
    for number, file in enumerate(islice(cycle(files), count), start=1):
        image = render_page(file, DocumentFormat.JPEG, 1)
        read_page(image, page_dpi(image), engine, TIMEOUT_SECONDS)
        if number == 1 or number % max(1, count // PARTS) == 0:
            figures[f"MB after {number} pages"] = _resident_megabytes()
    figures["CPU s a page"] = (time.process_time() - began) / count
    figures["MB at most"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return figures


def _resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1_000_000


if __name__ == "__main__":
    main()
