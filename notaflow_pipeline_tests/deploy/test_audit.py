"""Tests of the audit of the lock files: what it refuses, and that an audit that could not run does not pass."""

import importlib.util
from pathlib import Path
from types import ModuleType

from notaflow_pipeline_tests.deploy import PROJECT

HASH = f"--hash=sha256:{'0' * 64}"


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("audit", PROJECT / "scripts" / "audit.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


audit = load()


def test_our_locks_are_pinned_hashed_and_agree() -> None:
    texts = [(Path(PROJECT) / lock).read_text() for lock in audit.LOCKS]
    assert [fault for text in texts for fault in audit.faults_of_lock(text, "lock")] == []
    assert audit.disagreements(*map(audit.pins, texts)) == []
    assert len(audit.pins(texts[0])) > 50


def test_loose_foreign_and_unhashed_requirements_are_refused() -> None:
    lock = (
        f"good==1.0 \\\n    {HASH}\nloose>=1.0 \\\n    {HASH}\nforeign @ git+https://elsewhere.example/x\nbare==1.0\n"
    )
    faults = audit.faults_of_lock(lock, "lock")
    assert len(faults) == 3
    for fault, (reason, package) in zip(
        faults, (("not pinned", "loose"), ("not pinned", "foreign"), ("no hash", "bare")), strict=True
    ):
        assert reason in fault
        assert package in fault


def test_other_versions_in_tests_than_for_users_are_named() -> None:
    [sentence] = audit.disagreements({"dagster": {"1.13.27"}}, {"dagster": {"1.13.26"}})
    assert "dagster" in sentence


def test_package_that_could_not_be_looked_up_is_not_called_safe() -> None:
    safe = {"name": "one", "version": "1", "vulns": []}
    unasked = {"name": "two", "skip_reason": "not found"}
    bad = {"name": "three", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
    assert audit.judge([safe]) == ([], "")
    assert "1 of 2" in audit.judge([safe, unasked])[1]
    known, sentence = audit.judge([safe, bad])
    assert (len(known), sentence) == (1, "")
    assert "CVE-1" in known[0]
