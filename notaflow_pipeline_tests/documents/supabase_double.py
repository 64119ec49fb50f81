"""An HTTP server on loopback that answers like Supabase Storage, or with errors that a test chooses."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import unquote

SERVICE_KEY = "service-key-that-must-never-be-shown"

Response = Callable[[BaseHTTPRequestHandler], None]


class SupabaseDouble(ThreadingHTTPServer):
    """Private buckets in memory. `override` replaces every response; `requests` are the received ones."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.public_flags: dict[str, object] = {}
        self.override: Response | None = None
        self.requests: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection, which some tests cause."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_welcome():
            return
        route = self._route()
        if route == ["bucket"]:
            self._send_json(200, [{"id": bucket, "public": False} for bucket in self._double.buckets])
        elif route[0] == "bucket":
            if route[1] in self._double.buckets:
                self._send_json(200, {"id": route[1], "public": False})
            else:
                self._send_problem("404", "Bucket not found", "Bucket not found")
        elif route[:2] == ["object", "authenticated"]:
            self._send_object(route[2], "/".join(route[3:]))
        else:
            self._send_problem("404", "Not Found", "Route not found")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])) if "Content-Length" in self.headers else b""
        if not self._is_welcome():
            return
        route = self._route()
        if route == ["bucket"]:
            bucket = json.loads(body)
            self._double.buckets[bucket["id"]] = {}
            self._double.public_flags[bucket["id"]] = bucket["public"]
            self._send_json(200, {"name": bucket["id"]})
        elif route[1] not in self._double.buckets:
            self._send_problem("404", "Bucket not found", "Bucket not found")
        elif self.headers.get("x-upsert") != "true" and "/".join(route[2:]) in self._double.buckets[route[1]]:
            self._send_problem("409", "Duplicate", "The resource already exists")
        else:
            self._double.buckets[route[1]]["/".join(route[2:])] = body
            self._send_json(200, {"Key": "/".join(route[1:])})

    def log_message(self, *args: object) -> None:
        """Log nothing."""

    @property
    def _double(self) -> SupabaseDouble:
        return cast("SupabaseDouble", self.server)

    def _route(self) -> list[str]:
        return unquote(self.path.partition("?")[0].removeprefix("/storage/v1/")).split("/")

    def _is_welcome(self) -> bool:
        self._double.requests.append(f"{self.command} {self.path}")
        if self._double.override:
            self.close_connection = True
            self._double.override(self)
            return False
        if self.headers.get("Authorization") != f"Bearer {SERVICE_KEY}" or self.headers.get("apikey") != SERVICE_KEY:
            self._send_problem("403", "Unauthorized", "Invalid Compact JWS")
            return False
        return True

    def _send_object(self, bucket: str, name: str) -> None:
        if bucket not in self._double.buckets:
            self._send_problem("404", "Bucket not found", "Bucket not found")
        elif name not in self._double.buckets[bucket]:
            self._send_problem("404", "not_found", "Object not found")
        else:
            send(self, 200, self._double.buckets[bucket][name])

    def _send_problem(self, status: str, error: str, message: str) -> None:
        self._send_json(400, {"statusCode": status, "error": error, "message": message})

    def _send_json(self, status: int, body: object) -> None:
        send(self, status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8"})


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    *,
    length: int | None = -1,
) -> None:
    """Answer with `body`; `length` is what Content-Length claims: -1 means the real length, None no header."""
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    if length is not None:
        handler.send_header("Content-Length", str(len(body) if length == -1 else length))
    else:
        handler.send_header("Connection", "close")
    handler.end_headers()
    try:
        handler.wfile.write(body)
    except OSError:
        handler.close_connection = True  # the client has closed the connection


@contextmanager
def running() -> Iterator[SupabaseDouble]:
    """Serve from a thread until the block ends."""
    with SupabaseDouble() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
