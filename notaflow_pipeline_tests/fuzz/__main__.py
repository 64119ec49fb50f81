"""Damages sample documents, opens and renders them in the product's sandboxed workers, and reports the outcomes.

A null engine replaces recognition, because recognition gets only pixels. A document is kept in a folder with its seed
if a worker ends, fails in an unexpected way, or exceeds its time.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.local.dev_server import SAMPLES
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.fuzz.mutating import MAX_SAMPLE_BYTES, mutate
from notaflow_pipeline_tests.ocr import samples as made

if TYPE_CHECKING:
    from notaflow_pipeline.ocr.document import DocumentText

LIMITS = Limits(pages=20, page_pixels=40_000_000, page_seconds=10, document_seconds=60, worker_bytes=1024**3)
"""Lower limits than the product's, so that excesses show sooner."""

SUSPICIOUS = {FailureKind.CRASHED, FailureKind.TIMEOUT, FailureKind.ENGINE, FailureKind.OUT_OF_MEMORY}


def seeds(folder: Path, corpus: Path | None) -> list[bytes]:
    """Returns intact documents of every format, and unusual ones of the corpus if it is present."""
    paths = [one for one in SAMPLES.iterdir() if one.suffix != ".json"]
    page = made.page_image()
    paths += [
        made.png(folder / "a.png"),
        made.tiff(folder / "b.tif", page, page),
        made.scanned_pdf(folder / "c.pdf", "un", "deux"),
        made.typed_pdf(folder / "d.pdf", "Vente du lot 3 770 292"),
        made.locked_pdf(folder / "e.pdf"),
        made.plain_pdf(folder / "f.pdf", pages=3, content="0 0 9 9 re f"),
        made.picture_pdf(folder / "g.pdf", page, "/ColorSpace/DeviceGray/BitsPerComponent 8", "200 0 0 60 0 0"),
    ]
    for name, options in (("h.jpg", {}), ("i.webp", {}), ("j.bmp", {}), ("k.tif", {"compression": "tiff_lzw"})):
        page.convert("RGB").save(folder / name, **options)
        paths.append(folder / name)
    page.convert("1").save(folder / "l.tif", compression="group4")
    paths.append(folder / "l.tif")
    if corpus is not None and corpus.is_dir():
        paths += [one for one in corpus.rglob("*") if one.suffix in {".pdf", ".png", ".jpg", ".tif"}]
    return [one.read_bytes() for one in sorted(paths) if one.stat().st_size <= 2 * MAX_SAMPLE_BYTES]


def kinds(future: "Future[DocumentText]") -> Iterator[tuple[str, str]]:
    """Yields the outcomes of a document and of its pages that could not be read: a kind and a sentence each."""
    try:
        text = future.result()
    except DocumentFailure as failure:
        yield str(failure.kind), failure.sentence
    except Exception as unexpected:  # noqa: BLE001 - any other exception is a finding
        yield f"UNEXPECTED {type(unexpected).__name__}", str(unexpected)
    else:
        yield "read", ""
        for page in text.pages:
            if page.failure is not None:
                yield f"page: {page.failure.kind}", page.failure.sentence


def is_suspicious(kind: str) -> bool:
    """Whether an outcome must be inspected."""
    return kind.startswith("UNEXPECTED") or kind.removeprefix("page: ") in set(SUSPICIOUS)


def fuzz(
    seconds: float,
    *,
    seed: int,
    corpus: Path | None,
    crashers: Path,
    workers: int = 2,
    max_documents: int | None = None,
) -> Counter[str]:
    """Damages and reads documents, returns the number of each outcome, and keeps suspicious documents.

    Args:
        seconds: the time after which no further document is started.
        seed: the same seed produces the same documents.
        corpus: a folder with more samples, or None.
        crashers: the folder for documents with a suspicious outcome.
        workers: the number of worker processes.
        max_documents: the maximum number of documents, or None.
    """
    rng, outcomes = random.Random(seed), Counter[str]()
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="notaflow-fuzz-") as place:
        samples = seeds(Path(place), corpus)
        waiting: dict[Future[DocumentText], Path] = {}
        number = 0
        with DocumentPool(NullEngine(), workers=workers, limits=LIMITS) as document_pool:
            while waiting or (time.monotonic() < deadline and number != max_documents):
                while len(waiting) < 2 * workers and time.monotonic() < deadline and number != max_documents:
                    path = Path(place) / f"{seed}-{number}"
                    path.write_bytes(mutate(samples, rng))
                    waiting[document_pool.start(path)] = path
                    number += 1
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    _judge(future, waiting.pop(future), crashers, outcomes)
    outcomes["documents"] = number
    return outcomes


def _judge(future: "Future[DocumentText]", path: Path, crashers: Path, outcomes: Counter[str]) -> None:
    for kind, sentence in set(kinds(future)):
        outcomes[kind] += 1
        if is_suspicious(kind):
            crashers.mkdir(parents=True, exist_ok=True)
            (crashers / path.name).write_bytes(path.read_bytes())
            (crashers / f"{path.name}.txt").write_text(f"{kind}: {sentence}\n")
    path.unlink()


def main(arguments: Sequence[str]) -> int:
    """Runs the fuzzer, prints a table, and returns 1 if an outcome was unexpected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--corpus", type=Path, help="a folder with more documents")
    parser.add_argument("--crashers", type=Path, default=Path("fuzz-crashers"))
    chosen = parser.parse_args(arguments)
    outcomes = fuzz(chosen.seconds, seed=chosen.seed, corpus=chosen.corpus, crashers=chosen.crashers)
    print(f"seed {chosen.seed}: {outcomes.pop('documents')} damaged documents in {chosen.seconds:.0f} s\n")
    for kind, count in outcomes.most_common():
        print(f"{count:7}  {kind}{'  <- kept in ' + str(chosen.crashers) if is_suspicious(kind) else ''}")
    return int(any(kind.startswith("UNEXPECTED") for kind in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
