"""Tests of the sandbox: a compromised worker cannot read the secrets of the processes around it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's /proc is what is read here")

NOBODY = 65534

PARENT_PROGRAM = """
import os, sys
sys.path.insert(0, {project!r})
from notaflow_pipeline.ocr.workers.sandbox import forbid_tracing, enter_sandbox
{before}
reading_end, writing_end = os.pipe()
child = os.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-c", {spy!r}, str(os.getppid())])
_, status = os.waitpid(child, 0)
# accesses to /proc of the product itself, as `nobody`: its own figures, its own files, those of its children
open("/proc/self/statm").read(); os.listdir("/proc/self/fd")
sys.exit(os.waitstatus_to_exitcode(status))
"""

CHILD_PROGRAM = """
import os, sys
sys.path.insert(0, {project!r})
from notaflow_pipeline.ocr.workers.sandbox import enter_sandbox
{before}
try:
    sys.exit(3 if b"secret" in open(f"/proc/{{sys.argv[1]}}/environ", "rb").read() else 4)
except PermissionError:
    sys.exit(5)
"""

READ, DENIED = 3, 5


@pytest.fixture
def project() -> Iterator[Path]:
    """Copies the module to a folder that the user `nobody` can read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = folder / "notaflow_pipeline" / "ocr" / "workers"
        place.mkdir(parents=True)
        for package in (place, place.parent, place.parent.parent):
            (package / "__init__.py").touch()
        shutil.copy(Path(__file__).parents[3] / "notaflow_pipeline" / "ocr" / "workers" / "sandbox.py", place)
        folder.chmod(0o755)
        yield folder


def spied_on(project: Path, parent: str, child: str) -> int:
    """Returns what a child finds when it searches for the secret of its parent; both run as the same unprivileged
    user."""
    spy = CHILD_PROGRAM.format(project=str(project), before=child)
    program = PARENT_PROGRAM.format(project=str(project), before=parent, spy=spy)
    python = (
        shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    )  # a Python that the user `nobody` can start
    program = program.replace("sys.executable", repr(python))
    nobody = NOBODY if os.geteuid() == 0 else None
    done = subprocess.run(
        [python, "-c", program],
        env={"PASSWORD": "secret"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        user=nobody,
        group=nobody,
        extra_groups=None if nobody is None else [],
    )
    assert done.returncode in {READ, DENIED}, done.stderr
    return done.returncode


def test_without_the_sandbox_a_child_reads_its_parents_secrets(project: Path) -> None:
    if spied_on(project, "", "") == DENIED:
        pytest.skip("this machine lets no process look into another anyway")


def test_child_cannot_read_the_secrets_of_a_parent_that_closed_its_memory(project: Path) -> None:
    assert spied_on(project, "forbid_tracing()", "") == DENIED


def test_sandboxed_child_cannot_read_an_unprotected_parents_secrets(project: Path) -> None:
    asked = [
        sys.executable,
        "-c",
        "import sys\nfrom notaflow_pipeline.ocr.workers.sandbox import enter_sandbox\nsys.exit(not enter_sandbox())",
    ]
    if subprocess.run(asked, check=False).returncode != 0:
        pytest.skip("this kernel has no Landlock")
    assert spied_on(project, "", "enter_sandbox()") == DENIED
