"""Exhausted documents are requeued with their history, up to a maximum; and a pause stops all claims."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from psycopg import Connection

from notaflow_pipeline.failures import parse_kind
from notaflow_pipeline.job_queue.claiming import claims, outcomes, releases
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter, find_exhausted, requeue_results
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult, Recording
from notaflow_pipeline.job_queue.pause import current_pause, pause, resume
from notaflow_pipeline_tests.testing.job_queue import requeue, succeed

EVERYTHING = ExhaustedFilter(sources=("index",))


def claim(connection: Connection, limit: int = 10, run_id: str | None = None) -> list[Claim]:
    return claims.claim_documents(
        connection, limit=limit, sources=["index"], worker_id="test", run_id=run_id, lease=timedelta(minutes=1)
    )


def exhaust(connection: Connection, kinds: Sequence[str]) -> list[UUID]:
    """Documents that failed for good, one with each kind."""
    documents = [enqueue_document(connection, NewDocument("index", kind, f"index/{kind}.pdf")) for kind in kinds]
    for one, kind in zip(claim(connection, len(kinds)), kinds, strict=True):
        fail(connection, one, kind)
    return documents


def fail(connection: Connection, one: Claim, kind: str, exhausted_status: int = 3) -> None:
    connection.execute("UPDATE extraction_queue SET ocr_max_attempts = ocr_attempts WHERE id = %s", [one.document_id])
    assert (
        outcomes.record_failure(
            connection,
            one,
            Failure(parse_kind(kind), f"It is {kind}."),
            error=f"OCR processing failed: It is {kind}.",
            fetch_seconds=0,
            source_bytes=0,
            retry_base_seconds=1,
            mirror_errors=True,
            exhausted_status=exhausted_status,
        )
        is Recording.RECORDED
    )


def test_requeued_documents_get_more_attempts_and_keep_their_history(connection: Connection) -> None:
    [document] = exhaust(connection, ["timeout"])
    assert claim(connection) == []
    [sent] = requeue(connection, EVERYTHING)
    assert (sent.id, sent.failure_kind, sent.ocr_attempts, sent.requeues) == (document, "timeout", 1, 0)
    [again] = claim(connection)
    assert (again.document_id, again.attempt_number, again.max_attempts) == (document, 2, 4)
    history = connection.execute("SELECT attempt_number, outcome FROM ocr_attempt ORDER BY id").fetchall()
    assert history == [(1, "failed"), (2, None)]
    assert list(find_violations(connection, sources=["index"])) == []


def test_documents_are_selected_by_kind_id_and_time(connection: Connection) -> None:
    timeout, corrupt, crashed = exhaust(connection, ["timeout", "corrupt", "crashed"])
    connection.execute("UPDATE extraction_queue SET ocr_last_error_at = '2026-03-08 06:30+00' WHERE id = %s", [crashed])

    def chosen(choice: ExhaustedFilter) -> set[UUID]:
        return {one.id for one in find_exhausted(connection, choice)}

    assert chosen(EVERYTHING) == {timeout, corrupt, crashed}
    assert chosen(ExhaustedFilter(sources=("index",), kinds=("timeout", "corrupt"))) == {timeout, corrupt}
    assert chosen(ExhaustedFilter(sources=("index",), ids=(corrupt,))) == {corrupt}
    assert chosen(ExhaustedFilter(sources=("acte",))) == set()
    day = datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert chosen(ExhaustedFilter(sources=("index",), since=day, until=day + timedelta(hours=23))) == {crashed}
    assert chosen(ExhaustedFilter(sources=("index",), until=datetime(2026, 3, 8, 6, 30, tzinfo=UTC))) == set()
    assert len(chosen(ExhaustedFilter(sources=("index",), limit=2))) == 2


def test_dry_run_changes_nothing(connection: Connection) -> None:
    exhaust(connection, ["timeout"])
    before = connection.execute("SELECT to_jsonb(q) FROM extraction_queue AS q").fetchall()
    assert len(list(find_exhausted(connection, EVERYTHING))) == 1
    assert connection.execute("SELECT to_jsonb(q) FROM extraction_queue AS q").fetchall() == before


def test_a_document_is_requeued_up_to_the_maximum(connection: Connection) -> None:
    exhaust(connection, ["timeout"])
    twice = ExhaustedFilter(sources=("index",), max_requeues=2)
    for _ in range(2):
        assert len(requeue(connection, twice)) == 1
        [one] = claim(connection)
        fail(connection, one, "timeout")
    assert requeue(connection, twice) == []


def test_active_waiting_and_done_documents_are_not_requeued(connection: Connection) -> None:
    for number in "123":
        enqueue_document(connection, NewDocument("index", number, f"index/{number}.pdf"))
    running, done = claim(connection, 2)
    succeed(connection, done, OcrResult("", 1, None, 0, 0, 1, "test"))
    connection.execute("UPDATE extraction_queue SET ocr_max_attempts = 1 WHERE id = %s", [running.document_id])
    assert requeue(connection, EVERYTHING) == []


def test_documents_exhausted_at_status_4_return_to_3(connection: Connection) -> None:
    enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    [one] = claim(connection)
    fail(connection, one, "timeout", exhausted_status=4)
    extraction_error = enqueue_document(connection, NewDocument("index", "2", "index/2.pdf"))
    connection.execute("UPDATE extraction_queue SET status_id = 4 WHERE id = %s", [extraction_error])
    assert [sent.id for sent in requeue(connection, ExhaustedFilter(("index",), exhausted_status=4))] == [
        one.document_id
    ]
    assert [again.document_id for again in claim(connection)] == [one.document_id]


def test_results_of_the_documents_that_a_run_requeued(connection: Connection) -> None:
    exhaust(connection, ["timeout", "crashed", "engine", "storage"])
    requeue(connection, EVERYTHING, run_id="run", more_attempts=1)
    read, failed, running = claim(connection, 3)
    succeed(connection, read, OcrResult("texte", 1, 90.0, 0, 0, 1, "test"))
    fail(connection, failed, "timeout")
    states = {one.id: one.state for one in requeue_results(connection, "run")}
    assert states[read.document_id] == "read"
    assert states[failed.document_id] == "exhausted again"
    assert states[running.document_id] == "under OCR"
    assert sorted(states.values()) == ["exhausted again", "read", "under OCR", "waiting"]
    assert requeue_results(connection, "another run") == []


@pytest.mark.parametrize("again", [False, True])
def test_pause_stops_every_claim_until_it_is_lifted(connection: Connection, again: bool) -> None:
    enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    [in_hand] = claim(connection)
    enqueue_document(connection, NewDocument("index", "2", "index/2.pdf"))
    pause(connection, "disk check")
    if again:
        pause(connection, "disk check, second day")
    stopped = current_pause(connection)
    assert stopped is not None
    assert stopped.reason.startswith("disk check")
    assert claim(connection) == []
    assert succeed(connection, in_hand, OcrResult("", 1, None, 0, 0, 1, "test")), "what is in hand is finished"
    assert resume(connection)
    assert not resume(connection)
    assert current_pause(connection) is None
    assert len(claim(connection)) == 1


def test_a_process_releases_claims_whose_commit_it_did_not_see(connection: Connection) -> None:
    """As after a signal between the claim's commit and its answer."""
    for number in "12":
        enqueue_document(connection, NewDocument("index", number, f"index/{number}.pdf"))
    mine, other = uuid4(), uuid4()
    for instance in (mine, other):
        claims.claim_documents(
            connection,
            limit=1,
            sources=["index"],
            worker_id="both",
            run_id=None,
            lease=timedelta(minutes=1),
            instance=instance,
        )
    assert releases.release_instance(connection, mine, reason="told to stop") == 1
    assert releases.release_instance(connection, mine, reason="told to stop") == 0
    states = connection.execute("SELECT status_id, ocr_attempts FROM extraction_queue ORDER BY created_at").fetchall()
    assert states == [(3, 0), (6, 1)]
