"""What a message says: the condition, its figures, the threshold, the day, and where to look. Never a document's text."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from notaflow_pipeline.alerting.conditions import MessageKind

MAX_SENTENCE_CHARACTERS = 1000
"""Characters; many receivers refuse more than two thousand in all."""

MAX_FIGURES = 12

_SUBJECTS = {
    MessageKind.START: "NotaFlow: {} fails",
    MessageKind.REMINDER: "NotaFlow: {} still fails",
    # not "is well": a rate that has too little data to be judged is not, and the body says so
    MessageKind.END: "NotaFlow: {} no longer fails",
}


@dataclass(frozen=True)
class Text:
    """A message for people."""

    subject: str
    body: str


def compose(
    kind: MessageKind,
    *,
    title: str,
    sentence: str,
    figures: Mapping[str, float | int | str],
    link: str | None,
    since: datetime,
    now: datetime,
    occurrences: int,
    timezone: str,
) -> Text:
    """Write a message.

    Args:
        kind: why it is sent.
        title: the condition, in a few words.
        sentence: what was found, and what to do about it.
        figures: numbers by name, among them the threshold and the day where there is one.
        link: where to look.
        since: when the condition started.
        now: the moment of writing.
        occurrences: how often it was seen failing.
        timezone: in which times are written.
    """
    lines = [_cut(sentence), ""]
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in list(figures.items())[:MAX_FIGURES]]
    started = f"{since.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M %Z}"
    if kind is MessageKind.START:
        lines.append(f"since: {started}")
    else:
        lines.append(f"since: {started}, {_length(now - since)}")
    if kind is MessageKind.REMINDER:
        lines.append(f"seen: {occurrences} times")
    if link is not None:
        lines.append(f"look: {link}")
    return Text(_SUBJECTS[kind].format(title), "\n".join(lines))


def compose_test_message(ui_url: str) -> Text:
    """Write the message of `notaflow alert --test`."""
    return Text("NotaFlow test", f"This is a test: alerts of NotaFlow's OCR reach you here.\n\nlook: {ui_url}")


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= MAX_SENTENCE_CHARACTERS else sentence[: MAX_SENTENCE_CHARACTERS - 1] + "…"


def _length(duration: timedelta) -> str:
    hours, minutes = divmod(int(duration.total_seconds()) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
