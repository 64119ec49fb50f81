"""Receivers on loopback: a webhook and an SMTP server that store messages, and can be set to refuse or to hang."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from notaflow_pipeline_tests.testing.ports import free_port


@dataclass
class Webhook:
    """A server of HTTP that keeps the messages that it accepted."""

    port: int = 0
    accepts: bool = True
    hangs_seconds: float = 0
    keeps_silent_seconds: float = 0
    """How long it waits with its answer once it has accepted a message."""
    refuses: str | None = None
    """Messages with this in their title are refused."""
    before_answer: Callable[[], None] = lambda: None
    """What happens once it has accepted a message and has not said so yet."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    woken: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"

    @property
    def titles(self) -> list[str]:
        """The English half of each title; the French one follows a slash."""
        return [one["title"].partition(" / ")[0] for one in self.messages]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A webhook that accepts what comes until it is told otherwise."""
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.requests += 1
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.woken.wait(kept.hangs_seconds)
            refused = not kept.accepts or (kept.refuses is not None and kept.refuses in body["title"])
            if not refused:
                kept.messages.append({**body, "headers": dict(self.headers)})
                kept.before_answer()
                kept.woken.wait(kept.keeps_silent_seconds)
            with suppress(ConnectionError):  # the sender may have been killed meanwhile
                self.send_response(503 if refused else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kept
    finally:
        kept.woken.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """What an SMTP server accepted, and with which credentials."""

    port: int = 0
    mails: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)


@contextmanager
def smtp_server() -> Iterator[Mailbox]:
    """An SMTP server that wants a login, and takes any."""
    box = Mailbox()

    class Handler:
        async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - SMTP's name
            assert isinstance(envelope.content, bytes)
            box.mails.append(message_from_bytes(envelope.content, policy=default))
            box.recipients += envelope.rcpt_tos
            return "250 OK"

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        box.logins.append((data.login, data.password))
        return AuthResult(success=True)

    controller = Controller(
        Handler(),
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=authenticate,
        auth_require_tls=False,
    )
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        controller.stop()
