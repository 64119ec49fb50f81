"""Triggers of other programs that stop a worker are named, with what to do, and without the text of a row."""

import traceback
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.claiming.claim_check import ClaimCheck, check_claim
from notaflow_pipeline.job_queue.database.chunks import DROPPED
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, connect
from notaflow_pipeline.job_queue.database.foreign_triggers import TriggerLacksPrivilege
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.schema.roles import ENQUEUER, WORKER
from notaflow_pipeline_tests.job_queue.schema.audit_trigger import AUDIT, SECRET
from notaflow_pipeline_tests.testing.job_queue import READING, add_document, ago, ahead, claim_one, everything, succeed
from notaflow_pipeline_tests.testing.logins import logged_in

pytestmark = [pytest.mark.owner, pytest.mark.direct]


DONE = ClaimCheck(ok=True, detail="a document was claimed and finished, and everything was rolled back")


def trigger(body: LiteralString, when: LiteralString = "BEFORE UPDATE") -> bytes:
    """A trigger of another program that does `body`."""
    return (
        f"CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; "
        f"CREATE TRIGGER theirs {when} ON extraction_queue FOR EACH ROW EXECUTE FUNCTION theirs()"
    ).encode()


def tried(connection: Connection, login: Connection) -> ClaimCheck:
    """Try a claim as this login, which leaves no row changed and no lock held."""
    before = everything(connection)
    trial = check_claim(login, ["index"])
    assert everything(connection) == before
    held = "SELECT count(*) FROM pg_locks WHERE pid = %s AND locktype IN ('relation', 'transactionid', 'tuple')"
    assert connection.execute(held, [login.info.backend_pid]).fetchone() == (0,)
    assert SECRET not in trial.detail
    return trial


def test_audit_table_that_the_worker_may_not_write_is_named(connection: Connection, worker: Connection) -> None:
    add_document(connection, error_message=SECRET)
    assert tried(connection, worker) == DONE
    connection.execute(AUDIT)
    for grant, missing in (
        ("GRANT INSERT ON audit_log TO notaflow_worker", "permission denied for table audit_log"),
        (
            "GRANT USAGE ON SEQUENCE audit_log_id_seq TO notaflow_worker",
            "permission denied for sequence audit_log_id_seq",
        ),
    ):
        trial = tried(connection, worker)
        assert not trial.ok
        assert trial.detail == (
            f"the trigger function write_audit(), which is not this project's, failed: {missing}. `notaflow migrate --roles` "
            "cannot grant that. Make the function run as its owner (ALTER FUNCTION write_audit() SECURITY DEFINER "
            f"SET search_path = …), or {grant}"
        )
        with pytest.raises(TriggerLacksPrivilege, match=r"write_audit\(\).*SECURITY DEFINER"):
            claim_one(worker)
        connection.execute(grant)
    assert tried(connection, worker) == DONE
    assert succeed(worker, claim_one(worker), READING)


def test_function_that_runs_as_its_owner_needs_no_privilege_of_the_login(
    connection: Connection, worker: Connection
) -> None:
    add_document(connection)
    connection.execute(AUDIT)
    assert not tried(connection, worker).ok
    connection.execute("ALTER FUNCTION write_audit() SECURITY DEFINER SET search_path = public, pg_temp")
    assert tried(connection, worker) == DONE


def test_policy_of_the_audit_table_is_named(connection: Connection, worker: Connection) -> None:
    add_document(connection)
    connection.execute(AUDIT)
    connection.execute(
        "GRANT ALL ON audit_log TO notaflow_worker; GRANT ALL ON SEQUENCE audit_log_id_seq TO notaflow_worker"
    )
    connection.execute("ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY")
    assert "make a policy on audit_log that lets notaflow_worker write" in tried(connection, worker).detail


def test_trigger_that_stops_the_outcome_alone_does_not_fail_the_document(
    connection: Connection, worker: Connection
) -> None:
    """Another attempt would not help, and every document of the queue would be exhausted."""
    add_document(connection)
    connection.execute(AUDIT)
    connection.execute("DROP TRIGGER write_audit ON extraction_queue")
    connection.execute(
        "CREATE TRIGGER write_audit AFTER UPDATE ON extraction_queue FOR EACH ROW WHEN (NEW.status_id = 5) "
        "EXECUTE FUNCTION write_audit()"
    )
    assert "write_audit()" in tried(connection, worker).detail
    held = claim_one(worker)
    with pytest.raises(TriggerLacksPrivilege, match="permission denied for table audit_log"):
        succeed(worker, held, READING)
    connection.execute("DROP TRIGGER write_audit ON extraction_queue")
    assert succeed(worker, held, READING)


