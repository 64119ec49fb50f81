"""`notaflow`: what the Dagster UI does to the queue, for a terminal and for scripts.

What does not belong here: how anything is done. A command reads its arguments, calls a room, and prints; each module
holds the commands of one purpose.
"""

import logging
import signal
import sys
from typing import NoReturn

import psycopg

# imported for their commands, in the order in which the help lists them
from notaflow_pipeline.cli import installation, processing, inspection, view, report, operations, alerts  # isort: skip  # noqa: F401
from notaflow_pipeline.cli.output import app, say_aside
from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.job_queue.database.foreign_triggers import TriggerLacksPrivilege
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch
from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.settings import SettingsError

EXPECTED_ERRORS = (
    SettingsError,
    DatabaseUnavailable,
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
    ". If this login is to do this, `notaflow migrate --roles`, run with the owner's, grants its role what it needs; "
    "docs/security.md says which role may what."
)


def main() -> NoReturn:
    """Run a command; say in one line why it could not be done, and exit with 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        app()
    except EXPECTED_ERRORS as error:
        message = getattr(error, "sentence", str(error)).strip().splitlines()
        could_be_granted = isinstance(error, psycopg.errors.InsufficientPrivilege)
        advice = ROLES_ADVICE if could_be_granted and not isinstance(error, TriggerLacksPrivilege) else ""
        say_aside(f"{message[0] if message else type(error).__name__}{advice}")
        sys.exit(1)
    sys.exit(0)


def _stop(number: int, _frame: object) -> NoReturn:
    """End by unwinding, so that claims are given back; a second signal does not interrupt that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(128 + number)
