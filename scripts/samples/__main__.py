"""Draws the sample documents, with the same bytes in every run.

    python -m scripts.samples             draws notaflow_pipeline/samples/ and its MANIFEST.json anew
    python -m scripts.samples --check     reads them back with Tesseract, and says what is not found
    python -m scripts.samples --check --only 770   ... only those whose file name holds `770`

The documents look like what the Quebec land registry keeps (indexes of immovables, deeds, ledgers, the ways in which
scans go wrong), and every person, company, notary, lot, number and amount in them is invented.

Beyond the project's own packages (Pillow, NumPy through pandas, pypdfium2) it needs these from Debian; the fonts only
leave their shapes in the pictures, and all of them are under the SIL Open Font License, which leaves documents made
with them free:

    apt-get install qpdf fonts-liberation fonts-courier-prime fonts-gnutypewriter \
        fonts-dancingscript fonts-kristi fonts-ecolier-court fonts-gfs-didot

The same bytes come out as long as Pillow, which brings its own FreeType and codecs, NumPy and qpdf stay the same.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
from PIL import Image, ImageOps, ImageSequence

from scripts.samples.documents import DOCUMENTS
from scripts.samples.marks import FONTS
from scripts.samples.scanning import SEED

SAMPLES = Path(__file__).resolve().parents[2] / "notaflow_pipeline" / "samples"
NOTE = "Fictitious: every person, company, lot, number and amount is invented."


def make(folder: Path) -> None:
    """Draw every document into `folder`, and write the manifest beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "MANIFEST.json"
    earlier = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else []
    manifest = []
    for position, sample in enumerate(DOCUMENTS, 1):
        pages = sample.draw(sample, np.random.default_rng([SEED, position]))
        name = sample.file_name(position)
        (folder / name).write_bytes(sample.bind(pages))
        entry = {
            "file": name,
            "document_number": sample.number,
            "document_source": sample.source,
            "circonscription_fonciere": sample.district,
            "cadastre": sample.cadastre,
            "acte_type": sample.acte_type,
            "description": sample.description,
            "pages": len(pages),
            "expect": sample.expect,
            "must_contain": list(sample.must_contain),
            "note": NOTE,
        }
        if sample.found_when_turned:
            entry["found_when_turned"] = list(sample.found_when_turned)
        manifest.append(entry)
        print(f"{(folder / name).stat().st_size:>9,} bytes  {len(pages)} p.  {name}")
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    listed.write_text(text, encoding="utf-8")
    for name in {entry["file"] for entry in earlier} - {entry["file"] for entry in manifest}:
        (folder / name).unlink(missing_ok=True)
    print(f"{sum(file.stat().st_size for file in folder.iterdir()):>9,} bytes in {len(DOCUMENTS)} documents")


def pictures(path: Path) -> Iterator[Image.Image]:
    """Render each page in grey at 300 dpi."""
    if path.suffix == ".pdf":
        document = pypdfium2.PdfDocument(path)
        for page in document:
            yield page.render(scale=300 / 72, grayscale=True).to_pil()
    else:
        with Image.open(path) as image:
            for frame in ImageSequence.Iterator(image):
                scale = 300 / frame.info["dpi"][0]
                yield ImageOps.scale(frame.convert("L"), float(scale))


def read(path: Path, turn: int = 0) -> str:
    """Return the text that Tesseract finds on pages turned clockwise, each run of white space as one space."""
    words: list[str] = []
    for image in pictures(path):
        out = io.BytesIO()
        image.rotate(-turn, expand=True).save(out, "PNG", dpi=(300, 300), compress_level=1)
        command = ["tesseract", "-", "-", "-l", "fra+eng"]
        one_thread = os.environ | {"OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, input=out.getvalue(), capture_output=True, check=True, env=one_thread)
        words += done.stdout.decode("utf-8").split()
    return " ".join(words)


def check_document(folder: Path, entry: dict[str, Any]) -> tuple[bool, str]:
    """Return whether a document is read as the manifest says, and what was found."""
    path = folder / entry["file"]
    kind = entry["expect"]
    if kind in {"encrypted", "corrupt"}:
        try:
            pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            return ("password" in str(error).lower()) == (kind == "encrypted"), str(error)
        return False, "opens"
    if kind != "done":
        return path.stat().st_size == 0 or b"<html" in path.read_bytes(), kind
    text = read(path)
    if entry["pages"] == 1 and "blank page;" in entry["description"]:
        return not text, f"{len(text)} characters, none expected"
    missing = [words for words in entry["must_contain"] if words not in text]
    wanted = len(entry["must_contain"])
    if turned := entry.get("found_when_turned"):
        text = read(path, 90)
        missing += [words for words in turned if words not in text]
        wanted += len(turned)
    words = f"{len(text)} characters, {wanted - len(missing)} of {wanted} found"
    return not missing, words + (f", missing {missing}" if missing else "")


def check(folder: Path, only: str) -> bool:
    """Read every document back, print a table, and return whether all went well."""
    listed = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
    chosen = [entry for entry in listed if only in entry["file"]]
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda entry: check_document(folder, entry), chosen)
        outcomes = []
        for entry, (good, words) in zip(chosen, results, strict=True):
            print(
                f"{'ok ' if good else 'BAD'}  {entry['document_number']:<11} {entry['description'][:58]:<58}  {words}"
            )
            outcomes.append(good)
    return all(outcomes)


def main() -> int:
    """Draw, or check what was drawn."""
    parser = argparse.ArgumentParser(description="Makes the sample documents.")
    parser.add_argument("--check", action="store_true", help="read the documents back instead of drawing them")
    parser.add_argument("--only", default="", help="with --check: part of a file name")
    parser.add_argument("--folder", type=Path, default=SAMPLES, help="where the documents lie")
    wanted = parser.parse_args()
    if wanted.check:
        return 0 if check(wanted.folder, wanted.only) else 1
    missing = sorted({package for path, package in FONTS.values() if not Path(path).exists()})
    if not shutil.which("qpdf"):
        missing.append("qpdf")
    if missing:
        print(f"Missing packages: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 1
    make(wanted.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