@pytest.mark.parametrize(
    "body",
    [
        "RAISE EXCEPTION '%', NEW.error_message;",
        "RAISE insufficient_privilege USING MESSAGE = NEW.error_message;",
        "EXECUTE format('INSERT INTO nowhere VALUES (%L, %L)', NEW.error_message, 'secret() ' || NEW.error_message);",
        "PERFORM NEW.error_message::integer;",
    ],
)
def test_text_of_a_row_in_an_error_is_not_repeated(
    connection: Connection, worker: Connection, body: LiteralString
) -> None:
    add_document(connection, error_message=SECRET)
    connection.execute(trigger(body))
    trial = tried(connection, worker)
    assert not trial.ok
    assert "the trigger function theirs()" in trial.detail
    with pytest.raises(ClaimsRefused, match="the trigger function theirs") as raised:
        claim_one(worker)
    assert SECRET not in str(raised.value)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_row_that_a_policy_refuses_keeps_no_other_waiting(connection: Connection, worker: Connection) -> None:
    """Such a refusal has the SQLSTATE of a missing privilege, but is about the row."""
    refused = add_document(connection, created_at=ago("1 hour"))
    other = add_document(connection)
    connection.execute(f"""
        ALTER TABLE extraction_queue ENABLE ROW LEVEL SECURITY;
        CREATE POLICY every_row ON extraction_queue USING (TRUE);
        CREATE POLICY held ON extraction_queue AS RESTRICTIVE USING (TRUE) WITH CHECK (id <> '{refused}')
    """)
    assert claim_one(worker).document_id == other
    with pytest.raises(ClaimsRefused, match=f"such as {refused} .*row-level security policy"):
        claim_one(worker)


@pytest.mark.parametrize(
    "body", ["IF NEW.status_id = 5 THEN RETURN NULL; END IF; RETURN NEW;", "NEW.status_id := 6; RETURN NEW;"]
)
def test_trigger_that_drops_or_changes_an_update_is_found(
    connection: Connection, worker: Connection, body: LiteralString
) -> None:
    add_document(connection)
    connection.execute(trigger(body))
    trial = tried(connection, worker)
    assert not trial.ok
    assert DROPPED in trial.detail


def test_constraint_trigger_that_waits_for_the_commit_is_found(connection: Connection, worker: Connection) -> None:
    add_document(connection)
    connection.execute(AUDIT)
    connection.execute("DROP TRIGGER write_audit ON extraction_queue")
    connection.execute(
        "CREATE CONSTRAINT TRIGGER write_audit AFTER UPDATE ON extraction_queue DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION write_audit()"
    )
    assert "write_audit()" in tried(connection, worker).detail
    with pytest.raises(TriggerLacksPrivilege):
        claim_one(worker)


@pytest.mark.parametrize(
    "columns", [{"status_id": 5, "file_content": SECRET}, {"ocr_next_attempt_at": ahead("1 hour")}]
)
def test_document_that_is_not_ready_can_be_tried_too(
    connection: Connection, worker: Connection, columns: dict[str, object]
) -> None:
    add_document(connection, **columns)
    assert tried(connection, worker) == DONE
    connection.execute(AUDIT)
    assert "write_audit()" in tried(connection, worker).detail


def test_trial_ignores_a_pause_and_keeps_it(connection: Connection, worker: Connection) -> None:
    add_document(connection)
    connection.execute("INSERT INTO ocr_pause (since, reason) VALUES (now(), 'x')")
    assert tried(connection, worker) == DONE
    assert connection.execute("SELECT reason FROM ocr_pause").fetchall() == [("x",)]


def test_empty_queue_is_tried_with_a_row_where_one_may_be_added(
    connection: Connection, worker: Connection, database_url: str
) -> None:
    assert tried(connection, worker).detail.startswith("not checked: there is no document to claim")
    connection.execute(AUDIT)
    with logged_in(connection, database_url, WORKER, ENQUEUER) as both:
        assert "write_audit()" in tried(connection, both).detail
    with connect(database_url) as owner:
        assert tried(connection, owner) == DONE


def test_trigger_on_new_rows_is_named(connection: Connection, database_url: str, roles: None) -> None:
    connection.execute(AUDIT.replace("AFTER UPDATE", "AFTER INSERT").encode())
    with logged_in(connection, database_url, WORKER, ENQUEUER) as both:
        assert "write_audit()" in tried(connection, both).detail
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            enqueue_document(both, NewDocument("index", "1", "index/1.pdf"))


def test_document_that_another_session_holds_is_not_waited_for(
    connection: Connection, worker: Connection, other: Connection
) -> None:
    add_document(connection)
    with other.transaction():
        other.execute("SELECT FROM extraction_queue FOR UPDATE")
        assert tried(connection, worker).detail.startswith("not checked")
    assert tried(connection, worker) == DONE
