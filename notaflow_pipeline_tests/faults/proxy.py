"""A TCP proxy on loopback with faults on demand: closed, silent, or closed between a COMMIT and its response."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from psycopg.conninfo import conninfo_to_dict

Address = tuple[str, int] | str

IN_NO_TRANSACTION = b"Z\x00\x00\x00\x05I"
"""The message ReadyForQuery after a commit: type, length 5, state idle."""


class Proxy:
    """Forwards connections to a PostgreSQL server, and breaks them on demand; `url` leads through it."""

    def __init__(self, database_url: str, address: str = "127.0.0.1") -> None:
        """Listen on a free port of a separate address, in front of the server of `database_url`."""
        parameters = conninfo_to_dict(database_url)
        host, port = str(parameters.get("host") or "127.0.0.1"), int(parameters.get("port") or 5432)
        self._server: Address = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        self._listener = socket.create_server((address, 0))
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._marker: bytes | None = None
        self._swallowed: bytes | None = None
        self._cut_at: bytes | None = None
        self._chance = random.Random(29)
        self._cut_one_in = 0
        self._until_next_cut = 0
        self.cuts = 0
        self.answers_lost = 0
        self.clients: set[str] = set()
        """Return all addresses that have connected."""
        user, password = parameters.get("user") or "postgres", parameters.get("password")
        who = f"{user}:{password}" if password else user
        # without the questions about encryption, what the server says is messages from its first byte
        self.url = (
            f"postgresql://{who}@{address}:{self._listener.getsockname()[1]}/{parameters['dbname']}"
            "?sslmode=disable&gssencmode=disable"
        )
        self._threads = [threading.Thread(target=self._accept, name="proxy-accept", daemon=True)]
        self._threads[0].start()

    def cut(self) -> int:
        """Close every connection, and accept new ones; return how many were closed."""
        with self._lock:
            cut = list(self._connections)
        for one in cut:
            one.close()
        return len(cut)

    def go_silent(self) -> int:
        """Drop all further data of the existing connections without closing them; new connections work."""
        with self._lock:
            for one in self._connections:
                one.silent = True
            return len(self._connections)

    def go_silent_at(self, statement: str) -> None:
        """Drop, once, the next statement that contains this, and all further data of its connection."""
        with self._lock:
            self._swallowed = statement.encode()

    def cut_at(self, statement: str) -> None:
        """Close, once, the connection over which the next statement that contains this is sent, before it arrives."""
        with self._lock:
            self._cut_at = statement.encode()

    def cut_one_in(self, number: int) -> None:
        """Close a connection with about one in so many messages of clients; 0 means never.

        From one cut to the next it is half as many to half as many again, by chance: a fixed interval could strike the
        same step of every retry, and pure chance now and then strikes every retry there is. One time the server still
        gets what was sent and its answer is lost, the next time it does not get it.
        """
        with self._lock:
            self._cut_one_in = number
            self._until_next_cut = self._interval()

    def lose_answer_to_commit(self, after: str) -> None:
        """Close, once, the connection instead of sending the response to the commit of a transaction with `after`."""
        with self._lock:
            self._marker = after.encode()

    def close(self) -> None:
        """Stop listening, and close all connections."""
        # wakes the thread that accepts, which closing alone does not
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(timeout=10)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(timeout=10)

    def swallows(self, sent: bytes) -> bool:
        """Whether this data starts the silence."""
        with self._lock:
            if self._swallowed is None or self._swallowed not in sent:
                return False
            self._swallowed = None
            return True

    def cuts_here(self, sent: bytes) -> tuple[bool, bool]:
        """Whether the connection is closed before or after this data reaches the server."""
        with self._lock:
            if self._cut_at is not None and self._cut_at in sent:
                self._cut_at = None
                self.cuts += 1
                return True, False
            if not self._cut_one_in:
                return False, False
            self._until_next_cut -= 1
            if self._until_next_cut > 0:
                return False, False
            self._until_next_cut = self._interval()
            self.cuts += 1
            return self.cuts % 2 == 0, self.cuts % 2 == 1

    def _interval(self) -> int:
        return self._chance.randint(self._cut_one_in // 2, self._cut_one_in * 3 // 2)

    def loses_answer(self, statements: bytes) -> bool:
        """Whether the response to the commit of these statements is the one to lose."""
        with self._lock:
            if self._marker is None or self._marker not in statements:
                return False
            self._marker = None
            self.answers_lost += 1
            return True

    def forget(self, connection: "_Connection") -> None:
        """Remove a closed connection from the list."""
        with self._lock:
            self._connections.discard(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, peer = self._listener.accept()
            except OSError:
                return
            try:
                connection = _Connection(self, client, self._reach_server())
            except OSError:
                client.close()
                continue
            with self._lock:
                self.clients.add(peer[0])
                self._connections.add(connection)
            self._threads += connection.start()

    def _reach_server(self) -> socket.socket:
        if isinstance(self._server, tuple):
            return socket.create_connection(self._server)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(self._server)
        except OSError:
            server.close()
            raise
        return server


class _Connection:
    """A client and its connection to the server, with a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._statements = bytearray()
        """The data that the client sent since its last transaction."""
        self.silent = False
        self._threads = [
            threading.Thread(target=self._until_closed, args=[pass_on], name="proxy-pass", daemon=True)
            for pass_on in (self._pass_to_server, self._pass_to_client)
        ]
        self._passing = threading.Barrier(len(self._threads), action=self._close_sockets)

    def start(self) -> list[threading.Thread]:
        """Forward data, in threads that end with the connection."""
        for thread in self._threads:
            thread.start()
        return self._threads

    def close(self) -> None:
        """Shut both sockets down; the forwarding threads wake up and close them."""
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._proxy.forget(self)

    def _close_sockets(self) -> None:
        self._client.close()
        self._server.close()

    def _until_closed(self, pass_on: Callable[[], bool]) -> None:
        with suppress(OSError):
            while pass_on():
                pass
        self.close()
        self._passing.wait()

    def _pass_to_server(self) -> bool:
        sent = self._client.recv(65536)
        self.silent = self.silent or self._proxy.swallows(sent)
        if self.silent or not sent:
            return bool(sent)
        before, after = self._proxy.cuts_here(sent)
        if before:
            return False
        self._statements += sent
        self._server.sendall(sent)
        return not after

    def _pass_to_client(self) -> bool:
        said = self._server.recv(65536)
        if self.silent:
            return bool(said)
        # the server says nothing between this and the next statement, so it never comes in two pieces in practice
        if said.endswith(IN_NO_TRANSACTION):
            if self._proxy.loses_answer(bytes(self._statements)):
                return False
            self._statements.clear()
        self._client.sendall(said)
        return bool(said)


@contextmanager
def proxy_before(database_url: str, address: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy in front of this database's server."""
    proxy = Proxy(database_url, address)
    try:
        yield proxy
    finally:
        proxy.close()
