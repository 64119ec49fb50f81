"""Tests of the fuzzer with a fixed seed: every damaged document ends as text or as a named failure."""

from pathlib import Path

from notaflow_pipeline_tests.fuzz.__main__ import fuzz
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS


def test_damaged_documents_end_as_text_or_as_a_named_failure(tmp_path: Path) -> None:
    outcomes = fuzz(HANG_SECONDS, seed=6, corpus=None, crashers=tmp_path / "crashers", max_documents=60)
    assert outcomes["documents"] == 60
    assert not [kind for kind in outcomes if kind.startswith("UNEXPECTED")]
    assert outcomes["read"] > 5, "some damage is none that matters"
    assert len(outcomes) > 3, "and some is"
