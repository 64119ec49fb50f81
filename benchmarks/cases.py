"""Reads the cases of the corpus, inputs from public bug reports, and compares each with `expected.json`.

All files are read by one reader with two workers and the default limits, by the engine that OCR_ENGINE=auto selects here
unless `--engine` names another. For each case the program prints whether it has the expected result, and otherwise the
difference; it exits with 1 if one differs. The corpus is expected in ../shared/corpus.

usage: python -m benchmarks.cases [--languages fra+eng] [--engine tesserocr] [--only PART-OF-NAME] [--texts FOLDER]
"""

import argparse
import json
import re
import sys
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paths import CORPUS, write_results
from notaflow_pipeline.ocr.document import DocumentText
from notaflow_pipeline.ocr.engines.selection import EngineName, select_engine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool

MAX_SECONDS = 900.0


@dataclass(frozen=True)
class Result:
    """The outcome of one case; `wrong` describes the difference from the expected one."""

    name: str
    got: str
    wrong: tuple[str, ...]


def main() -> None:
    """Reads every case, prints the table, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--languages", default="fra+eng")
    parser.add_argument("--engine", type=EngineName, default=EngineName.AUTO, choices=list(EngineName))
    parser.add_argument("--only", default="")
    parser.add_argument("--texts", type=Path, help="a folder for the texts")
    arguments = parser.parse_args()
    folder = arguments.corpus / "cases"
    if not folder.is_dir():
        parser.error(f"no cases in {arguments.corpus}: say where the corpus is with --corpus")
    cases = [case for case in json.loads((folder / "expected.json").read_text()) if arguments.only in case["file"]]
    results = []
    with DocumentPool(select_engine(arguments.engine, arguments.languages), workers=2) as reader:
        futures = [(case, reader.start(folder / case["file"])) for case in cases]
        for case, future in futures:
            status, text, got = _outcome(future)
            result = Result(case["file"], got, tuple(_wrong(case, status, text)))
            results.append(result)
            print(
                f"{'wrong' if result.wrong else 'ok':6} {result.name:42} {got:44} {'; '.join(result.wrong)}", flush=True
            )
            if arguments.texts:
                arguments.texts.mkdir(exist_ok=True)
                (arguments.texts / f"{result.name}.txt").write_text(text)
    wrong = sum(bool(result.wrong) for result in results)
    print(f"\n{len(results)} cases, {wrong} otherwise than expected")
    write_results("cases", results)
    sys.exit(bool(wrong))


def _outcome(future: Future[DocumentText]) -> tuple[str, str, str]:
    """Returns status, text and figures of a document; the text of a failed one is its error message."""
    error = future.exception(timeout=MAX_SECONDS)
    if isinstance(error, DocumentFailure):
        return "failed", str(error), f"failed:{error.kind}"
    document = future.result()
    confidence = f"{document.mean_confidence:.0f}" if document.mean_confidence else "-"
    figures = f"{document.characters} characters, confidence {confidence}, {document.passes} passes"
    return "ok", document.text, figures


def _wrong(case: dict[str, list[str]], status: str, text: str) -> list[str]:
    wrong = [f"{status}, not {case['status']}"] if case["status"] not in ("any", status) else []
    wrong += [f"lacks {part!r}" for part in case["must"] if part not in text]
    wrong += [f"has {part!r}" for part in case["mustnot"] if part in text]
    wrong += [f"nothing like {pattern!r}" for pattern in case["must_match"] if not re.search(pattern, text)]
    return wrong + [f"{text.count(part)} times {part!r}" for part in case["exactly_once"] if text.count(part) != 1]


if __name__ == "__main__":
    main()
