"""The command `alert`: open conditions and receivers; `--test`, `--check`, `--seen`, `--forget`."""

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
from notaflow_pipeline.alerting.receivers import Receiver, configured_receivers, send
from notaflow_pipeline.alerting.thresholds import Evaluation
from notaflow_pipeline.cli.context import local_time, open_database
from notaflow_pipeline.cli.output import Json, app, console, print_json, print_line, warn
from notaflow_pipeline.health_checks import Check, evaluate_all
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, connect, database_unavailable
from notaflow_pipeline.job_queue.metrics import acknowledge_exhausted
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch, require_schema
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.reporting.daily_tables.days import today_in
from notaflow_pipeline.settings import Settings, SettingsError, load_settings

DELIVER_SECONDS = 60


@app.command(rich_help_panel="Inspect")
def alert(
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message to every receiver, and print the results.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Evaluate every check without Dagster and send messages; exit code 1 if a check fails."
        ),
    ] = False,
    seen: Annotated[bool, typer.Option("--seen", help="Acknowledge the exhausted documents.")] = False,
    forget: Annotated[str | None, typer.Option(help="Close this condition, if nothing will evaluate it again.")] = None,
    as_json: Json = False,
) -> None:
    """Show the open conditions and the state of the receivers of NOTAFLOW_ALERT_URLS."""
    settings = load_settings()
    if sum((test, check, seen, forget is not None)) > 1:
        raise SettingsError("--test, --check, --seen and --forget cannot be combined")
    if test:
        _test(settings, as_json)
    elif check:
        _check(settings, as_json)
    elif seen:
        with open_database(settings) as connection:
            acknowledge_exhausted(connection)
        _confirm({"acknowledged": True}, "Acknowledged: the documents that are exhausted now.", as_json)
    elif forget is not None:
        with open_database(settings) as connection:
            if not condition_log.close_condition(connection, forget):
                raise SettingsError(f"no open condition is named {forget!r}; `notaflow alert` lists them")
        _confirm({"closed": forget}, "Closed; it opens again if it fails again.", as_json)
    else:
        with open_database(settings) as connection:
            _show(connection, settings, as_json)


def _confirm(done: dict[str, object], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        print_line(sentence)


def _test(settings: Settings, as_json: bool) -> None:
    """Send to the receivers directly; no database is needed, and nothing is recorded."""
    receivers = configured_receivers(settings)
    if not receivers:
        raise SettingsError(
            "NOTAFLOW_ALERT_URLS is empty. It takes URLs of apprise, separated by spaces, such as mailto://user:password@example.org"
        )
    text = compose_test_message(settings.ui_url)
    sent = [(one, send(one, text, uid=str(uuid4()), failing=False)) for one in receivers]
    for receiver, sending in sent:
        if as_json:
            print_json({"receiver": receiver.label, **asdict(sending)})
        else:
            print_line(f"{sending.outcome:10} {receiver.label} {sending.reason}".rstrip())
    if any(sending.outcome != "delivered" for _, sending in sent):
        sys.exit(1)


def _check(settings: Settings, as_json: bool) -> None:
    """Evaluate every check from the database alone, without Dagster, and send the messages.

    Any error of the database is reported as its outage, because nothing else would report it.
    """
    receivers = configured_receivers(settings)
    evaluations: list[tuple[Check, Evaluation]] = []
    problems: list[str] = []
    error = None
    try:
        problems += _evaluate(running_database_url(settings), settings, evaluations, receivers)
    except (DatabaseUnavailable, SchemaMismatch) as unusable:
        error = str(unusable)
    problems += report_outage(
        settings.home,
        receivers,
        error=error,
        now=datetime.now(UTC),
        every=timedelta(hours=settings.alert_reminder_interval_hours),
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
            print_line(sentence)
    for problem in problems:
        warn(f"an alert could not be delivered and will be sent again: {problem}")
    if alarming or problems:
        sys.exit(1)


def _evaluate(
    url: str, settings: Settings, evaluations: list[tuple[Check, Evaluation]], receivers: tuple[Receiver, ...]
) -> tuple[str, ...]:
    """Append every evaluation to `evaluations`, record them, and send the messages; return why messages were not delivered.

    Today's tables are computed first, because without Dagster nothing else computes them. Past days are not: a missing day
    is a condition of its own.

    Raises:
        DatabaseUnavailable: the database cannot be reached, was lost, refused a statement, or did not answer.
        SchemaMismatch: the schema lacks something.
    """
    from notaflow_pipeline import report_service  # imports pandas, which would slow the start of every command

    # cron starts the next check after five minutes, also when this one hangs
    open_connection = partial(connect, url)
    try:
        with open_connection() as connection:
            require_schema(connection, settings.sources)
            today = today_in(connection, settings.timezone)
            days = report_service.compute_missing_days(connection, settings, since=today, until=today)
            if days.missing:
                warn(f"today's failure rates are not evaluated, because its tables are not computed: {days.reason}")
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
    """Record the evaluations under the conditions of Dagster's own checks, so that no message is sent twice."""
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
        connection, every=timedelta(hours=settings.alert_reminder_interval_hours), timezone=settings.timezone
    )
    receiver_registry.register_receivers(connection, receivers)


def _show(connection: Connection, settings: Settings, as_json: bool) -> None:
    conditions, receivers = condition_log.open_conditions(connection), receiver_registry.receiver_states(connection)
    if as_json:
        print_json({"open": [asdict(one) for one in conditions], "receivers": [asdict(one) for one in receivers]})
        return
    for one in conditions:
        print_line(f"{one.key}\n    since {local_time(one.opened_at, settings)}: {one.sentence}")
    if not conditions:
        print_line("No condition is open. `notaflow alert --check` evaluates every check now.")
    if receivers:
        table = Table("receiver", "waiting", "last delivered", "last error")
        for state in receivers:
            last = local_time(state.last_delivered_at, settings)
            table.add_row(state.label, str(state.waiting), last, state.last_error or "")
        console.print(table)
