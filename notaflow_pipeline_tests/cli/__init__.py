"""Tests of `notaflow` as people and scripts run it: in a process of its own, with a real database."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from notaflow_pipeline_tests.testing.forked_commands import run_forked
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

OUR_VARIABLES = ("NOTAFLOW_", "OCR_", "DAGSTER_", "SUPABASE_", "TMPDIR", "PYTEST_")
"""Beginnings of variables that a command reads only after its imports (`test_imports_read_no_setting`), and pytest's."""

IMPORTS = (
    "notaflow_pipeline.cli",
    "notaflow_pipeline.worker.assembly",
    "notaflow_pipeline.report_service",
    "notaflow_pipeline.reporting.report.html_page",
)
"""What commands import, at once or when they need it."""


@dataclass(frozen=True)
class Terminal:
    """A shell in `folder`, with an environment that names the database and the documents' folder."""

    folder: Path
    environment: dict[str, str]

    @property
    def command(self) -> list[str]:
        """The program `notaflow` of this installation."""
        return [str(Path(sys.executable).with_name("notaflow"))]

    def run(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run `notaflow` with a changed environment; forked, unless `changes` has variables of one test alone."""
        command, environment = [*self.command, *arguments], self.environment | changes
        if all(name.startswith((*OUR_VARIABLES, "COLUMNS")) for name in changes):
            return run_forked(
                command,
                imports=IMPORTS,
                folder=str(self.folder),
                environment=environment,
                own=OUR_VARIABLES,
                seconds=HANG_SECONDS,
            )
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )

    def json(self, *arguments: str, **changes: str) -> list[dict[str, Any]]:
        """Run `notaflow` with `--json`, which must work, and return the objects that it printed."""
        done = self.run(*arguments, "--json", **changes)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *arguments: str, **changes: str) -> "subprocess.Popen[str]":
        """Start `notaflow` and do not wait for it."""
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def documents(self) -> Path:
        """Where the documents lie."""
        return Path(self.environment["NOTAFLOW_DOCUMENTS_URL"])


def open_terminal(folder: Path, database_url: str | None) -> Terminal:
    """Return a terminal in `folder` without any setting of whoever runs the tests; no URL means embedded."""
    (folder / "documents" / "index").mkdir(parents=True)
    (folder / "temporary").mkdir()
    ours = ("NOTAFLOW_", "OCR_", "DAGSTER_", "SUPABASE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {
        "NOTAFLOW_HOME": str(folder / "home"),
        "NOTAFLOW_DOCUMENTS_URL": str(folder / "documents"),
        "OCR_WORKERS": "2",
        "TMPDIR": str(folder / "temporary"),
    }
    if database_url is not None:
        environment["NOTAFLOW_DATABASE_URL"] = database_url
    return Terminal(folder, environment)
