"""Kinds of failure: what each stores and says, and how unknown names are refused."""

import pickle

import pytest
from typer.testing import CliRunner

from notaflow_pipeline.cli.output import app
from notaflow_pipeline.failures import PERMANENT_KINDS, FailureKind, Fault, parse_kind
from notaflow_pipeline.settings import SettingsError, load_settings


@pytest.mark.parametrize("kind", FailureKind)
def test_kind_is_its_value_everywhere_and_survives_pickling(kind: FailureKind) -> None:
    assert parse_kind(str(kind)) is kind
    assert pickle.loads(pickle.dumps(kind)) is kind  # noqa: S301 - our own bytes


def test_failures_of_a_document_alone_are_permanent() -> None:
    assert set(PERMANENT_KINDS) == {kind for kind in FailureKind if kind.fault is Fault.DOCUMENT}


def test_failures_of_the_moment_are_retryable() -> None:
    assert {kind for kind in FailureKind if kind.fault is Fault.WORKER and kind.retryable} == {
        FailureKind.TIMEOUT,
        FailureKind.CRASHED,
        FailureKind.ENGINE,
        FailureKind.LEASE_EXPIRED,
        FailureKind.NO_LEASE,
    }


def test_unknown_kind_is_refused_with_the_list_of_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"'timeoutt'; the kinds are empty_file, .*, no_lease"):
        parse_kind("timeoutt")
    refused = CliRunner().invoke(app, ["retry", "--kind", "timeoutt"])
    assert refused.exit_code == 2
    assert "no_lease" in refused.output
    monkeypatch.setenv("OCR_REQUEUE_KINDS", "crashed,timeoutt")
    with pytest.raises(SettingsError, match=r"OCR_REQUEUE_KINDS=.*empty_file, .*, no_lease"):
        load_settings()
