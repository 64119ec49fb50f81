"""Tests of the Dagster shell, on a real database and with real Tesseract."""

import os
import warnings
from pathlib import Path

import dagster as dg
import pytest

from notaflow_pipeline.settings import load_settings

DAGSTERS_OWN_WARNING = "The `__fields__` attribute is deprecated"
"""What Dagster makes of Pydantic's models while resources are defined and started."""

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", DAGSTERS_OWN_WARNING)
    warnings.filterwarnings("ignore", "Parameter `owners`")  # of its own sensors, which it copies
    from notaflow_pipeline.definitions import defs as load_definitions
    from notaflow_pipeline.defs.assets import ocr_text
    from notaflow_pipeline.defs.partitions import daily_partitions
    from notaflow_pipeline.defs.sensors import ocr_ready

    defs = load_definitions()
    defs.get_repository_def()

__all__ = ["DAGSTERS_OWN_WARNING", "PROJECT", "configure", "days", "defs", "errors_of"]

days = daily_partitions(load_settings())

PROJECT = Path(__file__).resolve().parents[2]


def configure(monkeypatch: pytest.MonkeyPatch, folder: Path, database_url: str) -> Path:
    """Let the environment name this database and a documents' folder in `folder`, where the test runs; return that."""
    for name in list(os.environ):
        if name.startswith(("NOTAFLOW_", "OCR_", "DAGSTER_", "SUPABASE_")):
            monkeypatch.delenv(name)
    documents = folder / "documents"
    (documents / "index").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", database_url)
    monkeypatch.setenv("NOTAFLOW_DOCUMENTS_URL", str(documents))
    monkeypatch.setenv("NOTAFLOW_HOME", str(folder / "home"))
    monkeypatch.setenv("OCR_WORKERS", "2")
    # waiting for more is shown by tests of its own
    monkeypatch.setattr(ocr_text, "WAIT_FOR_MORE_SECONDS", 0.0)
    monkeypatch.setattr(ocr_ready, "MAX_WAIT_SECONDS", 0.0)
    return documents


def errors_of(result: dg.ExecuteInProcessResult) -> str:
    """Everything that a failed run says about its errors, as the UI shows it."""
    found = []
    for event in result.all_events:
        error = getattr(event.event_specific_data, "error", None)
        if error is not None:
            found.append(error.to_string())
    return "\n".join(found)
