"""Tests of fetched files, which are removed when a batch ends."""

import gc
import sys
from pathlib import Path
from queue import SimpleQueue
from uuid import uuid4

import pytest

from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline.worker.fetching import FetchedFile, Fetchers
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS


def test_stop_removes_files_of_unused_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    results: SimpleQueue[FetchedFile | BaseException] = SimpleQueue()
    fetchers = Fetchers(
        LocalFolder(tmp_path), 100, lambda _, fetched: results.put(fetched), lambda _, error: results.put(error)
    )
    fetchers.start()
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "lot.pdf").write_bytes(b"content")
    fetchers.fetch(Claim(1, uuid4(), "2 784 195", "index", "index/lot.pdf", 1, 3))
    fetched = results.get(timeout=HANG_SECONDS)
    assert isinstance(fetched, FetchedFile)
    assert fetched.path.read_bytes() == b"content"
    path = fetched.path
    fetchers.stop()
    assert not path.parent.exists()
    in_a_cycle: list[object] = [fetched]
    in_a_cycle.append(in_a_cycle)  # as in a batch that an exception ended: weakref callbacks run before generators end
    del fetched, in_a_cycle
    gc.collect()
    assert complaints == []
