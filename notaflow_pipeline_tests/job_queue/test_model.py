"""The queue behaves like a simple model in memory, for every sequence of operations.

A Hypothesis state machine does everything that can happen to a row (claims, renewals, outcomes in time and too late,
crashes, recovery, requeues, pauses, other programs' writes, the passing of time) on real PostgreSQL, and compares every row
with the model after each step. At the end the invariants are checked.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import Connection

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.claiming import claims, lease_renewal, outcomes, releases
from notaflow_pipeline.job_queue.database import row_locks
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryTerms, recover
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult, Recording
from notaflow_pipeline.job_queue.pause import pause, resume
from notaflow_pipeline_tests.testing.job_queue import requeue, reread, succeed

SOURCES = ("index",)
LEASE = timedelta(seconds=60)
BACKOFF_SECONDS = 40
STUCK_AFTER = timedelta(minutes=10)

MAX_DOCUMENTS = 4
"""Few, so that the same document is claimed again and again, and old claims meet new ones."""

EMPTY = "TRUNCATE extraction_queue, ocr_attempt, ocr_round, ocr_pause"

# time passes by moving every recorded time back
PASS_TIME = """
WITH passed AS (SELECT make_interval(secs => %(seconds)s) AS time),
rows AS (
    UPDATE extraction_queue
    SET created_at = created_at - time,
        ocr_started_at = ocr_started_at - time,
        ocr_completed_at = ocr_completed_at - time,
        ocr_last_error_at = ocr_last_error_at - time,
        ocr_next_attempt_at = ocr_next_attempt_at - time,
        ocr_changed_elsewhere_at = ocr_changed_elsewhere_at - time
    FROM passed
)
UPDATE ocr_attempt
SET claimed_at = claimed_at - time,
    lease_expires_at = lease_expires_at - time,
    finished_at = finished_at - time,
    retry_at = retry_at - time
FROM passed
"""

INSERT = """
INSERT INTO extraction_queue (document_number, document_source, status_id, ocr_attempts, ocr_max_attempts, ocr_priority)
VALUES ('1', %(source)s, 3, %(attempts)s, %(maximum)s, %(priority)s)
RETURNING id
"""

STATE = """
SELECT q.id, q.status_id, COALESCE(q.ocr_attempts, 0), COALESCE(q.ocr_max_attempts, 3), q.file_content,
       q.ocr_claim_id, EXTRACT(EPOCH FROM q.ocr_next_attempt_at - clock_timestamp())::double precision
