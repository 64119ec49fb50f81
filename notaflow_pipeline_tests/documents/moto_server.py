"""Waits for a moto server."""

import subprocess

from notaflow_pipeline_tests.testing.ports import answers
from notaflow_pipeline_tests.testing.waiting import wait_until


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    def answers_or_has_ended() -> bool:
        assert server.poll() is None, "the moto server ended at its start"
        return answers(url)

    wait_until(answers_or_has_ended)
