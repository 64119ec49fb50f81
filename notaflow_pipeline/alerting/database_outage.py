"""How somebody is told that the database itself is gone: straight to the receivers, with what was said kept in a file.

Only the watch from outside needs it. The same three messages: when it starts, a reminder at a limited rate, when it ends;
each receiver is tried again until it took its one.
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

FILE = "database-alert.json"


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
    """Tell whoever does not know it yet that the database is gone, or back; return who could not be told, and why.

    Args:
        home: where the file lies.
        receivers: who is told.
        error: why the database cannot be used, without a password; None when it can.
        now: this machine's time.
        every: how often it is recalled.
        timezone: in which times are written.
        ui_url: where the Dagster UI is.
    """
    state = _read(home / FILE)
    if error is None and not state:
        return []
    since = datetime.fromisoformat(state["since"]) if state else now
    told: dict[str, str] = dict(state.get("told", {}))
    problems = []
    if not state:
        # before anything is sent: whoever goes on after a death finds the same beginning, and so sends the same id;
        # a folder that cannot be written is no reason to tell nobody
        with suppress(OSError):
            _write(home / FILE, since, told)
    for receiver in receivers:
        kind = _due(told.get(receiver.key), failing=error is not None, now=now, every=every)
        if kind is None:
            continue
        text = compose(
            kind,
            title="the database",
            sentence=error or "The database can be used again.",
            figures={},
            link=ui_url,
            since=since,
            now=now,
            occurrences=1,
            timezone=timezone,
        )
        uid = str(uuid5(NAMESPACE_URL, f"notaflow/{receiver.key}/{since.isoformat()}/{told.get(receiver.key)}/{kind}"))
        sent = send(receiver, text, uid=uid, failing=error is not None)
        if sent.outcome != "delivered":
            problems.append(f"{receiver.label}: {sent.reason}")
        elif error is None:
            del told[receiver.key]
        else:
            told[receiver.key] = now.isoformat()
        _write(home / FILE, since, told)
    wanted = {one.key for one in receivers}
    if error is None and not wanted & told.keys():
        (home / FILE).unlink(missing_ok=True)
    return problems


def _due(told: str | None, *, failing: bool, now: datetime, every: timedelta) -> MessageKind | None:
    if not failing:
        return MessageKind.END if told is not None else None
    if told is None:
        return MessageKind.START
    return MessageKind.REMINDER if now - datetime.fromisoformat(told) >= every else None


def _read(path: Path) -> dict[str, Any]:
    with suppress(FileNotFoundError, ValueError):
        state = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(state, dict) and "since" in state:
            return state
    return {}


def _write(path: Path, since: datetime, told: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"since": since.isoformat(), "told": told}), encoding="utf-8")
    draft.replace(path)
