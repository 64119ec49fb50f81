"""`notaflow`, the command line: the commands of each purpose are in a module of their own.

A command reads its arguments and settings, calls the package that does the work, and prints the result.
"""

import logging
import signal
import sys
from typing import Annotated, NoReturn

import psycopg
import typer

from notaflow_pipeline import __version__

# imported for their commands, in the order in which the help lists them
from notaflow_pipeline.cli import installation, processing, inspection, documents, view, report, operations, alerts  # isort: skip  # noqa: F401
from notaflow_pipeline.cli.output import app, print_line, warn
from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, DatabaseUnavailable, OutcomeRefused
from notaflow_pipeline.job_queue.database.foreign_triggers import TriggerLacksPrivilege
from notaflow_pipeline.job_queue.named_documents import NoSuchDocument
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch
from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.settings import SettingsError, unknown_variables

EXPECTED_ERRORS = (
    SettingsError,
    NoSuchDocument,
    DatabaseUnavailable,
    ClaimsRefused,
    OutcomeRefused,
    SchemaMismatch,
    MigrationFailed,
    StorageUnavailable,
    StorageMisconfigured,
    EngineUnavailable,
    DocumentFailure,
    DocumentUnavailable,
    psycopg.Error,
    OSError,
)

ROLES_ADVICE = (
    ". `notaflow migrate --roles`, run with the owner's login, grants the roles their privileges; docs/security.md lists "
    "what each role may do."
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(__version__)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> NoReturn:
    """Run a command. An expected error is printed as one line, and the exit code is 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    for unknown in unknown_variables():
        if unknown.nearest:
            warn(str(unknown))
    try:
        app()
    except EXPECTED_ERRORS as error:
        message = getattr(error, "sentence", str(error)).strip().splitlines()
        could_be_granted = isinstance(error, psycopg.errors.InsufficientPrivilege)
        advice = ROLES_ADVICE if could_be_granted and not isinstance(error, TriggerLacksPrivilege) else ""
        warn(f"{message[0] if message else type(error).__name__}{advice}")
        sys.exit(1)
    sys.exit(0)


def _stop(number: int, _frame: object) -> NoReturn:
    """Raise SystemExit, so that claims are released on the way out; a second signal does not interrupt that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(128 + number)
