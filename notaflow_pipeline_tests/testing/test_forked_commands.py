"""Tests that a forked command cannot be told from one that was started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from notaflow_pipeline_tests.cli import IMPORTS, OUR_VARIABLES
from notaflow_pipeline_tests.testing.forked_commands import run_forked
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

SHOW = """
import atexit, os, pathlib, signal, sys, threading
print(__name__, sys.argv, os.getcwd(), sorted(os.environ.items()), sys.stdin.read(), sep="\\n")
print(sorted(os.listdir("/proc/self/fd")), threading.active_count(), [str(signal.getsignal(one)) for one in (2, 13, 15, 17)])
print(os.popen("printenv NOTAFLOW_HOME").read())
atexit.register(print, "at the end")
threading.Timer(0.1, print, ["of a thread"]).start()
print("zażółć", file=sys.stderr)
"""
ENDS = {
    "returns": "",
    "exits": "sys.exit(3)",
    "exits with a text": "sys.exit('refused')",
    "raises": "sys.stdout.flush(); 1 / 0",
    "is killed": f"sys.stdout.flush(); os.kill(os.getpid(), {signal.SIGKILL:d})",
    "is terminated": f"sys.stdout.flush(); os.kill(os.getpid(), {signal.SIGTERM:d})",
}
RECORD_READ_VARIABLES = """
import os, sys
read = set()
read_one, read_all = os._Environ.__getitem__, os._Environ.__iter__
os._Environ.__getitem__ = lambda self, name: (read.add(name), read_one(self, name))[1]
os._Environ.__iter__ = lambda self: (read.add("NOTAFLOW_* and all others"), read_all(self))[1]
import importlib
for module in sys.argv[1:]:
    importlib.import_module(module)
print("\\n".join(sorted(read)))
"""


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_forked_command_behaves_like_a_started_one(tmp_path: Path, end: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(SHOW + end, encoding="utf-8")
    command = [str(program), "--json", "a b"]
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NOTAFLOW_HOME": str(tmp_path), "TMPDIR": "/nowhere"}
    forked = run_forked(
        command,
        imports=("json",),
        folder=str(tmp_path),
        environment=environment,
        own=OUR_VARIABLES,
        seconds=HANG_SECONDS,
    )
    started = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    without_frames = [
        [line for line in text.splitlines() if line[:1] != " "] for text in (forked.stderr, started.stderr)
    ]
    assert without_frames[0] == without_frames[1]
    assert (forked.returncode, forked.stdout) == (started.returncode, started.stdout)


def test_imports_read_no_setting() -> None:
    program = [sys.executable, "-c", RECORD_READ_VARIABLES, *IMPORTS]
    read = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    assert read, "or nothing was recorded"
    assert [name for name in read if name.startswith(OUR_VARIABLES)] == []
