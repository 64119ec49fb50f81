"""Reports an outage of the database directly to the receivers, and keeps what was sent in a file.

`notaflow alert --check` alone uses it: other conditions are stored in the database. It sends the same three messages, when
the outage starts, as reminders, and when it ends, and tries each receiver again until it accepted the message.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from notaflow_pipeline.alerting.conditions import MessageKind
from notaflow_pipeline.alerting.messages import compose
from notaflow_pipeline.alerting.receivers import Receiver, send
from notaflow_pipeline.atomic_files import write_atomically

STATE_FILE = "database-alert.json"


def report_outage(
    home: Path,
    receivers: Sequence[Receiver],
    *,
    error: str | None,
    now: datetime,
    every: timedelta,
    timezone: str,
    ui_url: str,
) -> list[str]:
    """Send what each receiver has not been sent yet about the outage; return which receivers failed, and why.

    Args:
        home: the folder of the file.
        receivers: where messages go.
        error: why the database cannot be used, without a password; None when it can.
        now: this machine's time.
        every: how often a reminder is sent.
        timezone: in which times are written.
        ui_url: where the Dagster UI is.
    """
    state = _read(home / STATE_FILE)
    if error is None and not state:
        return []
    since = datetime.fromisoformat(state["since"]) if state else now
    sent_at: dict[str, str] = dict(state.get("sent_at", {}))
    problems = []
    if not state:
        # before anything is sent, so that a process that continues after a crash finds the same start and sends the same id;
        # messages are sent even if the folder cannot be written
        with suppress(OSError):
            _write(home / STATE_FILE, since, sent_at)
    for receiver in receivers:
        kind = _due_message(sent_at.get(receiver.key), failing=error is not None, now=now, every=every)
        if kind is None:
            continue
        text = compose(
            kind,
            key="database",
            title="the database",
            sentence=error or "The database can be used again.",
            figures={},
            link=ui_url,
            since=since,
            now=now,
            occurrences=1,
            timezone=timezone,
        )
        uid = str(
            uuid5(NAMESPACE_URL, f"notaflow/{receiver.key}/{since.isoformat()}/{sent_at.get(receiver.key)}/{kind}")
        )
        result = send(receiver, text, uid=uid, failing=error is not None)
        if result.outcome != "delivered":
            problems.append(f"{receiver.label}: {result.reason}")
        elif error is None:
            del sent_at[receiver.key]
        else:
            sent_at[receiver.key] = now.isoformat()
        _write(home / STATE_FILE, since, sent_at)
    configured = {one.key for one in receivers}
    if error is None and not configured & sent_at.keys():
        (home / STATE_FILE).unlink(missing_ok=True)
    return problems


def _due_message(sent_at: str | None, *, failing: bool, now: datetime, every: timedelta) -> MessageKind | None:
    if not failing:
        return MessageKind.END if sent_at is not None else None
    if sent_at is None:
        return MessageKind.START
    return MessageKind.REMINDER if now - datetime.fromisoformat(sent_at) >= every else None


def _read(path: Path) -> dict[str, Any]:
    with suppress(FileNotFoundError, ValueError):
        state = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(state, dict) and "since" in state:
            return state
    return {}


def _write(path: Path, since: datetime, sent_at: dict[str, str]) -> None:
    write_atomically(json.dumps({"since": since.isoformat(), "sent_at": sent_at}), path)
