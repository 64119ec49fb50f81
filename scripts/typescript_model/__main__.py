"""Trains Debian's fast French model further on drawn typescript, in these steps.

The lines are drawn, Tesseract makes training samples of them, the weights become floating-point numbers, `lstmtraining`
goes on from them, and the result becomes integers again, as fast and as small as before. README.md beside this file says
what must be installed.

usage: python -m scripts.typescript_model [--fonts FOLDER] [--texts FOLDER …] [--lines N] [--iterations N] [--folder FOLDER]
                                       [--seed N] [--sheet FILE]
"""

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.typescript_model.drawing import Drawing, fonts_of, sheet_of
from scripts.typescript_model.float_weights import with_float_weights
from scripts.typescript_model.wording import Wording, paragraphs_of

SYSTEM_FONTS = Path("/usr/share/fonts")
TEXTS = (Path("/usr/share/doc/debian-handbook"), Path("/usr/share/debian-reference"))
WORDS = Path("/usr/share/dict/french")
PROGRAMS = ("combine_tessdata", "lstmtraining", "tesseract")
LINES_A_FILE = 60
"""`tesseract … lstm.train` writes its whole file again after each page."""

MIN_LETTERS = 2
ONE_THREAD = {**os.environ, "OMP_THREAD_LIMIT": "1"}


def main() -> None:
    """Make the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fonts", type=Path, default=Path("fonts"), help="fonts that are not among the system's")
    parser.add_argument("--texts", type=Path, nargs="*", default=TEXTS, help="folders of French HTML pages")
    parser.add_argument("--model", type=Path, default=Path("/usr/share/tesseract-ocr/5/tessdata/fra.traineddata"))
    parser.add_argument("--lines", type=int, default=9_000)
    parser.add_argument("--iterations", type=int, default=6_500)
    parser.add_argument("--folder", type=Path, default=Path("training"), help="where everything is written")
    parser.add_argument("--seed", type=int, default=20261126, help="another one draws other lines")
    parser.add_argument("--sheet", type=Path, help="only draw some lines, into this picture")
    given = parser.parse_args()
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or not given.model.is_file():
        sys.exit(f"{', '.join(missing) or given.model} is missing: README.md beside this file names the packages")
    given.folder.mkdir(parents=True, exist_ok=True)
    model = _unpacked(given.model, given.folder)
    fonts = fonts_of([given.fonts, SYSTEM_FONTS])
    paragraphs = paragraphs_of(given.texts)
    if not fonts or not paragraphs or not WORDS.is_file():
        sys.exit("fonts or French texts are missing: README.md beside this file names the packages")
    print(f"{len(fonts)} fonts, {len(paragraphs)} paragraphs", flush=True)
    words = [word for word in WORDS.read_text(encoding="utf-8").split() if word.isalpha()]
    draw = partial(_draw, given.seed, fonts, paragraphs, words, _characters(model))
    if given.sheet:
        sheet_of(image for image, _ in draw(0)).save(given.sheet)
        return
    files = -(-given.lines // LINES_A_FILE)
    with ProcessPoolExecutor() as pool:
        samples = list(pool.map(partial(_write_samples, given.folder, draw), range(files)))
    _train(given.folder, model, samples, given.iterations)


def _unpacked(model: Path, folder: Path) -> Path:
    """Copy the model, extract its components beside the copy, and return the copy."""
    copy = folder / "fra.traineddata"
    copy.write_bytes(model.read_bytes())
    _run("combine_tessdata", "-u", str(copy), str(folder / "fra."))
    return copy


def _characters(model: Path) -> set[str]:
    entries = model.with_suffix(".lstm-unicharset").read_text(encoding="utf-8").splitlines()[1:]
    return {entry.partition(" ")[0] for entry in entries} | {" "}


def _draw(seed, fonts, paragraphs, words, known, number):
    """Yield images of lines with their text, different ones for each number."""
    rng = np.random.default_rng([seed, number])
    wording, drawing = Wording(rng, paragraphs, words, known), Drawing(rng, fonts)
    while True:
        text = wording.line()
        if len(text) >= MIN_LETTERS and (image := drawing.line(text)) is not None:
            yield image, text


def _write_samples(folder: Path, draw, number: int) -> Path:
    """Draw a file of lines and let Tesseract make its training samples of it; return their path."""
    lines = [line for line, _ in zip(draw(number), range(LINES_A_FILE), strict=False)]
    name = folder / f"lines-{number:04d}"
    images: list[Image.Image] = [image for image, _ in lines]
    images[0].save(name.with_suffix(".tif"), save_all=True, append_images=images[1:], compression="tiff_lzw")
    boxes = "".join(_boxes(page, image, text) for page, (image, text) in enumerate(lines))
    name.with_suffix(".box").write_text(boxes, encoding="utf-8")
    _run("tesseract", f"{name}.tif", str(name), "--psm", "13", "-l", "fra", "lstm.train")
    name.with_suffix(".tif").unlink()
    return name.with_suffix(".lstmf")


def _boxes(page: int, image: Image.Image, text: str) -> str:
    """A line and its end, as Tesseract's box files say it."""
    width, height = image.size
    return f"WordStr 0 0 {width} {height} {page} #{text}\n\t {width} 0 {width + 1} {height} {page}\n"


def _train(folder: Path, model: Path, samples: list[Path], iterations: int) -> None:
    network, listed, checkpoint = folder / "fra.float.lstm", folder / "samples", folder / "typescript"
    network.write_bytes(with_float_weights((folder / "fra.lstm").read_bytes()))
    listed.write_text("\n".join(str(sample.resolve()) for sample in samples), encoding="utf-8")
    files = ("--traineddata", model, "--continue_from", network, "--train_listfile", listed)
    with (folder / "training.log").open("w") as log:
        subprocess.run(
            ["lstmtraining", *map(str, files), "--model_output", str(checkpoint), "--max_iterations", str(iterations)],
            check=True,
            stdout=log,
            stderr=log,
            env=ONE_THREAD,
        )
    finished = folder / "finished.traineddata"
    files = ("--traineddata", model, "--continue_from", f"{checkpoint}_checkpoint", "--model_output", finished)
    _run("lstmtraining", "--stop_training", "--convert_to_int", *map(str, files))
    print(f"written to {finished}; {folder / 'training.log'} says how the error rate fell")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env=ONE_THREAD)


if __name__ == "__main__":
    main()