FROM extraction_queue AS q
"""

OUTCOMES = "SELECT id, outcome FROM ocr_attempt"


@dataclass
class Document:
    """What the model knows of a row."""

    id: UUID
    number: int
    source: str
    priority: int
    attempts: int
    maximum: int
    status: int = 3
    text: str | None = None
    token: int | None = None
    lease_left: float = 0.0
    wait_left: float = 0.0
    elsewhere_for: float | None = None  # seconds since another program claimed it
    again: bool = False  # to be reread, although it has a text
    counted: int = 0  # attempts in the history, released ones excepted
    was_read: bool = False  # by this project

    @property
    def claimable(self) -> bool:
        if self.again:
            return self.status == 5 and self.attempts < self.maximum and self.wait_left <= 0
        return (
            self.status == 3
            and self.source in SOURCES
            and self.text is None
            and self.attempts < self.maximum
            and self.wait_left <= 0
        )


@dataclass
class Model:
    """The whole queue in memory."""

    documents: dict[UUID, Document] = field(default_factory=dict)
    outcomes: dict[int, str | None] = field(default_factory=dict)
    of_token: dict[int, UUID] = field(default_factory=dict)
    paused: bool = False

    def holder(self, token: int) -> Document | None:
        """The document that is at 6 with this token."""
        document = self.documents[self.of_token[token]]
        return document if document.status == 6 and document.token == token else None

    def open_token(self, document: Document) -> int | None:
        """The attempt of a document that has not ended, whichever program holds the row."""
        for token, owner in self.of_token.items():
            if owner == document.id and self.outcomes[token] is None:
                return token
        return None


class QueueMachine(RuleBasedStateMachine):
    """Everything that can happen to the queue."""

    connection: Connection
    url: str
    claimed: Bundle[Claim] = Bundle("claimed")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    @initialize()
    def begin_empty(self) -> None:
        self.connection.execute(EMPTY)

    @precondition(lambda self: len(self.model.documents) < MAX_DOCUMENTS)
    @rule(
        source=st.sampled_from(["index", "index", "index", "acte", "plan_cadastraux"]),
        attempts=st.sampled_from([0, 0, None]),
        maximum=st.sampled_from([3, 3, 1, 2, None, 0]),
        priority=st.sampled_from([0, 0, 5]),
    )
    def enqueue(self, source: str, attempts: int | None, maximum: int | None, priority: int) -> None:
        arguments = {"source": source, "attempts": attempts, "maximum": maximum, "priority": priority}
        row = self.connection.execute(INSERT, arguments).fetchone()
        assert row is not None
        self.model.documents[row[0]] = Document(
            id=row[0],
            number=len(self.model.documents),
            source=source,
            priority=priority,
            attempts=attempts or 0,
            maximum=3 if maximum is None else maximum,
        )

    @rule(target=claimed, limit=st.integers(1, 4))
    def claim(self, limit: int) -> MultipleResults[Claim]:
        ready = sorted(
            (document for document in self.model.documents.values() if document.claimable),
            key=lambda document: (document.again, -document.priority, document.number),
        )
        expected = [] if self.model.paused else ready[:limit]
        got = claims.claim_documents(
            self.connection, limit=limit, sources=SOURCES, worker_id="everybody", run_id=None, lease=LEASE
        )
        assert {claim.document_id for claim in got} == {document.id for document in expected}
        for claim in got:
            assert claim.token not in self.model.outcomes, "a token was used again"
            document = self.model.documents[claim.document_id]
            left_open = self.model.open_token(document)
            if left_open is not None:
                self.model.outcomes[left_open] = "superseded"
            document.status, document.token = 6, claim.token
            document.attempts += 1
            document.counted += 1
            document.lease_left, document.elsewhere_for = LEASE.total_seconds(), None
            self.model.outcomes[claim.token] = None
            self.model.of_token[claim.token] = document.id
            assert claim.attempt_number == document.attempts <= document.maximum
        return multiple(*got)

    @rule(claim=claimed)
    def renew(self, claim: Claim) -> None:
        renewed = lease_renewal.renew(self.connection, [claim.token], LEASE)
        document = self.model.holder(claim.token)
        assert renewed == ({claim.token} if document else set())
        if document:
            document.lease_left = LEASE.total_seconds()

    @rule(claim=claimed, text=st.sampled_from(["", "texte", "--- Page 1 ---\nLot 3 770 292"]))
    def succeed(self, claim: Claim, text: str) -> None:
        accepted = succeed(self.connection, claim, OcrResult(f"{text}{claim.token}", 1, 90.0, 0.1, 0.2, 10, "model"))
        document = self.model.holder(claim.token)
        assert accepted == (document is not None or self.model.outcomes[claim.token] == "succeeded")
        if document:
            document.text, document.status, document.again = f"{text}{claim.token}", 5, False
            document.was_read = True
            self._end(document, claim.token, "succeeded")
        else:
            self._too_late(claim.token)

    @rule(claim=claimed, retryable=st.booleans())
    def fail(self, claim: Claim, retryable: bool) -> None:
        accepted = (
            outcomes.record_failure(
                self.connection,
                claim,
                Failure(FailureKind.TIMEOUT if retryable else FailureKind.CORRUPT, "It took too long."),
                error="OCR processing failed: It took too long.",
                fetch_seconds=0.1,
                source_bytes=10,
                retry_base_seconds=BACKOFF_SECONDS,
                mirror_errors=True,
                exhausted_status=3,
            )
            is Recording.RECORDED
        )
        document = self.model.holder(claim.token)
        assert accepted == (document is not None or self.model.outcomes[claim.token] == "failed")
        if document:
            if not retryable:
                document.maximum = min(document.maximum, document.attempts)
            if document.attempts < document.maximum:
                document.wait_left = self._wait_in_database(document)
                shortest = BACKOFF_SECONDS * 2 ** (document.attempts - 1) / 2
                assert shortest - 1 <= document.wait_left <= 3 * shortest
            self._go_back(document)
            self._end(document, claim.token, "failed")
        else:
            self._too_late(claim.token)

    @rule(claim=claimed)
    def release(self, claim: Claim) -> None:
        released = releases.release(self.connection, [claim.token], reason="told to stop")
        document = self.model.holder(claim.token)
        assert released == (1 if document else 0)
        if document:
            document.attempts -= 1
            document.counted -= 1
            self._go_back(document)
            self._end(document, claim.token, "released")

    @rule(seconds=st.sampled_from([1, 20, 61, 200, 700]))
    def time_passes(self, seconds: int) -> None:
        self.connection.execute(PASS_TIME, {"seconds": seconds})
        for document in self.model.documents.values():
            document.lease_left -= seconds
            document.wait_left -= seconds
            if document.elsewhere_for is not None:
                document.elsewhere_for += seconds

    @rule()
    def recover_what_is_left(self) -> None:
        recover(self.connection, RecoveryTerms(SOURCES, STUCK_AFTER))
        for document in self.model.documents.values():
            token = self.model.open_token(document)
            if document.status == 6 and document.token is not None and document.lease_left < 0:
                assert document.token == token
                self._go_back(document)
                self._end(document, document.token, "stuck")
            elif document.elsewhere_for is not None and document.elsewhere_for > STUCK_AFTER.total_seconds():
                document.status, document.elsewhere_for = 3 if document.text is None else 5, None
                document.counted += 1
                document.attempts = max(document.attempts, document.counted)
                document.maximum = max(document.maximum, document.attempts)
            orphaned = token is not None and document.token != token and document.lease_left < 0
            if token is not None and orphaned and self.model.outcomes[token] is None:
                self.model.outcomes[token] = "superseded"

    @rule()
    def every_worker_dies(self) -> None:
        self.time_passes(61)
        self.recover_what_is_left()
        self.time_passes(700)  # and whatever waits, has waited

    @rule(rounds=st.integers(1, 3))
    def requeue_exhausted_documents(self, rounds: int) -> None:
        sent = requeue(self.connection, ExhaustedFilter(sources=SOURCES), more_attempts=rounds)
        expected = {
            document.id
            for document in self.model.documents.values()
            if document.status == 3
            and document.source in SOURCES
            and document.text is None
            and 0 < document.attempts >= document.maximum
        }
        assert {one.id for one in sent} == expected
        for one in sent:
            document = self.model.documents[one.id]
            document.maximum, document.wait_left = document.attempts + rounds, 0

    @rule(attempts=st.integers(1, 2))
    def ask_for_reading_again(self, attempts: int) -> None:
        asked = reread(self.connection, more_attempts=attempts)
        expected = {
            one.id for one in self.model.documents.values() if one.status == 5 and one.was_read and not one.again
        }
        assert set(asked) == expected
        for document_id in asked:
            document = self.model.documents[document_id]
            document.again, document.maximum, document.wait_left = True, document.attempts + attempts, 0

    @rule(on=st.booleans())
    def pause_or_resume(self, on: bool) -> None:
        if on:
            pause(self.connection, "model")
        else:
            resume(self.connection)
        self.model.paused = on

    @rule(data=st.data())
    def another_program_resets_a_row(self, data: st.DataObject) -> None:
        """As a person at a psql prompt does: back to 3, no word of the token, no attempt closed."""
        document = self._one(data, lambda one: one.status == 6 and one.token is not None)
        if document:
            self._write(document, "status_id = 3")
            document.status = 3 if document.text is None else 5
            self._is_taken(document)

    @rule(data=st.data())
    def another_program_resets_a_row_with_its_attempts(self, data: st.DataObject) -> None:
        document = self._one(data, lambda one: one.status in {3, 5, 6})
        if document:
            self._write(document, "status_id = 3, ocr_attempts = 0, file_content = NULL")
            document.status, document.attempts, document.text = 3, 0, None
            self._is_taken(document)

    @rule(data=st.data())
    def another_program_sends_a_row_back_to_extraction(self, data: st.DataObject) -> None:
        document = self._one(data, lambda one: one.status in {3, 6} and one.elsewhere_for is None)
        if document:
            self._write(document, "status_id = 1")
            document.status = 1
            self._is_taken(document)

    @rule(data=st.data())
    def another_program_takes_a_row_under_ocr(self, data: st.DataObject) -> None:
        """The racy claim of the document's own monitor: from 6 to 6."""
        document = self._one(data, lambda one: one.status == 6)
        if document:
            self._write(
                document,
                "status_id = 6, ocr_worker_id = 'ocr-monitor-1', ocr_started_at = clock_timestamp(), "
                "ocr_attempts = ocr_attempts + 1",
            )
            document.attempts += 1
            self._is_taken(document)
            document.elsewhere_for = 0.0

    @rule(data=st.data())
    def another_program_finishes_a_row(self, data: st.DataObject) -> None:
        document = self._one(data, lambda one: one.status == 6)
        if document:
            self._write(
                document,
                "status_id = 5, file_content = 'elsewhere', ocr_completed_at = clock_timestamp(), ocr_error = NULL",
            )
            document.status, document.text = 5, "elsewhere"
            self._is_taken(document)

    @rule(data=st.data())
    def another_program_claims_a_row(self, data: st.DataObject) -> None:
        """The way of the document's own monitor: no token, no lease, and, by its status alone, exhausted ones too."""
        document = self._one(
            data, lambda one: (one.claimable and not one.again) or (one.status == 3 and 0 < one.attempts >= one.maximum)
        )
        if document:
            self._write(
                document,
                "status_id = 6, ocr_worker_id = 'ocr-monitor-1', ocr_started_at = clock_timestamp(), "
                "ocr_attempts = COALESCE(ocr_attempts, 0) + 1, ocr_max_attempts = COALESCE(ocr_max_attempts, 3)",
            )
            document.status, document.token, document.elsewhere_for = 6, None, 0.0
            document.attempts += 1

    @rule(claim=claimed)
    def another_session_holds_a_row(self, claim: Claim) -> None:
        """Nothing is recorded, and the claim stays held; a claim that ended before is still reported as ended."""
        with psycopg.connect(self.url, prepare_threshold=None) as other:
            other.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [claim.document_id])
            result = OcrResult("not recorded", 1, 90.0, 0.1, 0.2, 10, "model")
            recording = outcomes.record_texts(self.connection, [(claim, result)])[claim.token]
            assert (recording is Recording.LOCKED) == (self.model.holder(claim.token) is not None)
            assert releases.release(self.connection, [claim.token], reason="told to stop") == 0
        if recording is not Recording.LOCKED:
            self._too_late(claim.token)

    @rule(claim=claimed)
    def server_is_read_only(self, claim: Claim) -> None:
        """After a failover: every operation fails as a whole, and changes nothing."""
        operations: list[Callable[[], object]] = [
            lambda: claims.claim_documents(
                self.connection, limit=1, sources=SOURCES, worker_id="everybody", run_id=None, lease=LEASE
            ),
            lambda: lease_renewal.renew(self.connection, [claim.token], LEASE),
            lambda: succeed(self.connection, claim),
            lambda: releases.release(self.connection, [claim.token], reason="told to stop"),
        ]
        for operation in operations:
            with self.connection.transaction(force_rollback=True):
                self.connection.execute("SET TRANSACTION READ ONLY")
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    operation()

    @invariant()
    def every_row_is_as_the_model_says(self) -> None:
        rows = self.connection.execute(STATE).fetchall()
        assert len(rows) == len(self.model.documents)
        for document_id, status, attempts, maximum, text, token, _ in rows:
            document = self.model.documents[document_id]
            seen = (status, attempts, maximum, text, token)
            assert seen == (document.status, document.attempts, document.maximum, document.text, document.token)
        assert dict(self.connection.execute(OUTCOMES).fetchall()).items() >= self.model.outcomes.items()

    def teardown(self) -> None:
        """Let all leases expire, recover, and check the invariants."""
        self.connection.execute(PASS_TIME, {"seconds": 3600})
        recover(self.connection, RecoveryTerms(SOURCES, STUCK_AFTER))
        assert list(find_violations(self.connection, sources=SOURCES)) == []

    def _is_taken(self, document: Document) -> None:
        """Another program has written the row: our claim and a request to reread it are gone."""
        document.token, document.elsewhere_for, document.again = None, None, False

    def _go_back(self, document: Document) -> None:
        """Ready again; or done again with the old text, and not to be read any more once its attempts are used up."""
        document.status = 5 if document.again else 3
        document.again = document.again and document.attempts < document.maximum

    def _end(self, document: Document, token: int, outcome: str) -> None:
        document.token = None
        self.model.outcomes[token] = outcome

    def _too_late(self, token: int) -> None:
        if self.model.outcomes[token] is None:
            self.model.outcomes[token] = "superseded"

    def _wait_in_database(self, document: Document) -> float:
        for document_id, *_, wait in self.connection.execute(STATE).fetchall():
            if document_id == document.id:
                return float(wait)
        raise AssertionError("the row is gone")

    def _one(self, data: st.DataObject, fits: object) -> Document | None:
        fitting = [one for one in self.model.documents.values() if fits(one)]  # type: ignore[operator]
        if not fitting:
            return None
        return data.draw(st.sampled_from(sorted(fitting, key=lambda one: one.number)))

    def _write(self, document: Document, assignments: str) -> None:
        self.connection.execute(f"UPDATE extraction_queue SET {assignments} WHERE id = %s", [document.id])  # noqa: S608


@pytest.fixture
def machine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[QueueMachine]]:
    monkeypatch.setattr(row_locks, "PAUSES_SECONDS", ())  # a lock of the model lasts longer
    # behind a pooler the other session may get the server that knows this one's prepared statements
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as connection:
        yield type("ConnectedQueueMachine", (QueueMachine,), {"connection": connection, "url": database_url})


def test_queue_behaves_like_a_model_in_memory(machine: type[QueueMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
