"""Tests of the environment and the resource limits of a worker, read inside a worker."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.ocr.workers.resource_limits import FIXED_VARIABLES, MAX_OPEN_FILES, allowlisted_environment
from notaflow_pipeline_tests.ocr.failing_engines import ReportingEngine
from notaflow_pipeline_tests.ocr.samples import png
from notaflow_pipeline_tests.testing.ending import children_of
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

SECRETS = (
    "NOTAFLOW_DATABASE_URL",
    "SUPABASE_SERVICE_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "PGPASSWORD",
    "DAGSTER_PG_PASSWORD",
)


def reported(tmp_path: Path) -> dict[str, Any]:
    with DocumentPool(ReportingEngine(), workers=1, limits=Limits(worker_bytes=1_500_000_000)) as pool:
        text = pool.start(png(tmp_path / "a")).result(timeout=HANG_SECONDS).pages[0].text
        for process in children_of():
            assert not set(SECRETS) & set(process.environ()), process.cmdline()
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_worker_has_no_secret_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("TESSDATA_PREFIX", "/usr/share/tessdata")
    environment = reported(tmp_path)["environment"]
    assert not set(SECRETS) & set(environment)
    assert {"PATH", "TESSDATA_PREFIX", *FIXED_VARIABLES} <= set(environment)


def test_worker_may_use_no_more_than_it_needs(tmp_path: Path) -> None:
    limits = reported(tmp_path)["limits"]
    assert limits["RLIMIT_DATA"] == 1_500_000_000
    assert limits["RLIMIT_NOFILE"] == MAX_OPEN_FILES
    assert limits["RLIMIT_CORE"] == 0
    assert 0 < limits["RLIMIT_FSIZE"] < 1_000_000_000
    assert 0 < limits["RLIMIT_CPU"] < 1000


def test_only_what_is_listed_is_passed_on() -> None:
    environment = {"PATH": "/bin", "LC_ALL": "C", "NEW_SERVICE_TOKEN": "secret", "pythonpath": "x", "PYTHONPATH": "y"}
    passed_on = {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "y"}
    assert allowlisted_environment(environment) == passed_on | FIXED_VARIABLES
    assert FIXED_VARIABLES["OMP_THREAD_LIMIT"] == FIXED_VARIABLES["OPENBLAS_NUM_THREADS"] == "1"


def test_process_that_computes_without_end_ends() -> None:
    limited = "from notaflow_pipeline.ocr.workers.resource_limits import limit_cpu_seconds; limit_cpu_seconds(0)"
    program = f"{limited}\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=HANG_SECONDS)
    assert done.returncode == -signal.SIGXCPU
