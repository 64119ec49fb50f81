"""The benchmarks and scripts use names that exist; nothing else runs them in the tests."""

import importlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]

MODULES = sorted(
    f"{folder}.{path.stem}" for folder in ("benchmarks", "scripts") for path in (PROJECT / folder).glob("*.py")
)


@pytest.mark.parametrize("module", MODULES)
def test_module_can_be_imported(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROJECT)
    importlib.import_module(module)
