"""Commands that make things ready and say whether they are: `dev`, `database`, `doctor`, `migrate`, `version`."""

import signal
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from notaflow_pipeline import __version__
from notaflow_pipeline.cli.output import Json, app, print_json, say, say_aside, screen
from notaflow_pipeline.job_queue.claim_check import ClaimCheck, check_claim
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.database.search_path import queue_schema
from notaflow_pipeline.job_queue.schema.check import find_schema_differences
from notaflow_pipeline.job_queue.schema.migrate import Migrated, MigrationFailed, find_data_loss, migrate_down
from notaflow_pipeline.job_queue.schema.migrate import migrate as apply_migrations
from notaflow_pipeline.job_queue.schema.privileges import missing_privileges
from notaflow_pipeline.job_queue.schema.roles import grant_roles, has_roles
from notaflow_pipeline.job_queue.schema.rollback_data_loss import DataLoss
from notaflow_pipeline.local.embedded_postgres import database_url, owner_database_url
from notaflow_pipeline.settings import Settings, SettingsError, load_settings, origins


@app.command()
def dev(
    samples: Annotated[bool, typer.Option(help="Enqueue the sample documents on the first start.")] = True,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI on loopback.")] = 3000,
) -> None:
    """Embedded database (unless NOTAFLOW_DATABASE_URL is set), migrations, sample documents, then the Dagster UI."""
    from notaflow_pipeline.local.dev_server import run_dev

    sys.exit(run_dev(load_settings(), samples=samples, port=port))


@app.command()
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
            say(f"NOTAFLOW_DATABASE_URL={url}")
        signal.pause()


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check database, schema, Tesseract, storage and space: each ok, or what to do; and print every setting."""
    from notaflow_pipeline.local.doctor import examine

    settings = load_settings()
    findings = list(examine(settings))
    if as_json:
        print_json(
            {"checks": [asdict(one) for one in findings], "settings": [asdict(one) for one in origins(settings)]}
        )
    else:
        for one in findings:
            mark = "[green]ok[/]     " if one.ok else "[red]not ok[/] "
            screen.print(mark + one.subject.ljust(10), end="")
            say(one.detail)
        table = Table("setting", "value", "from", title="settings")
        for setting in origins(settings):
            table.add_row(setting.variable, setting.value, setting.origin)
        screen.print(table)
    if not all(one.ok for one in findings):
        sys.exit(1)


AGAIN_ROLES = (
    "the least-privileged roles are on this server; what was made anew has none of their rights until "
    "`notaflow migrate --roles`"
)


@app.command()
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; say what is missing or differs.")] = False,
    to: Annotated[int | None, typer.Option("--to", help="Apply up to this number.")] = None,
    down_to: Annotated[int | None, typer.Option("--down-to", help="Take back what is above this number.")] = None,
    roles: Annotated[
        bool, typer.Option("--roles", help="Make and grant the least-privileged roles; no migration.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --down-to: delete data without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Apply the migrations that are missing; safe to run twice and beside live writers."""
    settings = load_settings()
    if sum([check, to is not None, down_to is not None, roles]) > 1:
        raise SettingsError("--check, --to, --down-to and --roles exclude each other")
    if yes and down_to is None:
        raise SettingsError("--yes belongs to --down-to; nothing else asks")
    # what the worker sees is what it lacks; whatever changes something is the owner's
    with (database_url if check else owner_database_url)(settings) as url:
        if check:
            _check_schema(url, settings, as_json)
        elif roles:
            _say_granted(grant_roles(url), as_json)
        elif down_to is not None:
            if not yes:
                _confirm(find_data_loss(url, to=down_to), may_ask=sys.stdin.isatty() and not as_json)
            _say_taken_back(migrate_down(url, to=down_to), as_json)
        else:
            done = apply_migrations(url, sources=settings.sources, to=to)
            _say_migrated(done, as_json)
            if not as_json and has_roles(url) and (done.applied or done.repaired):
                say_aside(AGAIN_ROLES)
            if done.remaining:
                sys.exit(1)


def _check_schema(url: str, settings: Settings, as_json: bool) -> None:
    with connect(url) as connection:
        differences = list(find_schema_differences(connection, settings.sources))
        rights = list(missing_privileges(connection))
        schema = queue_schema(connection)
        # a document that cannot be claimed shows what no list of privileges does: triggers of other programs
        trial = (
            ClaimCheck(ok=True, detail="not tried")
            if differences or rights
            else check_claim(connection, settings.sources)
        )
    ready = not (differences or rights) and trial.ok
    if as_json:
        found = {"schema": schema, "differences": differences, "missing_privileges": rights, "claim": asdict(trial)}
        print_json({"ready": ready, **found})
    elif ready:
        say(f"The schema is as this version needs it. Its objects are in {schema}.")
    else:
        if not trial.ok:
            say(f"- {trial.detail}")
        for lacking in (*differences, *rights):
            say(f"- {lacking}")
        if differences:
            say_aside(f"{len(differences)} differences; `notaflow migrate` mends what is missing")
        if rights:
            say_aside(
                "what this login may not do, `notaflow migrate --roles` grants its role, run with the owner's login"
            )
    if not ready:
        sys.exit(1)


def _say_granted(warnings: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"granted": True, "warnings": warnings})
    else:
        for warning in warnings:
            say_aside(warning)
        say("The roles are there and have their rights; docs/security.md says which login is to be what.")


def _say_migrated(done: Migrated, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    for name in done.applied:
        say(f"applied {name}")
    for source in done.indexed_sources:
        say(f"built the index for claims of {source!r}")
    for lacking in done.repaired:
        say(f"mended: {lacking}")
    if not (done.applied or done.indexed_sources or done.repaired):
        say("Nothing to be applied.")
    for difference in done.remaining:
        say_aside(f"still to be mended by hand: {difference}")


def _confirm(losses: list[DataLoss], *, may_ask: bool) -> None:
    """Name what would be deleted, and ask; a script has to say --yes."""
    if not losses:
        return
    for one in losses:
        say_aside(f"would delete {one}")
    if not may_ask:
        raise MigrationFailed(
            "taking these migrations back deletes data: dump it first, or say --yes to delete it. Nothing was changed."
        )
    if not typer.confirm("Delete this?", err=True):
        raise MigrationFailed("nothing was changed")


def _say_taken_back(names: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"taken_back": names})
        return
    for name in names:
        say(f"taken back {name}")
    if not names:
        say("Nothing to be taken back.")


@app.command()
def version(as_json: Json = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        screen.print(__version__)
