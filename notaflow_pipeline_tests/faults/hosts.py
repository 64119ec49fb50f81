"""Hosts as network namespaces: each has its own address on a common network, and can be cut off or killed.

Needs root and iproute2; `unavailable` says what is missing.
"""

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_networks = itertools.count()


def unavailable() -> str | None:
    """Return why this machine cannot create hosts; None if it can."""
    if shutil.which("ip") is None:
        return "hosts as network namespaces need iproute2 (the program `ip`)"
    probe = f"notaflow{os.getpid()}p"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    _ip("netns", "delete", probe)
    return None


@dataclass(frozen=True)
class Host:
    """A namespace with one link to the network."""

    name: str
    link: str
    address: str

    started: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def start(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        """Start a program on the host; its output is appended to a file."""
        with log.open("ab") as output:
            inside = ["ip", "netns", "exec", self.name, *command]
            self.started.append(subprocess.Popen(inside, env=environment, stdout=output, stderr=output))

    def processes(self) -> list[int]:
        """Return the PIDs of the host's processes."""
        for process in self.started:
            process.poll()  # or the dead ones would stay on the list
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True)
        return [int(pid) for pid in found.stdout.split()]

    def kill(self) -> int:
        """Kill all processes of the host, as a power cut does; return how many there were."""
        pids = self.processes()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait()
        return len(pids)

    def cut_off(self) -> None:
        """Disconnect it from the network, without any notification."""
        _ip("link", "set", self.link, "down")

    def plug_in(self) -> None:
        """Connect it to the network again."""
        _ip("link", "set", self.link, "up")


@contextmanager
def hosts(count: int) -> Iterator[tuple[str, list[Host]]]:
    """Yield this machine's address on a new network, and hosts on it; all are removed at the end."""
    # the kernel takes its time to remove a network: the next one of this process has other names
    number_of_network = next(_networks)
    mark = f"{os.getpid() % 100000:05d}{number_of_network % 10}"
    network = f"10.213.{(os.getpid() + number_of_network) % 250}"
    with ExitStack() as made:
        _ip("link", "add", f"nf{mark}", "type", "bridge")
        made.callback(_ip, "link", "delete", f"nf{mark}")
        _ip("address", "add", f"{network}.1/24", "dev", f"nf{mark}")
        _ip("link", "set", f"nf{mark}", "up")
        found = []
        for number in range(count):
            host = Host(f"notaflow{mark}h{number}", f"nf{mark}v{number}", f"{network}.{10 + number}")
            _ip("netns", "add", host.name)
            made.callback(_ip, "netns", "delete", host.name)
            made.callback(host.kill)
            inside = f"nf{mark}w{number}"
            _ip("link", "add", host.link, "type", "veth", "peer", "name", inside, "netns", host.name)
            _ip("link", "set", host.link, "master", f"nf{mark}", "up")
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", inside)
            _ip("-n", host.name, "link", "set", inside, "up")
            _ip("-n", host.name, "link", "set", "lo", "up")
            found.append(host)
        yield f"{network}.1", found


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
