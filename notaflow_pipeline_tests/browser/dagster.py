"""A running Dagster, and the status of its runs."""

from dataclasses import dataclass

from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.processes.dagster_ui import DagsterUI

LIMIT = 4_321
"""Documents in a run: one run claims all of them, and the launchpad shows this figure."""


@dataclass(frozen=True)
class Dagster:
    """A running Dagster, the terminal that started it, and its database."""

    terminal: Terminal
    ui: DagsterUI
    connection: Connection

    @property
    def url(self) -> str:
        """The address of its pages."""
        return f"http://127.0.0.1:{self.ui.port}"


def all_runs(dagster: Dagster) -> dict[str, str]:
    """The status of each run."""
    return dict(dagster.connection.execute("SELECT run_id, status FROM dagster.runs").fetchall())
