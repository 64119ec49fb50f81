"""Who is told: the URLs of NOTAFLOW_ALERT_URLS, and one message sent to one of them, within a time limit.

The only module that knows apprise. URLs hold secrets: outside this module a receiver is known by a digest and a label.
What does not belong here: what was sent already, and when to try again (`outbox`, `delivery`).
"""

import hashlib
import logging
import queue
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from notaflow_pipeline.alerting.messages import Text

SEND_SECONDS = 15
"""How long one receiver may take with one message; what takes longer is not waited for."""

UNSUPPORTED_URL = "not a URL that apprise understands; https://appriseit.com/services lists them"

SCHEMES_WITH_HOST = frozenset({"json", "jsons", "form", "forms", "xml", "xmls", "mailto", "mailtos"})
"""Schemes in which the host is a host. In many others (Slack, Discord) it is a token."""


@dataclass(frozen=True)
class Receiver:
    """One URL that messages go to."""

    url: str = field(repr=False)

    @property
    def key(self) -> str:
        """The same for the same URL, and nobody learns the URL from it."""
        return _digest(self.url)

    @property
    def label(self) -> str:
        """A name for people, without any secret."""
        scheme, host = _scheme_and_host(self.url)
        return f"{scheme}://{host + '/' if host else ''}*** ({self.key[:4]})"


@dataclass(frozen=True)
class SendResult:
    """What became of an attempt: it arrived, it was refused, or nobody knows."""

    outcome: Literal["delivered", "refused", "unknown"]
    reason: str = ""


def parse_receivers(urls: str | None) -> tuple[Receiver, ...]:
    """Return the receivers of NOTAFLOW_ALERT_URLS: URLs with white space between them, or commas."""
    found = re.split(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)", (urls or "").strip().strip(","))
    return tuple(Receiver(url) for url in dict.fromkeys(found) if url)


def is_supported(receiver: Receiver) -> bool:
    """Whether a URL is one that apprise can send to; nothing is sent."""
    try:
        return _apprise().Apprise.instantiate(receiver.url) is not None
    except Exception:  # noqa: BLE001 - a hundred plugins
        return False


def send(
    receiver: Receiver, text: Text, *, uid: str, failing: bool = True, seconds: float = SEND_SECONDS
) -> SendResult:
    """Send one message to one receiver; return within `seconds`, whatever the receiver does.

    Args:
        receiver: to whom.
        text: what.
        uid: the message's id. It stands in the body, and as the header `Idempotency-Key` where the kind of receiver has
            headers (webhooks, mail), so that one that gets it twice can tell.
        failing: whether it is bad news.
        seconds: how long to wait at most.
    """
    answers: queue.SimpleQueue[SendResult] = queue.SimpleQueue()
    # a thread that hangs in a receiver is left behind: it holds up neither other receivers nor the end of the process
    threading.Thread(target=lambda: answers.put(_send(receiver, text, uid, failing)), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return SendResult("unknown", f"no answer within {seconds:g} s")


def _send(receiver: Receiver, text: Text, uid: str, failing: bool) -> SendResult:
    try:
        apprise = _apprise()
        # inline and without its own retries, pools and limits, which would outlive ours
        asset = apprise.AppriseAsset(app_id="NotaFlow", async_mode=False, service_timeout=0)
        service: Any = apprise.Apprise.instantiate(receiver.url, asset=asset)
        if service is None:
            return SendResult("refused", UNSUPPORTED_URL)
        headers = getattr(service, "headers", None)
        if isinstance(headers, dict):
            headers["Idempotency-Key"] = uid
        postbox = apprise.Apprise(asset=asset)
        postbox.add(service)
        result = postbox.notify(
            title=text.subject,
            body=f"{text.body}\n\nmessage: {uid}",
            notify_type=apprise.NotifyType.FAILURE if failing else apprise.NotifyType.SUCCESS,
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as broken:  # noqa: BLE001 - a hundred plugins, and none may end the delivery to others
        return SendResult("refused", f"{type(broken).__name__} in apprise")
    if result:
        return SendResult("delivered")
    return SendResult("refused", _reason(receiver, [entry.message for entry in result.logs()]))


def _reason(receiver: Receiver, messages: list[str]) -> str:
    """Return what apprise says of a failure, without anything that the URL holds."""
    said = " ".join(messages) or "refused without a reason"
    for secret in _secrets(receiver.url):
        said = said.replace(secret, "***")
    return said[:300]


def _secrets(url: str) -> Iterator[str]:
    """Yield every part of a URL that could be one, longest first."""
    scheme, host = _scheme_and_host(url)
    rest = url.removeprefix(f"{scheme}://")
    rest = rest.replace(host, "") if host else rest
    words = {word for word in re.split(r"[/:?&=@+,#\s]+", rest) if len(word) >= 3}
    yield from sorted(words | {unquote(word) for word in words}, key=len, reverse=True)


def _scheme_and_host(url: str) -> tuple[str, str]:
    """Return what of a URL is no secret: its scheme, and host and port where they are that."""
    named = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    scheme = named[1].lower() if named else ""
    if scheme not in SCHEMES_WITH_HOST:
        return scheme, ""
    try:
        parts = urlsplit(url)
        return scheme, (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return scheme, ""


@lru_cache
def _apprise() -> ModuleType:
    """Import apprise (a fifth of a second, which most commands have no use for), and let nothing of it get into logs."""
    import apprise

    # warnings name hosts and users, debugging output holds whole URLs: all that is needed goes through `_reason`
    logging.getLogger("apprise").propagate = False
    logging.getLogger("apprise").setLevel(logging.WARNING)
    for chatty in ("urllib3", "requests", "requests_oauthlib", "oauthlib"):
        logging.getLogger(chatty).setLevel(max(logging.INFO, logging.getLogger(chatty).level))
    return apprise


@lru_cache
def _digest(url: str) -> str:
    # slow on purpose: a URL may hold a weak password, and whoever reads the table must not be able to guess it
    return hashlib.scrypt(url.encode(), salt=b"notaflow alert receiver", n=2**13, r=8, p=1, dklen=8).hex()
