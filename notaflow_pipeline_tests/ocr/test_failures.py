"""Tests of failures of documents and engines: they survive pickling between processes."""

import pickle

import pytest

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable


@pytest.mark.parametrize("kind", FailureKind)
def test_failure_survives_pickling_between_processes(kind: FailureKind) -> None:
    failure = pickle.loads(pickle.dumps(DocumentFailure(kind, "What is wrong.")))  # noqa: S301 - bytes of this test
    assert (failure.kind, failure.sentence, str(failure)) == (kind, "What is wrong.", "What is wrong.")


def test_page_is_named_before_the_message() -> None:
    failure = DocumentFailure(FailureKind.TIMEOUT, "Too slow.").on_page(3, 7)
    assert failure.sentence == "Page 3 of 7: Too slow."
    assert failure.kind.retryable


def test_missing_engine_survives_pickling_between_processes() -> None:
    assert str(pickle.loads(pickle.dumps(EngineUnavailable("Install it.")))) == "Install it."  # noqa: S301
