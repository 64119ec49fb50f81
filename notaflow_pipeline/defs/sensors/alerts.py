"""The sensor that turns events into alert messages and delivers them; it launches no run."""

import time
from datetime import timedelta

import dagster as dg

from notaflow_pipeline.alerting import condition_log, outbox, receiver_registry
from notaflow_pipeline.alerting.delivery import deliver
from notaflow_pipeline.alerting.receivers import configured_receivers
from notaflow_pipeline.defs.sensors.alert_events import read_events
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import Settings, load_settings

STREAM = "dagster"

READ_SECONDS = 15
DELIVER_SECONDS = 20
"""A tick may take 60 s. Reading, delivering and one last message of 15 s fit into that; the next tick continues."""

RETENTION = timedelta(days=90)


def alert_sensor(interval_seconds: int) -> dg.SensorDefinition:
    """Return the sensor, evaluated at this interval."""

    @dg.sensor(
        name="alert_sensor",
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Turns failed checks and failed runs into messages to NOTAFLOW_ALERT_URLS: one when a condition starts, "
            "reminders, and one when it ends."
        ),
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Read new events, write the messages that follow from them, and deliver pending messages."""
        settings = load_settings()
        url = running_database_url(settings)
        started = read_new_events(context.instance, settings, url)
        receivers = configured_receivers(settings)
        with connect(url) as connection:
            condition_log.add_reminders(
                connection, every=timedelta(hours=settings.alert_reminder_interval_hours), timezone=settings.timezone
            )
            receiver_registry.register_receivers(connection, receivers)
            outbox.delete_old_messages(connection, older_than=RETENTION)
        delivered = deliver(lambda: connect(url), receivers, budget_seconds=DELIVER_SECONDS)
        for problem in delivered.problems:
            context.log.warning("An alert could not be delivered, and is tried again: %s", problem)
        sent = "no receiver: NOTAFLOW_ALERT_URLS is empty" if not receivers else f"{delivered.messages} delivered"
        return dg.SkipReason(f"{count_of(started, 'new message')}; {sent}.")

    return sensor


def read_new_events(instance: dg.DagsterInstance, settings: Settings, url: str) -> int:
    """Read the event log to its end, for `READ_SECONDS` at most; return how many messages were written."""
    until = time.monotonic() + READ_SECONDS
    count = 0
    with connect(url) as connection:
        position = condition_log.read_position(connection).get(STREAM)
        for page in read_events(instance, position, now=time.time(), ui_url=settings.ui_url):
            count += len(
                condition_log.record_observations(
                    connection,
                    page.observations,
                    timezone=settings.timezone,
                    positions={} if page.settled_to is None else {STREAM: page.settled_to},
                )
            )
            if time.monotonic() > until:
                break
    return count
