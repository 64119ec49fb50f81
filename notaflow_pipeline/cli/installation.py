"""Commands that set up and check an installation: `dev`, `database`, `doctor`, `migrate`, `version`."""

import signal
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from notaflow_pipeline import __version__
from notaflow_pipeline.cli.output import Json, app, console, print_json, print_line, warn
from notaflow_pipeline.job_queue.claiming.claim_check import ClaimCheck, check_claim
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.database.search_path import queue_schema
from notaflow_pipeline.job_queue.schema.check import find_schema_differences
from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed, MigrationResult, find_data_loss, migrate_down
from notaflow_pipeline.job_queue.schema.migrate import migrate as apply_migrations
from notaflow_pipeline.job_queue.schema.privileges import missing_privileges
from notaflow_pipeline.job_queue.schema.roles import grant_roles, has_roles
from notaflow_pipeline.job_queue.schema.rollback_data_loss import DataLoss
from notaflow_pipeline.local.embedded_postgres import database_url, owner_database_url
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import Settings, SettingsError, load_settings, setting_origins

SUBJECT_WIDTH = 11
"""Characters of what `doctor` has checked, with the space after it; the longest is `privileges`."""


@app.command(rich_help_panel="Start")
def dev(
    samples: Annotated[bool, typer.Option(help="Enqueue the sample documents on the first start.")] = True,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI on loopback.", min=1, max=65_535)] = 3000,
) -> None:
    """Start the embedded database (unless NOTAFLOW_DATABASE_URL is set), migrate, add samples, and start the Dagster UI."""
    from notaflow_pipeline.local.dev_server import run_dev

    sys.exit(run_dev(load_settings(), samples=samples, port=port))


@app.command(rich_help_panel="Start")
def database(as_json: Json = False) -> None:
    """Keep the embedded database running until Ctrl-C: for `dagster dev` or `dg dev` in another terminal."""
    settings = load_settings()
    with database_url(settings) as url:
        with owner_database_url(settings) as owners:
            apply_migrations(owners, sources=settings.sources)
        if as_json:
            print_json({"NOTAFLOW_DATABASE_URL": url})
            sys.stdout.flush()
        else:
            print_line(f"NOTAFLOW_DATABASE_URL={url}")
        signal.pause()


@app.command(rich_help_panel="Start")
def doctor(as_json: Json = False) -> None:
    """Check database, schema, Tesseract, storage and free space, and print every setting."""
    from notaflow_pipeline.local.doctor import check_installation

    settings = load_settings()
    findings = list(check_installation(settings))
    if as_json:
        print_json(
            {
                "checks": [asdict(one) for one in findings],
                "settings": [asdict(one) for one in setting_origins(settings)],
            }
        )
    else:
        for one in findings:
            mark = "[green]ok[/]     " if one.ok else "[red]not ok[/] "
            console.print(mark + one.subject.ljust(SUBJECT_WIDTH), end="")
            print_line(one.detail)
        table = Table("setting", "value", "from", title="settings")
        for setting in setting_origins(settings):
            table.add_row(setting.variable, setting.value, setting.origin)
        console.print(table)
    if not all(one.ok for one in findings):
        sys.exit(1)


GRANT_AGAIN = (
    "this server has the least-privileged roles; run `notaflow migrate --roles` to grant them what was created now"
)


@app.command(rich_help_panel="Start")
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; list what is missing or differs.")] = False,
    to: Annotated[int | None, typer.Option("--to", help="Apply up to this number.")] = None,
    down_to: Annotated[
        int | None, typer.Option("--down-to", help="Roll back the migrations above this number.")
    ] = None,
    roles: Annotated[
        bool, typer.Option("--roles", help="Create and grant the least-privileged roles; apply no migration.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --down-to: delete data without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Apply the missing migrations; can be repeated, and is safe beside programs that write to the queue."""
    settings = load_settings()
    if sum([check, to is not None, down_to is not None, roles]) > 1:
        raise SettingsError("--check, --to, --down-to and --roles cannot be combined")
    if yes and down_to is None:
        raise SettingsError("--yes is an option of --down-to")
    # a check looks with the worker's login, a change needs the owner's
    with (database_url if check else owner_database_url)(settings) as url:
        if check:
            _check_schema(url, settings, as_json)
        elif roles:
            _print_grants(grant_roles(url), as_json)
        elif down_to is not None:
            if not yes:
                _confirm(find_data_loss(url, to=down_to), may_ask=sys.stdin.isatty() and not as_json)
            _print_rolled_back(migrate_down(url, to=down_to), as_json)
        else:
            done = apply_migrations(url, sources=settings.sources, to=to)
            _print_migrations(done, as_json)
            if not as_json and has_roles(url) and (done.applied or done.repaired):
                warn(GRANT_AGAIN)
            if done.remaining:
                sys.exit(1)


def _check_schema(url: str, settings: Settings, as_json: bool) -> None:
    with connect(url) as connection:
        differences = list(find_schema_differences(connection, settings.sources))
        missing = list(missing_privileges(connection))
        schema = queue_schema(connection)
        # a trial claim also finds triggers of other programs that refuse
        trial = (
            ClaimCheck(ok=True, detail="not tried")
            if differences or missing
            else check_claim(connection, settings.sources)
        )
    ready = not (differences or missing) and trial.ok
    if as_json:
        found = {"schema": schema, "differences": differences, "missing_privileges": missing, "claim": asdict(trial)}
        print_json({"ready": ready, **found})
    elif ready:
        print_line(f"The schema is as this version needs it. Its objects are in {schema}.")
    else:
        if not trial.ok:
            print_line(f"- {trial.detail}")
        for lacking in (*differences, *missing):
            print_line(f"- {lacking}")
        if differences:
            warn(f"{count_of(len(differences), 'difference')}; `notaflow migrate` adds what is missing")
        if missing:
            warn("`notaflow migrate --roles`, run with the owner's login, grants the missing privileges")
    if not ready:
        sys.exit(1)


def _print_grants(warnings: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"granted": True, "warnings": warnings})
    else:
        for warning in warnings:
            warn(warning)
        print_line("The roles exist and have their privileges; docs/security.md lists which login gets which role.")


def _print_migrations(done: MigrationResult, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    for name in done.applied:
        print_line(f"applied {name}")
    for source in done.indexed_sources:
        print_line(f"built the index for claims of {source!r}")
    for lacking in done.repaired:
        print_line(f"repaired: {lacking}")
    if not (done.applied or done.indexed_sources or done.repaired):
        print_line("Nothing to apply.")
    for difference in done.remaining:
        warn(f"to be repaired by hand: {difference}")


def _confirm(losses: list[DataLoss], *, may_ask: bool) -> None:
    """Print what would be deleted, and ask; without a terminal --yes is required."""
    if not losses:
        return
    for one in losses:
        warn(f"would delete {one}")
    if not may_ask:
        raise MigrationFailed(
            "rolling these migrations back deletes data: dump it first, or pass --yes to delete it. Nothing was changed."
        )
    if not typer.confirm("Delete this?", err=True):
        raise MigrationFailed("nothing was changed")


def _print_rolled_back(names: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"rolled_back": names})
        return
    for name in names:
        print_line(f"rolled back {name}")
    if not names:
        print_line("Nothing to roll back.")


@app.command(rich_help_panel="Start")
def version(as_json: Json = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        console.print(__version__)
