"""CPU time and memory of Tesseract's network on ONNX Runtime, by model and arithmetic.

Each model is loaded and run in a process of its own, with floats and with 8 bits, on the words of a drawn page and on a
few long lines. Given are milliseconds of the process's CPU time, and megabytes of resident memory:

    import     of onnxruntime and numpy
    load       a model: reading, converting and starting a session (convert: the conversion alone)
    word, page a word of the page, and all of its words, one after another, the best of several rounds
    ready, 1, N the process when the model is loaded, after one round of the page, and after all rounds

usage: python -m benchmarks.onnx_network [--rounds 10] [--models fra eng fra-typescript-1]
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.paths import PROJECT, write_results

WORDS = 350
"""The words of a full page of an act at 36 pixels per line; the widths are drawn from those of French words."""
PIXELS_OF_LETTER = 15
LONG_LINE_PIXELS = 2400
COLUMNS = ("import", "convert", "load", "word", "page", "ready", "1", "N")


def main() -> None:
    """Runs each model with each arithmetic and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--models", nargs="+", default=["fra", "eng", "fra-typescript-1"])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(*arguments.one, arguments.rounds)))
        return
    results = {}
    print(f"{'model':28}" + "".join(f"{name:>9}" for name in COLUMNS))
    for model in arguments.models:
        for arithmetic in ("float", "8 bits"):
            command = [sys.executable, "-m", "benchmarks.onnx_network", "--rounds", str(arguments.rounds), "--one"]
            run = subprocess.run([*command, model, arithmetic], check=True, capture_output=True, text=True, cwd=PROJECT)
            figures = json.loads(run.stdout)
            results[f"{model}, {arithmetic}"] = figures
            print(f"{model + ', ' + arithmetic:28}" + "".join(f"{figures[name]:9.2f}" for name in COLUMNS))
    write_results("onnx_network", results)


def measured(name: str, arithmetic_name: str, rounds: int) -> dict[str, float]:
    """Returns the figures of one model, in this process."""
    figures = {}
    start = time.process_time()
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as in `model/runtime.py`
    import numpy as np
    import onnxruntime  # noqa: F401 - only the time of the import is measured

    figures["import"] = milliseconds_since(start)
    from notaflow_pipeline.ocr.engines.model_files import SUFFIX, models_of
    from notaflow_pipeline.ocr.engines.onnx.model.conversion import Arithmetic, to_onnx
    from notaflow_pipeline.ocr.engines.onnx.model.network import LINE_HEIGHT, read_network
    from notaflow_pipeline.ocr.engines.onnx.model.session import load_file
    from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, read_traineddata

    arithmetic = Arithmetic(arithmetic_name)
    models = models_of(name)
    path = (models.folder or Path()) / f"{models.names}{SUFFIX}"
    start = time.process_time()
    to_onnx(read_network(read_traineddata(path).component(Component.LSTM), name), arithmetic)
    figures["convert"] = milliseconds_since(start)
    start = time.process_time()
    model = load_file(path, arithmetic)
    figures["load"] = milliseconds_since(start)
    figures["ready"] = resident_megabytes()

    rng = random.Random(1)
    widths = [PIXELS_OF_LETTER * rng.choice([2, 2, 3, 4, 5, 6, 7, 8, 9, 12]) for _ in range(WORDS)]
    noise = np.random.default_rng(1)
    words = [np.clip(noise.normal(0, 0.7, (LINE_HEIGHT, width)), -1, 1).astype(np.float32) for width in widths]
    long_line = np.ones((LINE_HEIGHT, LONG_LINE_PIXELS), np.float32)
    taken = []
    for number in range(rounds):
        start = time.process_time()
        for word in words:
            model.probabilities(word)
        taken.append(milliseconds_since(start))
        model.probabilities(long_line)
        if number == 0:
            figures["1"] = resident_megabytes()
    return figures | {"page": min(taken), "word": min(taken) / WORDS, "N": resident_megabytes()}


def milliseconds_since(start: float) -> float:
    """Returns milliseconds of CPU time."""
    return 1000 * (time.process_time() - start)


def resident_megabytes() -> float:
    """Returns the resident memory of this process."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


if __name__ == "__main__":
    main()
