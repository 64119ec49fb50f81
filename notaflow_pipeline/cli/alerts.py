"""The command about alerts: `alert`, with `--test`, `--check`, `--seen` and `--forget`."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated
from uuid import uuid4

import psycopg
import typer
from psycopg import Connection
from rich.table import Table

from notaflow_pipeline.alerting import condition_log, observations, receiver_registry
from notaflow_pipeline.alerting.database_outage import report_outage
from notaflow_pipeline.alerting.delivery import deliver
from notaflow_pipeline.alerting.messages import compose_test_message
from notaflow_pipeline.alerting.receivers import Receiver, parse_receivers, send
from notaflow_pipeline.alerting.thresholds import Evaluation
from notaflow_pipeline.cli.context import open_database
from notaflow_pipeline.cli.output import Json, app, print_json, say, say_aside, screen
from notaflow_pipeline.health_checks import Check, evaluate_all
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, connect, database_unavailable
from notaflow_pipeline.job_queue.metrics import acknowledge_exhausted
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch, require_schema
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import Settings, SettingsError, load_settings

DELIVER_SECONDS = 60


@app.command()
def alert(
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message to every receiver, and say who took it.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Look at everything without Dagster, tell the receivers, exit 1 if alarming."),
    ] = False,
    seen: Annotated[bool, typer.Option("--seen", help="Somebody has looked at the exhausted documents.")] = False,
    forget: Annotated[str | None, typer.Option(help="Close this condition, which nothing will observe again.")] = None,
    as_json: Json = False,
) -> None:
    """What is alarming now, and how it stands with the receivers of NOTAFLOW_ALERT_URLS."""
    settings = load_settings()
    if sum((test, check, seen, forget is not None)) > 1:
        raise SettingsError("give one of --test, --check, --seen and --forget")
    if test:
        _test(settings, as_json)
    elif check:
        _check(settings, as_json)
    elif seen:
        with open_database(settings) as connection:
            acknowledge_exhausted(connection)
        say("Noted: what has failed for good until now was looked at.")
    elif forget is not None:
        with open_database(settings) as connection:
            if not condition_log.close_condition(connection, forget):
                raise SettingsError(f"no open condition is named {forget!r}; `notaflow alert` lists them")
        say("Forgotten; if it fails again, it starts anew.")
    else:
        with open_database(settings) as connection:
            _show(connection, as_json)


def _receivers(settings: Settings) -> tuple[Receiver, ...]:
    return parse_receivers(settings.alert_urls.get_secret_value() if settings.alert_urls else None)


def _test(settings: Settings, as_json: bool) -> None:
    """Send straight to the receivers: it works without a database, and leaves nothing behind."""
    receivers = _receivers(settings)
    if not receivers:
        raise SettingsError(
            "NOTAFLOW_ALERT_URLS is empty: it takes URLs as apprise writes them, with spaces between them"
        )
    text = compose_test_message(settings.ui_url)
    sent = [(one, send(one, text, uid=str(uuid4()), failing=False)) for one in receivers]
    for receiver, sending in sent:
        if as_json:
            print_json({"receiver": receiver.label, **asdict(sending)})
        else:
            say(f"{sending.outcome:10} {receiver.label} {sending.reason}".rstrip())
    if any(sending.outcome != "delivered" for _, sending in sent):
        sys.exit(1)


def _check(settings: Settings, as_json: bool) -> None:
    """Look at the database alone, so that nothing of Dagster has to be alive.

    Whatever goes wrong with the database on the way is told as its absence: this watch has nobody who watches it.
    """
    receivers = _receivers(settings)
    evaluations: list[tuple[Check, Evaluation]] = []
    problems: list[str] = []
    error = None
    try:
        problems += _look(running_database_url(settings), settings, evaluations, receivers)
    except (DatabaseUnavailable, SchemaMismatch) as unusable:
        error = str(unusable)
    problems += report_outage(
        settings.home,
        receivers,
        error=error,
        now=datetime.now(UTC),
        every=timedelta(hours=settings.alert_reminder_hours),
        timezone=settings.timezone,
        ui_url=settings.ui_url,
    )
    alarming = [error] if error else [evaluation.sentence for _, evaluation in evaluations if evaluation.alarming]
    if as_json:
        for one, evaluation in evaluations:
            print_json({"asset": one.asset, "check": one.name, **asdict(evaluation)})
        if error:
            print_json({"alarming": True, "sentence": error})
    else:
        for sentence in alarming or ["Nothing is alarming."]:
            say(sentence)
    for problem in problems:
        say_aside(f"an alert could not be delivered, and is tried again: {problem}")
    if alarming or problems:
        sys.exit(1)


def _look(
    url: str, settings: Settings, evaluations: list[tuple[Check, Evaluation]], receivers: tuple[Receiver, ...]
) -> tuple[str, ...]:
    """Judge everything into `evaluations`, write it down, tell the receivers; return who could not be told, and why.

    Raises:
        DatabaseUnavailable: the database cannot be reached, was lost, refused a statement, or fell silent.
        SchemaMismatch: it lacks something.
    """
    # cron starts the next one after five minutes, whether or not this one hangs
    open_connection = partial(connect, url)
    try:
        with open_connection() as connection:
            require_schema(connection, settings.sources)
            evaluations += evaluate_all(connection, settings)
            _record(connection, settings, evaluations, receivers)
    except psycopg.Error as lost:
        raise database_unavailable(url, lost) from lost
    return deliver(open_connection, receivers, budget_seconds=DELIVER_SECONDS).problems


def _record(
    connection: Connection,
    settings: Settings,
    evaluations: list[tuple[Check, Evaluation]],
    receivers: tuple[Receiver, ...],
) -> None:
    """Write down what was seen, under the same conditions as Dagster's own checks: nobody is told twice."""
    now = datetime.now(UTC)
    seen = [
        observations.observation_of_check(
            asset=check.asset,
            name=check.name,
            partition=None,
            passed=not evaluation.alarming,
            observed_at=now,
            sentence=evaluation.sentence,
            figures=evaluation.figures,
            ui_url=settings.ui_url,
        )
        for check, evaluation in evaluations
    ]
    condition_log.record_observations(connection, seen, timezone=settings.timezone)
    condition_log.add_reminders(
        connection, every=timedelta(hours=settings.alert_reminder_hours), timezone=settings.timezone
    )
    receiver_registry.register_receivers(connection, receivers)


def _show(connection: Connection, as_json: bool) -> None:
    conditions, receivers = condition_log.open_conditions(connection), receiver_registry.receiver_states(connection)
    if as_json:
        print_json({"open": [asdict(one) for one in conditions], "receivers": [asdict(one) for one in receivers]})
        return
    for one in conditions:
        say(f"{one.key}\n    since {one.opened_at.astimezone():%Y-%m-%d %H:%M}: {one.sentence}")
    if not conditions:
        say("Nothing is alarming.")
    if receivers:
        table = Table("receiver", "waiting", "last delivered", "last error")
        for state in receivers:
            last = f"{state.last_delivered_at.astimezone():%Y-%m-%d %H:%M}" if state.last_delivered_at else ""
            table.add_row(state.label, str(state.waiting), last, state.last_error or "")
        screen.print(table)
