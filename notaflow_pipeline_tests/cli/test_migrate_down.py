"""Tests of `notaflow migrate --down-to`: data is deleted only after a confirmation."""

import os
import pty
import subprocess

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal

pytestmark = [pytest.mark.owner, pytest.mark.direct]


def has_pauses(connection: Connection) -> bool:
    return connection.execute("SELECT to_regclass('ocr_pause')").fetchone() != (None,)


def test_script_is_refused_without_yes(terminal: Terminal, connection: Connection) -> None:
    connection.execute("INSERT INTO ocr_pause (since, reason) VALUES (now(), 'kept')")
    for arguments in (("--json",), ()):
        refused = terminal.run("migrate", "--down-to", "10", *arguments)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "would delete 1 row of ocr_pause\n" in refused.stderr
        assert "or pass --yes to delete it. Nothing was changed." in refused.stderr
        assert has_pauses(connection)
    assert terminal.json("migrate", "--down-to", "10", "--yes")[0]["rolled_back"][-1] == "011_ocr_rounds"
    assert not has_pauses(connection)


def test_confirmation_is_requested(terminal: Terminal, connection: Connection) -> None:
    connection.execute("INSERT INTO ocr_pause (since, reason) VALUES (now(), 'kept')")
    for answer, code in (("n", 1), ("", 1), ("y", 0)):
        keyboard, screen = pty.openpty()
        os.write(keyboard, f"{answer}\n".encode())
        asked = subprocess.run(
            [*terminal.command, "migrate", "--down-to", "10"],
            cwd=terminal.folder,
            env=terminal.environment,
            stdin=screen,
            capture_output=True,
            text=True,
            check=False,
        )
        os.close(keyboard)
        os.close(screen)
        assert "Delete this? [y/N]" in asked.stderr
        assert asked.returncode == code
        assert has_pauses(connection) == (code != 0)


def test_no_confirmation_is_needed_where_no_data_is_deleted(terminal: Terminal, connection: Connection) -> None:
    assert terminal.json("migrate", "--down-to", "10")[0]["rolled_back"][-1] == "011_ocr_rounds"
    assert not has_pauses(connection)


def test_yes_without_a_number_is_refused(terminal: Terminal) -> None:
    refused = terminal.run("migrate", "--yes")
    assert (refused.returncode, refused.stderr) == (1, "notaflow: --yes is an option of --down-to\n")
