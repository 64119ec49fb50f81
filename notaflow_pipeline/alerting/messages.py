"""Composes the messages of a condition, in English and French: sentence, figures, time and link.

Every message is in both languages, because one receiver is often read by people of either language. A message holds no
text of a document.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from notaflow_pipeline.alerting import french
from notaflow_pipeline.alerting.conditions import MessageKind

MAX_SENTENCE_CHARACTERS = 1000
"""Many receivers refuse messages of more than two thousand characters."""

MAX_FIGURES = 12

_SUBJECTS = {
    MessageKind.START: "NotaFlow: {} fails / échoue",
    MessageKind.REMINDER: "NotaFlow: {} still fails / échoue toujours",
    # not "passes": a rate may merely have too little data, which the body says
    MessageKind.END: "NotaFlow: {} no longer fails / n’échoue plus",
}


@dataclass(frozen=True)
class MessageText:
    """The subject and body of a message."""

    subject: str
    body: str


def compose(
    kind: MessageKind,
    *,
    key: str,
    title: str,
    sentence: str,
    figures: Mapping[str, float | int | str],
    link: str | None,
    since: datetime,
    now: datetime,
    occurrences: int,
    timezone: str,
) -> MessageText:
    """Compose a message.

    Args:
        kind: why it is sent.
        key: of the condition.
        title: the condition, in a few words.
        sentence: what was found, and what to do about it.
        figures: numbers by name, among them the threshold and the day where there is one.
        link: the page that shows more.
        since: when the condition started.
        now: the time of the message.
        occurrences: how often it was observed failing.
        timezone: in which times are written.
    """
    lines = [_cut(sentence), "", french.explain(key, kind), ""]
    lines += [f"{_label(name)}: {value}" for name, value in list(figures.items())[:MAX_FIGURES]]
    started = f"{since.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M %Z}"
    if kind is MessageKind.START:
        lines.append(f"since / depuis: {started}")
    else:
        lines.append(f"since / depuis: {started}, {_length(now - since)}")
    if kind is MessageKind.REMINDER:
        lines.append(f"observations: {occurrences:,}")
    if link is not None:
        lines.append(f"link / lien: {link}")
    return MessageText(_SUBJECTS[kind].format(title), "\n".join(lines))


def compose_test_message(ui_url: str) -> MessageText:
    """Compose the message of `notaflow alert --test`."""
    return MessageText(
        "NotaFlow: test / essai",
        "This is a test: alerts of NotaFlow's OCR arrive here.\n\nCeci est un essai\N{NO-BREAK SPACE}: les alertes de "
        f"NotaFlow arrivent ici.\n\nlink / lien: {ui_url}",
    )


def _label(figure: str) -> str:
    """Return the name of a figure in both languages, once if it is the same."""
    return " / ".join(dict.fromkeys((figure.replace("_", " "), french.FIGURES.get(figure, figure.replace("_", " ")))))


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= MAX_SENTENCE_CHARACTERS else sentence[: MAX_SENTENCE_CHARACTERS - 1] + "…"


def _length(duration: timedelta) -> str:
    hours, minutes = divmod(int(duration.total_seconds()) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
