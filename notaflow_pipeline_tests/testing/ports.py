"""Ports of this machine for servers of tests."""

import atexit
import errno
import os
import random
import socket
import urllib.request
from contextlib import ExitStack

FIRST, LAST = 20_000, 32_000
"""Below the ports that Linux gives to outgoing connections, any of which could take a port between choice and use."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that no server has, and that no other test process of this machine is given."""
    start = random.Random(os.getpid()).randrange(LAST - FIRST)
    for number in range(LAST - FIRST):
        port = FIRST + (start + number) % (LAST - FIRST)
        if _reserve(port):
            return port
    raise OSError(errno.EADDRINUSE, "no port is free")


def _reserve(port: int) -> bool:
    """Hold the UDP port of the same number until this process ends, which tells other tests that the port is taken."""
    with ExitStack() as until_reserved:
        reservation = until_reserved.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            reservation.bind(("127.0.0.1", port))
            with socket.socket() as server:
                server.bind(("127.0.0.1", port))
        except OSError:
            return False
        until_reserved.pop_all()
    atexit.register(reservation.close)
    return True


def answers(url: str) -> bool:
    """Whether a web server answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - a server of the tests
            return bool(answer.status == 200)
    except OSError:  # which URLError and the time-out are
        return False
