"""Tests of `notaflow list`, `cancel` and `priority`."""

from uuid import uuid4

import pytest
from psycopg import Connection

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.testing.job_queue import TIMEOUT, add_document, ago, claim_one, document, fail, succeed


def test_list_shows_who_holds_what_and_every_filter_narrows_it(terminal: Terminal, connection: Connection) -> None:
    failed = add_document(connection, document_number="1", ocr_max_attempts=1)
    assert fail(connection, claim_one(connection), TIMEOUT)
    held = add_document(connection, document_number="2")
    worker = connection.execute("SELECT %s::text", [claim_one(connection).token]).fetchone()
    ready = add_document(connection, document_number="3", updated_at=ago("3 hours"), created_at=ago("3 hours"))
    deed = add_document(connection, document_number="4", document_source="acte")
    assert worker is not None

    def listed(*arguments: str) -> set[str]:
        return {one["id"] for one in terminal.json("list", *arguments)}

    assert listed() == {str(failed), str(held), str(ready)}
    assert listed("--state", "active") == {str(held)}
    assert listed("--state", "ready", "--state", "exhausted") == {str(ready), str(failed)}
    assert listed("--kind", "timeout") == {str(failed)}
    assert listed("--source", "acte") == {str(deed)}
    assert listed("--older-than", "2h") == {str(ready)}
    [active] = terminal.json("list", "--state", "active")
    assert listed("--worker", active["worker_id"]) >= {str(held)}
    assert active["lease_expires_at"] is not None
    assert listed("--worker", "nobody") == set()
    shown = terminal.run("list", COLUMNS="80").stdout
    assert str(ready) in shown, "an id can be copied from 80 columns"
    assert max(map(len, shown.splitlines())) <= 80
    # a host's whole name, and no edge of the table is cut off
    connection.execute("UPDATE extraction_queue SET ocr_worker_id = 'a-host-with-a-long-name.example.org:12345'")
    lines = terminal.run("list", COLUMNS="80").stdout.splitlines()
    assert {line[-1] for line in lines} <= set("┓┃┩│┤┘")
    assert "a-host-with-a-long-name.example.org:12345" in "".join(
        line.rstrip("│ ").split("│")[-1].strip() for line in lines
    )
    misspelt = terminal.run("list", "--kind", "timeoutt")
    assert misspelt.returncode == 2
    assert "Invalid value for '--kind': it takes one of" in misspelt.stderr
    refused = terminal.run("list", "--older-than", "soon")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "such as 90s, 30m, 2h or 3d" in refused.stderr


def test_cancel_and_retry_by_id(terminal: Terminal, connection: Connection) -> None:
    key = add_document(connection)
    done = terminal.run("cancel", str(key), "--reason", "ordered twice")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 document cancelled.\n", "")
    again = terminal.run("cancel", str(key))
    assert (again.returncode, again.stdout) == (1, "0 documents cancelled.\n")
    assert f"({key}) was not cancelled: it is cancelled already" in again.stderr
    assert [one["state"] for one in terminal.json("list")] == ["cancelled"]
    assert "0 of 0" not in terminal.run("list", COLUMNS="80").stdout
    assert terminal.json("retry") == []
    said = terminal.run("retry", COLUMNS="80").stdout
    assert said.startswith("0 documents requeued.\nLeft out, because no attempt can help: 1 cancelled.")
    assert [one["id"] for one in terminal.json("retry", "--id", str(key))] == [str(key)]
    assert [one["state"] for one in terminal.json("list")] == ["ready"]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"document_source": "acte"}, "its source acte is not in OCR_SOURCES"),
        ({"status_id": 6}, "another program has claimed it"),
        ({"status_id": 2}, "it is not extracted yet"),
        ({"status_id": 5, "file_content": "text"}, "it is finished"),
        ({}, "a trigger or policy of the database holds it unchanged"),
    ],
)
def test_document_that_stays_as_it_is_is_named_with_the_reason(
    terminal: Terminal, connection: Connection, columns: dict[str, object], why: str
) -> None:
    key = add_document(connection, **columns)
    if not columns:
        connection.execute(
            "CREATE FUNCTION drop_update() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER drop_update BEFORE UPDATE ON extraction_queue FOR EACH ROW EXECUTE FUNCTION drop_update()"
        )
    arguments = [["cancel", str(key)], ["priority", str(key), "7"]]
    for command in arguments[
        : 1 if columns.get("status_id") == 6 else 2
    ]:  # a priority can be set beside another program
        done = terminal.run(*command)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.endswith(f"({key}) was not {'cancelled' if len(command) == 2 else 'changed'}: {why}\n")
    missing = terminal.run("cancel", str(uuid4()))
    assert (missing.returncode, "there is no such document" in missing.stderr) == (1, True)


def test_document_to_reread_waits_since_the_request(terminal: Terminal, connection: Connection) -> None:
    key = add_document(connection)
    assert succeed(connection, claim_one(connection))
    connection.execute("UPDATE extraction_queue SET ocr_completed_at = now() - interval '3 days'")
    assert terminal.run("reread", "--id", str(key)).returncode == 0
    assert [one["state"] for one in terminal.json("list")] == ["to_reread"]
    assert terminal.json("list", "--older-than", "1h") == []


def test_priority_takes_ids_and_then_a_number(terminal: Terminal, connection: Connection) -> None:
    one, other = add_document(connection), add_document(connection)
    done = terminal.run("priority", str(one), str(other), "5")
    assert (done.returncode, done.stdout) == (0, "2 documents set to priority 5.\n")
    assert terminal.json("priority", str(one), "-3") == [{"id": str(one), "priority": -3}]
    assert document(connection, one)["ocr_priority"] == -3
    assert terminal.run("priority", str(one), "40000").returncode == 2
    refused = terminal.run("cancel", "12345")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)


def test_documents_are_named_by_number_if_one_alone_has_it(terminal: Terminal, connection: Connection) -> None:
    key = add_document(connection, document_number="2 784 195", document_number_normalized="2784195")
    twins = [add_document(connection, document_number="87-3", document_source=one) for one in ("index", "acte")]
    assert terminal.json("priority", "2784195", "7") == [{"id": str(key), "priority": 7}]
    assert [one["id"] for one in terminal.json("cancel", "2 784 195")] == [str(key)]
    assert [one["id"] for one in terminal.json("retry", "--id", "2784195")] == [str(key)]
    assert succeed(connection, claim_one(connection))
    assert [one["id"] for one in terminal.json("reread", "--id", "2784195")] == [str(key)]
    assert terminal.json("recover", "--accept", "2784195")[0]["accepted"] == 1
    for command in (["cancel"], ["priority"], ["retry", "--id"], ["reread", "--id"], ["recover", "--accept"]):
        after = ["5"] if command == ["priority"] else []
        refused = terminal.run(*command, "87-3", *after)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "2 documents have the number '87-3'; give the id of one of them" in refused.stderr
        assert all(str(twin) in refused.stderr for twin in twins)
        unknown = terminal.run(*command, "404", *after)
        assert (unknown.returncode, unknown.stderr) == (1, "notaflow: no document has the id or number '404'\n")
    assert {document(connection, twin)["ocr_priority"] for twin in twins} == {0}
