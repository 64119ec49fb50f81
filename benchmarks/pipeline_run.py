"""Measures one run of the pipeline as a user runs it: files are enqueued, then `notaflow work --until-empty` reads them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from benchmarks.compared_programs import Measured, measuring, server_cpu_seconds
from benchmarks.paths import PROJECT
from notaflow_pipeline.local.embedded_postgres import embedded_database

NOTAFLOW = (sys.executable, "-c", "import sys; from notaflow_pipeline.cli import main; sys.exit(main())")

Attempt = dict[str, str | int | float | None]

_ATTEMPTS = """
SELECT outcome, failure_kind, error, pages, ocr_seconds, source_bytes,
       EXTRACT(EPOCH FROM claimed_at)::double precision AS claimed_at,
       EXTRACT(EPOCH FROM finished_at)::double precision AS finished_at
FROM ocr_attempt
ORDER BY id
"""

_TEXTS = "SELECT id::text, file_content FROM extraction_queue"


@dataclass
class PipelineMeasured(Measured):
    """A run of the pipeline: the seconds from the first claim to the last record, and the database's CPU seconds."""

    warm_seconds: float = 0.0
    server_cpu_seconds: float = 0.0
    attempts: list[Attempt] = field(default_factory=list, repr=False)

    @property
    def succeeded(self) -> list[Attempt]:
        """The number of attempts whose text was recorded."""
        return [attempt for attempt in self.attempts if attempt["outcome"] == "succeeded"]


def run_pipeline(
    files: Sequence[Path],
    home: Path,
    settings: Mapping[str, str],
    *,
    notaflow: Sequence[str] = NOTAFLOW,
    watching: AbstractContextManager[object] | None = None,
) -> PipelineMeasured:
    """Enqueue every file, then read them all; only the reading is measured. Whether it succeeded is for the caller.

    Args:
        files: the documents; their texts come back by the files' stems.
        home: an empty folder for the embedded database and the documents, which is removed.
        settings: environment variables; all others of the product are at their defaults.
        notaflow: the program and its first arguments for the reading.
        watching: entered around the reading.
    """
    with embedded_database(home) as url:
        environment = _environment({"NOTAFLOW_DATABASE_URL": url, "NOTAFLOW_HOME": str(home), **settings})
        subprocess.run([*NOTAFLOW, "migrate"], env=environment, cwd=home, check=True, stdout=subprocess.DEVNULL)
        enqueue = [*NOTAFLOW, "enqueue", "--json", *(str(file.resolve()) for file in files)]
        said = subprocess.run(enqueue, env=environment, cwd=home, check=True, capture_output=True, text=True).stdout
        names = {row["id"]: Path(row["path"]).stem for row in _objects(said)}
        server = server_cpu_seconds(url)
        with watching or nullcontext(), measuring() as measured:
            work = [*notaflow, "work", "--until-empty", "--json"]
            subprocess.run(work, env=environment, cwd=home, check=False, stdout=subprocess.DEVNULL)
        server = server_cpu_seconds(url) - server
        with psycopg.connect(url, row_factory=dict_row) as connection:
            attempts = connection.execute(_ATTEMPTS).fetchall()
            rows = connection.execute(_TEXTS).fetchall()
    shutil.rmtree(home, ignore_errors=True)
    measured.texts = {names[row["id"]]: row["file_content"] or "" for row in rows}
    run = PipelineMeasured(**vars(measured), server_cpu_seconds=server, attempts=attempts)
    if run.succeeded:
        claimed, recorded = ([float(one[at] or 0) for one in run.succeeded] for at in ("claimed_at", "finished_at"))
        run.warm_seconds = max(recorded) - min(claimed)
    return run


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    ours = ("OCR_", "NOTAFLOW_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**inherited, "PYTHONPATH": str(PROJECT), **settings}


def _objects(printed: str) -> list[dict[str, str]]:
    decoder, found, place = json.JSONDecoder(), [], 0
    while place < len(printed.rstrip()):
        value, place = decoder.raw_decode(printed, place)
        found.append(value)
        place += len(printed[place:]) - len(printed[place:].lstrip())
    return found
