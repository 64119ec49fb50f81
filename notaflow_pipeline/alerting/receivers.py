"""Parses the URLs of NOTAFLOW_ALERT_URLS, and sends a message to one of them within a time limit.

The only module that uses apprise. URLs contain secrets: other modules identify a receiver by a digest and a label.
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

from notaflow_pipeline.alerting.messages import MessageText
from notaflow_pipeline.settings import Settings

SEND_SECONDS = 15
"""How long one receiver may take for one message."""

UNSUPPORTED_URL = "not a URL that apprise understands; https://appriseit.com/services lists them"

SCHEMES_WITH_HOST = frozenset({"json", "jsons", "form", "forms", "xml", "xmls", "mailto", "mailtos"})
"""Schemes whose host is not a secret. In many others (Slack, Discord) a token takes its place."""


@dataclass(frozen=True)
class Receiver:
    """One URL that messages go to."""

    url: str = field(repr=False)

    @property
    def key(self) -> str:
        """A digest of the URL, from which the URL cannot be derived."""
        return _digest(self.url)

    @property
    def label(self) -> str:
        """A readable name without secrets."""
        scheme, host = _scheme_and_host(self.url)
        return f"{scheme}://{host + '/' if host else ''}*** ({self.key[:4]})"


@dataclass(frozen=True)
class SendResult:
    """The outcome of an attempt: delivered, refused or unknown."""

    outcome: Literal["delivered", "refused", "unknown"]
    reason: str = ""


def parse_receivers(urls: str | None) -> tuple[Receiver, ...]:
    """Return the receivers of NOTAFLOW_ALERT_URLS: URLs separated by white space or commas."""
    found = re.split(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)", (urls or "").strip().strip(","))
    return tuple(Receiver(url) for url in dict.fromkeys(found) if url)


def configured_receivers(settings: Settings) -> tuple[Receiver, ...]:
    """Return the receivers that the settings name."""
    return parse_receivers(settings.alert_urls.get_secret_value() if settings.alert_urls else None)


def is_supported(receiver: Receiver) -> bool:
    """Whether a URL is one that apprise can send to; nothing is sent."""
    try:
        return _apprise().Apprise.instantiate(receiver.url) is not None
    except Exception:  # noqa: BLE001 - a hundred plugins
        return False


def send(
    receiver: Receiver, text: MessageText, *, uid: str, failing: bool = True, seconds: float = SEND_SECONDS
) -> SendResult:
    """Send one message to one receiver; return within `seconds` even if the receiver does not answer.

    Args:
        receiver: where to.
        text: the message.
        uid: the message's id. It is in the body, and in the header `Idempotency-Key` where the kind of receiver has
            headers (webhooks, mail), so that a receiver can recognise a duplicate.
        failing: whether the condition fails.
        seconds: the longest wait.
    """
    results: queue.SimpleQueue[SendResult] = queue.SimpleQueue()
    # a daemon thread: one that hangs delays neither other receivers nor the end of the process
    threading.Thread(target=lambda: results.put(_send(receiver, text, uid, failing)), daemon=True).start()
    try:
        return results.get(timeout=seconds)
    except queue.Empty:
        return SendResult("unknown", f"no answer within {seconds:g} s")


def _send(receiver: Receiver, text: MessageText, uid: str, failing: bool) -> SendResult:
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
        sender = apprise.Apprise(asset=asset)
        sender.add(service)
        result = sender.notify(
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
    """Return apprise's messages about a failure, without any part of the URL."""
    reason = " ".join(messages) or "refused without a reason"
    for secret in _secrets(receiver.url):
        reason = reason.replace(secret, "***")
    return reason[:300]


def _secrets(url: str) -> Iterator[str]:
    """Yield every part of a URL that could be a secret, longest first."""
    scheme, host = _scheme_and_host(url)
    rest = url.removeprefix(f"{scheme}://")
    rest = rest.replace(host, "") if host else rest
    words = {word for word in re.split(r"[/:?&=@+,#\s]+", rest) if len(word) >= 3}
    yield from sorted(words | {unquote(word) for word in words}, key=len, reverse=True)


def _scheme_and_host(url: str) -> tuple[str, str]:
    """Return the parts of a URL that are not secret: its scheme, and host and port for schemes that have them."""
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
    """Import apprise (0.2 s, which most commands do not need), and keep its messages out of logs."""
    import apprise

    # warnings name hosts and users, debugging output holds whole URLs: all that is needed goes through `_reason`
    logging.getLogger("apprise").propagate = False
    logging.getLogger("apprise").setLevel(logging.WARNING)
    for logger in ("urllib3", "requests", "requests_oauthlib", "oauthlib"):
        logging.getLogger(logger).setLevel(max(logging.INFO, logging.getLogger(logger).level))
    return apprise


@lru_cache
def _digest(url: str) -> str:
    # slow on purpose: a URL may hold a weak password, which readers of the table must not be able to guess
    return hashlib.scrypt(url.encode(), salt=b"notaflow alert receiver", n=2**13, r=8, p=1, dklen=8).hex()
