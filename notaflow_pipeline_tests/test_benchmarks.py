"""The benchmarks and scripts use names that exist; nothing else runs them in the tests."""

import importlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]

FILES = [*(PROJECT / "benchmarks").glob("*.py"), *(PROJECT / "scripts").rglob("*.py")]
MODULES = sorted(".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in FILES)


@pytest.mark.parametrize("module", MODULES)
def test_module_can_be_imported(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROJECT)
    importlib.import_module(module)
