"""Runs commands in processes that are forked from a process that has imported them already.

The imports of `notaflow` take 0.5 s of CPU time, and the tests start it hundreds of times. A forked process has an
environment, a folder, streams and an exit code of its own, and runs the file of the real program.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock

MAX_REQUEST_BYTES = 200_000

_one_at_a_time = Lock()


def run_forked(
    command: list[str],
    *,
    imports: tuple[str, ...],
    folder: str,
    environment: dict[str, str],
    own: tuple[str, ...],
    seconds: float,
) -> "subprocess.CompletedProcess[str]":
    """Run a Python program as `subprocess.run` does, with nothing on stdin, and `imports` imported already.

    Variables whose names begin with one of `own` are set after that import, which must not read them.
    """
    inherited = frozenset((name, value) for name, value in environment.items() if not name.startswith(own))
    request = json.dumps([command, folder, environment]).encode()
    with _one_at_a_time, ThreadPoolExecutor(max_workers=2) as readers:
        server, requests = _start_server(imports, inherited)
        pipes = [os.pipe() for _ in range(2)]
        try:
            socket.send_fds(requests, [request], [written for _, written in pipes])
            for _, written in pipes:
                os.close(written)
            streams = [readers.submit(_read_all, read) for read, _ in pipes]
            requests.settimeout(seconds)
            exit_code = int(requests.recv(MAX_REQUEST_BYTES))
            output, errors = (stream.result() for stream in streams)
        except BaseException:
            os.killpg(server.pid, signal.SIGKILL)
            _start_server.cache_clear()
            raise
    return subprocess.CompletedProcess(command, exit_code, output, errors)


def _read_all(descriptor: int) -> str:
    with os.fdopen(descriptor) as stream:
        return stream.read()


@cache
def _start_server(
    imports: tuple[str, ...], variables: frozenset[tuple[str, str]]
) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """Start a process that forks for each request; it ends when this process ends."""
    requests, stdin = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with stdin:
        command = [sys.executable, "-P", __file__, *imports]
        environment = dict(variables) | {"OPENBLAS_NUM_THREADS": "1"}  # no threads in the process that forks
        server = subprocess.Popen(command, stdin=stdin.fileno(), env=environment, start_new_session=True)
    atexit.register(_end, server, requests)
    return server, requests


def _end(server: "subprocess.Popen[bytes]", requests: socket.socket) -> None:
    requests.close()
    server.wait()


def _fork_for_each_request(imports: list[str]) -> str:
    """Return the program to run in each forked process; in the process that forks, never return."""
    for module in imports:
        importlib.import_module(module)
    gc.freeze()  # or each forked process copies what is imported, to free it when it ends: 0.2 s of CPU time
    requests = socket.socket(fileno=0)
    while True:
        request, descriptors, *_ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 2)
        if not request:
            os._exit(0)
        child = os.fork()
        if child == 0:
            requests.detach()
            return _prepare(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _prepare(request: bytes, descriptors: list[int]) -> str:
    """Take the streams, the arguments, the folder and the environment of the program, and return its file."""
    for number, descriptor in enumerate([os.open(os.devnull, os.O_RDONLY), *descriptors]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv, folder, environment = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return sys.argv[0]


if __name__ == "__main__":
    runpy.run_path(_fork_for_each_request(sys.argv[1:]), run_name="__main__")
