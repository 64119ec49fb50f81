"""Who may work on a row: claim, renew, succeed, fail, release, and what comes too late."""

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue import claims, lease_renewal, outcomes, queries, releases
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult
from notaflow_pipeline_tests.job_queue.conftest import (
    BLANK,
    ENCRYPTED,
    LEASE,
    READING,
    TIMEOUT,
    add_document,
    ago,
    ahead,
    attempts,
    change,
    claim,
    claim_one,
    document,
    everything,
    expire,
    fail,
    succeed,
    sweep,
)
from notaflow_pipeline_tests.testing.invariants import violated_invariants


def database_time(connection: Connection) -> datetime:
    with connection.cursor(row_factory=scalar_row) as cursor:
        now = cursor.execute("SELECT clock_timestamp()").fetchone()
    assert isinstance(now, datetime)
    return now


def reading(text: str) -> OcrResult:
    return OcrResult(
        text=text, pages=1, mean_confidence=80, fetch_seconds=0, ocr_seconds=0, source_bytes=1, engine="tesseract 5"
    )


# --- what is claimed, and in which order


def test_oldest_document_is_claimed_first_after_the_highest_priority(connection: Connection) -> None:
    newer = add_document(connection, created_at=ago("1 hour"))
    oldest = add_document(connection, created_at=ago("3 hours"))
    urgent = add_document(connection, created_at=ago("1 minute"), ocr_priority=5)
    patient = add_document(connection, created_at=ago("9 days"), ocr_priority=-1)
    assert [claim_one(connection).document_id for _ in range(4)] == [urgent, oldest, newer, patient]


def test_documents_of_one_moment_are_claimed_in_the_order_of_their_ids(connection: Connection) -> None:
    moment = database_time(connection)
    ids = [add_document(connection, created_at=moment) for _ in range(6)]
    assert [claim_one(connection).document_id for _ in range(6)] == sorted(ids)


def test_no_more_than_the_limit_is_claimed(connection: Connection) -> None:
    for _ in range(5):
        add_document(connection)
    assert [len(claim(connection, 2)) for _ in range(4)] == [2, 2, 1, 0]


def test_batch_is_handed_out_oldest_first_whatever_plan_updates_it(connection: Connection) -> None:
    connection.execute("""
        INSERT INTO extraction_queue (document_source, document_number, status_id, created_at)
        SELECT 'index', i::text, 3, now() - ((i * 7919) % 1000) * interval '1 minute'
        FROM generate_series(1, 300) AS i
    """)
    connection.execute("ANALYZE extraction_queue")  # now the planner knows that a hash join is cheaper
    ages: dict[UUID, datetime] = dict(connection.execute("SELECT id, created_at FROM extraction_queue").fetchall())
    handed_out = [ages[held.document_id] for held in claim(connection, 200)]
    assert handed_out == sorted(handed_out)


def test_two_sources_together_keep_one_order(connection: Connection) -> None:
    wanted = [
        add_document(connection, document_source="acte", created_at=ago("1 hour"), ocr_priority=1),
        add_document(connection, document_source="index", created_at=ago("9 hours")),
        add_document(connection, document_source="acte", created_at=ago("8 hours")),
        add_document(connection, document_source="acte", created_at=ago("7 hours")),
        add_document(connection, document_source="index", created_at=ago("6 hours")),
        add_document(connection, document_source="acte", created_at=ago("5 hours")),
    ]
    both = ("index", "acte")
    assert [held.document_id for held in claim(connection, 4, sources=both)] == wanted[:4]
    assert [held.document_id for held in claim(connection, 4, sources=both)] == wanted[4:]


def test_act_is_claimed_only_when_acts_are_enabled(connection: Connection) -> None:
    act = add_document(connection, document_source="acte")
    assert claim(connection) == []
    [held] = claim(connection, sources=["index", "acte"])
    assert (held.document_id, held.document_source) == (act, "acte")
    assert attempts(connection, act)[0]["document_source"] == "acte"


NOT_FOR_OCR_NOW: list[dict[str, Any]] = [
    {"status_id": 1},
    {"status_id": 2},
    {"status_id": 4},
    {"status_id": 5},
    {"status_id": 6},
    {"status_id": None},
    {"document_source": "acte"},
    {"document_source": "plan_cadastraux"},
    {"document_source": None},
    {"file_content": "text"},
    {"file_content": ""},
    {"ocr_next_attempt_at": ahead("1 minute")},
    {"ocr_attempts": 3},
    {"ocr_attempts": 7, "ocr_max_attempts": 5},
    {"ocr_attempts": 3, "ocr_max_attempts": None},
    {"ocr_attempts": 0, "ocr_max_attempts": 0},
]


def test_rows_that_are_not_for_ocr_now_are_left_alone(connection: Connection) -> None:
    left_alone = {add_document(connection, created_at=ago("1 year"), **columns): columns for columns in NOT_FOR_OCR_NOW}
    ready = add_document(connection)
    claimed = [held.document_id for held in claim(connection, 99)]
    assert [left_alone[one] for one in claimed if one in left_alone] == []
    assert claimed == [ready]


def test_row_with_maximum_zero_is_not_claimed_even_if_its_attempts_are_missing(connection: Connection) -> None:
    add_document(connection, ocr_attempts=None, ocr_max_attempts=0)
    assert claim(connection) == []
    assert violated_invariants(connection) == {}


def test_row_whose_wait_is_over_is_claimed(connection: Connection) -> None:
    waited = add_document(connection, ocr_attempts=1, ocr_next_attempt_at=ago("1 millisecond"))
    assert claim_one(connection).document_id == waited
    assert document(connection, waited)["ocr_next_attempt_at"] is None


@pytest.mark.parametrize(
    ("before", "maximum", "after"),
    [
        ((None, 3), 3, 1),
        ((None, None), 3, 1),
        ((0, None), 3, 1),
        ((2, None), 3, 3),
        ((None, 1), 1, 1),
    ],
)
def test_claim_writes_missing_attempts_and_maxima_back(
    connection: Connection, before: tuple[int | None, int | None], maximum: int, after: int
) -> None:
    row = add_document(connection, ocr_attempts=before[0], ocr_max_attempts=before[1])
    held = claim_one(connection)
    assert (held.attempt_number, held.max_attempts) == (after, maximum)
    assert (document(connection, row)["ocr_attempts"], document(connection, row)["ocr_max_attempts"]) == (
        after,
        maximum,
    )


def test_row_that_no_list_shows_becomes_exhausted_instead_of_vanishing(connection: Connection) -> None:
    hidden = add_document(connection, ocr_attempts=4, ocr_max_attempts=None)
    assert claim(connection) == []
    assert document(connection, hidden)["ocr_max_attempts"] == 4, "attempts never exceed the maximum"
    literal = connection.execute("SELECT id FROM ocr_failed_jobs").fetchall()
    assert literal == [(hidden,)]


def test_attempts_never_exceed_the_maximum(connection: Connection) -> None:
    row = add_document(connection, ocr_max_attempts=4)
    for number in range(1, 5):
        held = claim_one(connection)
        assert held.attempt_number == number
        assert fail(connection, held, retry_base_seconds=0)
    assert claim(connection) == []
    assert document(connection, row)["ocr_attempts"] == 4
    assert violated_invariants(connection) == {}


REFUSED = r"drawings are never OCRed|is not a valid DocumentSource"


@pytest.mark.parametrize(
    "sources",
    [
        [],
        ["plan_cadastraux"],
        ["index", "plan_cadastraux"],
        ["INDEX"],
        [""],
        ["index' OR TRUE --"],
        ["index AS (SELECT 1)) --"],
    ],
)
def test_source_that_is_not_read_is_refused_and_no_row_is_touched(connection: Connection, sources: list[str]) -> None:
    for source in ("index", "plan_cadastraux", *sources):
        add_document(connection, document_source=source, ocr_max_attempts=None)
    before = everything(connection)
    with pytest.raises(ValueError, match=REFUSED):
        claim(connection, sources=sources)
    with pytest.raises(ValueError, match=REFUSED):
        claims.claim_statement(tuple(sources), 1)
    assert everything(connection) == before


# --- what a claim writes


def test_claim_writes_all_that_the_document_asks_for(connection: Connection) -> None:
    row = add_document(
        connection,
        document_number="1358-176",
        supabase_path="index/1358-176-quebec-1.pdf",
        ocr_attempts=1,
        ocr_max_attempts=5,
        ocr_error="OCR processing failed: earlier",
        ocr_completed_at=ago("1 day"),
        ocr_next_attempt_at=ago("1 minute"),
        updated_at=ago("1 day"),
        worker_id="extraction-7",
    )
    earlier = database_time(connection)
    [held] = claim(connection, worker_id="ocr-worker-prod-01", run_id="run-1")
    later = database_time(connection)

    assert held == Claim(
        token=held.token,
        document_id=row,
        document_number="1358-176",
        document_source="index",
        supabase_path="index/1358-176-quebec-1.pdf",
        attempt_number=2,
        max_attempts=5,
    )
    written = document(connection, row)
    assert earlier < written["ocr_started_at"] < later
    assert earlier < written["updated_at"] < later
    assert {
        name: written[name] for name in written if name.startswith("ocr_") or name in ("status_id", "worker_id")
    } == {
        "status_id": 6,
        "worker_id": "extraction-7",
        "ocr_worker_id": "ocr-worker-prod-01",
        "ocr_started_at": written["ocr_started_at"],
        "ocr_completed_at": None,
        "ocr_attempts": 2,
        "ocr_max_attempts": 5,
        "ocr_error": "OCR processing failed: earlier",
        "ocr_last_error_at": None,
        "ocr_claim_id": held.token,
        "ocr_next_attempt_at": None,
        "ocr_priority": 0,
        "ocr_reread_requested_at": None,
        "ocr_changed_elsewhere_at": None,
    }
    [attempt] = attempts(connection, row)
    assert earlier + LEASE < attempt["lease_expires_at"] < later + LEASE
    assert {name: value for name, value in attempt.items() if value is not None} == {
        "id": held.token,
        "queue_id": row,
        "attempt_number": 2,
        "document_source": "index",
        "worker_id": "ocr-worker-prod-01",
        "run_id": "run-1",
        "claimed_at": written["ocr_started_at"],
        "lease_expires_at": attempt["lease_expires_at"],
        "ready_at": written["created_at"],
    }


def test_token_is_never_used_again(connection: Connection) -> None:
    add_document(connection)
    tokens = []
    for _ in range(4):
        held = claim_one(connection)
        tokens.append(held.token)
        releases.release(connection, [held.token], reason="stop")
    assert tokens == sorted(set(tokens))


def test_claim_is_no_open_transaction(connection: Connection, other: Connection) -> None:
    row = add_document(connection)
    claim_one(connection)
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert document(other, row)["status_id"] == 6


def test_database_refuses_a_second_open_attempt_of_a_document(connection: Connection) -> None:
    row = add_document(connection)
    claim_one(connection)
    with pytest.raises(psycopg.errors.UniqueViolation, match="ocr_attempt_one_open"):
        connection.execute(
            "INSERT INTO ocr_attempt (queue_id, attempt_number, worker_id, claimed_at, lease_expires_at) "
            "VALUES (%s, 2, 'w', now(), now())",
            [row],
        )


# --- together with others


def test_locked_row_is_passed_over_and_not_waited_for(connection: Connection, other: Connection) -> None:
    locked = add_document(connection, created_at=ago("3 hours"))
    rest = [add_document(connection, created_at=ago("2 hours")), add_document(connection, created_at=ago("1 hour"))]
    with connection.transaction():
        connection.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [locked])
        assert [held.document_id for held in claim(other, 2)] == rest
    assert [held.document_id for held in claim(other, 2)] == [locked]


def test_locked_row_without_maximum_is_not_waited_for_either(connection: Connection, other: Connection) -> None:
    locked = add_document(connection, ocr_max_attempts=None)
    ready = add_document(connection)
    with connection.transaction():
        connection.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [locked])
        assert [held.document_id for held in claim(other, 2)] == [ready]


def in_threads(database_url: str, works: Sequence[Callable[[Connection], None]]) -> None:
    """Run every work at once, each on a connection of its own; raise what the first of them raised."""
    errors: list[BaseException] = []

    def run(work: Callable[[Connection], None]) -> None:
        try:
            with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as one:
                work(one)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_eight_workers_claim_each_of_three_hundred_documents_exactly_once(
    connection: Connection, database_url: str
) -> None:
    connection.execute("""
        INSERT INTO extraction_queue (document_source, document_number, status_id, created_at)
        SELECT 'index', i::text, 3, now() - (i % 50) * interval '1 minute'
        FROM generate_series(1, 300) AS i
    """)
    claimed: list[Claim] = []

    def work(one: Connection) -> None:
        chance = random.Random(9)
        while queries.has_unfinished(one, sources=["index"]):
            for held in claim(one, chance.randint(1, 9)):
                claimed.append(held)
                assert succeed(one, held, reading(f"text of {held.document_number}"))

    in_threads(database_url, [work] * 8)
    assert Counter(held.document_number for held in claimed) == {str(i): 1 for i in range(1, 301)}
    assert len({held.token for held in claimed}) == 300
    finished = connection.execute("SELECT document_number, file_content FROM extraction_queue WHERE status_id = 5")
    assert all(text == f"text of {number}" for number, text in finished.fetchall())
    assert violated_invariants(connection) == {}


def meet_a_fate(one: Connection, held: Claim, late: list[bool]) -> None:
    """Succeed, fail, fail for good, be told to stop, be killed, or freeze until others have swept the claim up."""
    # each claim has its own, whichever thread makes it
    fate = random.Random(held.token).choice(["succeed"] * 5 + ["fail", "fail for good", "stop", "die", "freeze"])
    match fate:
        case "succeed":
            succeed(one, held, reading(f"{held.token}"))
        case "fail":
            fail(one, held, retry_base_seconds=0)
        case "fail for good":
            fail(one, held, ENCRYPTED)
        case "stop":
            releases.release(one, [held.token], reason="stop")
        case _:
            one.execute(
                "UPDATE ocr_attempt SET lease_expires_at = clock_timestamp() - interval '1 s' "
                "WHERE id = %s AND finished_at IS NULL",
                [held.token],
            )
            if fate == "freeze":
                sweep(one)
                late.append(succeed(one, held, reading("late")))


def test_promises_hold_among_workers_that_crash_come_late_fail_and_give_back(
    connection: Connection, database_url: str
) -> None:
    for number in range(80):
        add_document(connection, document_number=str(number), ocr_max_attempts=6)
    late: list[bool] = []

    def work(one: Connection) -> None:
        chance = random.Random(5)
        while queries.has_unfinished(one, sources=["index"]):
            for held in claim(one, chance.randint(1, 5)):
                meet_a_fate(one, held, late)

    def sweeps(one: Connection) -> None:
        while queries.has_unfinished(one, sources=["index"]):
            sweep(one)

    in_threads(database_url, [work] * 6 + [sweeps] * 2)
    assert False in late, "a late text was refused"
    texts = connection.execute("""
        SELECT q.file_content, a.id
        FROM extraction_queue AS q
        JOIN ocr_attempt AS a ON a.queue_id = q.id AND a.outcome = 'succeeded'
    """).fetchall()
    assert {text for text, winner in texts} <= {str(winner) for _, winner in texts} | {"late"}
    assert sum(text == "late" for text, _ in texts) == sum(late)
    ended = connection.execute("SELECT status_id, count(*) FROM extraction_queue GROUP BY 1").fetchall()
    assert dict(ended) == {5: len(texts), 3: 80 - len(texts)}
    assert violated_invariants(connection) == {}


# --- renewal


def test_renewal_extends_the_leases_that_are_held_and_returns_them(connection: Connection) -> None:
    for _ in range(2):
        add_document(connection)
    held = claim(connection, 2)
    tokens = {one.token for one in held}
    earlier = database_time(connection)
    assert lease_renewal.renew(connection, tokens, timedelta(hours=1)) == tokens
    assert all(attempt["lease_expires_at"] > earlier + timedelta(hours=1) for attempt in attempts(connection))


def _recover(connection: Connection, held: Claim) -> None:
    expire(connection, held)
    assert sweep(connection).expired_leases == 1


def _reset_elsewhere(connection: Connection, held: Claim) -> None:
    change(connection, "extraction_queue", held.document_id, status_id=3)


def _delete(connection: Connection, held: Claim) -> None:
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [held.document_id])


def _finish(connection: Connection, held: Claim) -> None:
    assert succeed(connection, held, READING)


def _give_back(connection: Connection, held: Claim) -> None:
    assert releases.release(connection, [held.token], reason="stop") == 1


@pytest.mark.parametrize("lose", [_recover, _reset_elsewhere, _delete, _finish, _give_back])
def test_renewal_tells_which_claims_are_lost(connection: Connection, lose: Callable[[Connection, Claim], None]) -> None:
    add_document(connection, created_at=ago("1 hour"))
    add_document(connection)
    lost, kept = claim(connection, 2)
    lose(connection, lost)
    assert lease_renewal.renew(connection, [lost.token, kept.token, 987_654], LEASE) == {kept.token}


# --- success


def test_success_writes_the_text_and_ends_the_attempt(connection: Connection) -> None:
    row = add_document(
        connection, ocr_error="OCR processing failed: earlier", ocr_last_error_at=ago("1 hour"), error_message="kept"
    )
    held = claim_one(connection)
    assert succeed(connection, held, READING)

    written = document(connection, row)
    assert written["status_id"] == 5
    assert written["file_content"] == READING.text
    assert written["ocr_completed_at"] >= written["ocr_started_at"]
    assert written["updated_at"] >= written["ocr_completed_at"]
    assert written["ocr_error"] is None
    assert written["ocr_claim_id"] is None
    assert written["ocr_attempts"] == 1
    assert written["ocr_worker_id"] == "ocr-monitor-1"
    assert (written["searchable_file_content"], written["boosted_file_content"]) == (None, None)
    [attempt] = attempts(connection, row)
    assert attempt["finished_at"] == written["ocr_completed_at"]
    wanted = {
        "outcome": "succeeded",
        "failure_kind": None,
        "error": None,
        "pages": 1,
        "characters": len(READING.text),
        "mean_confidence": 91.5,
        "fetch_seconds": 0.25,
        "ocr_seconds": 1.5,
        "source_bytes": 4096,
        "engine": "tesseract 5",
        "coverage": 0.875,
        "text_sha256": hashlib.sha256(READING.text.encode()).digest(),
    }
    assert {name: attempt[name] for name in wanted} == wanted
    assert violated_invariants(connection) == {}


def test_empty_text_is_stored_as_empty_and_never_as_null(connection: Connection) -> None:
    row = add_document(connection)
    assert succeed(connection, claim_one(connection), BLANK)
    assert document(connection, row)["file_content"] == ""
    [attempt] = attempts(connection, row)
    assert (attempt["characters"], attempt["mean_confidence"], attempt["coverage"]) == (0, None, None)
    assert connection.execute("SELECT FROM ocr_failed_jobs").fetchall() == []


def test_success_whose_answer_was_lost_is_accepted_again_and_changes_nothing(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    assert succeed(connection, held, READING)
    before = everything(connection)
    assert succeed(connection, held, READING)
    assert everything(connection) == before


def test_failure_whose_answer_was_lost_is_accepted_again_and_changes_nothing(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    assert fail(connection, held)
    before = everything(connection)
    assert fail(connection, held)
    assert everything(connection) == before


def test_claim_ends_once(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    assert succeed(connection, held, READING)
    before = everything(connection)
    assert not fail(connection, held)
    assert releases.release(connection, [held.token], reason="stop") == 0
    assert everything(connection) == before


# --- what comes too late

LATE: list[Callable[[Connection, Claim], int]] = [
    lambda connection, held: succeed(connection, held, reading("late text")),
    lambda connection, held: fail(connection, held),
    lambda connection, held: fail(connection, held, ENCRYPTED, exhausted_status=4),
    lambda connection, held: releases.release(connection, [held.token], reason="stop"),
]
LATE_IDS = ["succeed", "fail", "fail for good", "release"]


@pytest.mark.parametrize("finish", LATE, ids=LATE_IDS)
def test_late_finish_of_recovered_claim_changes_nothing(
    connection: Connection, finish: Callable[[Connection, Claim], int]
) -> None:
    add_document(connection)
    late = claim_one(connection)
    expire(connection, late)
    sweep(connection)
    before = everything(connection)
    assert not finish(connection, late)
    assert everything(connection) == before


@pytest.mark.parametrize("finish", LATE, ids=LATE_IDS)
def test_late_finish_while_another_worker_of_the_same_name_reads_changes_nothing(
    connection: Connection, finish: Callable[[Connection, Claim], int]
) -> None:
    row = add_document(connection)
    late = claim_one(connection)
    expire(connection, late)
    sweep(connection)
    winner = claim_one(connection)
    before = everything(connection)
    assert not finish(connection, late)
    assert everything(connection) == before

    assert succeed(connection, winner, reading("the winner's text"))
    assert not finish(connection, late)
    assert document(connection, row)["file_content"] == "the winner's text"
    assert [attempt["outcome"] for attempt in attempts(connection, row)] == ["stuck", "succeeded"]
    assert violated_invariants(connection) == {}


@pytest.mark.parametrize("finish", LATE[:3], ids=LATE_IDS[:3])
def test_finish_after_a_foreign_reset_is_refused_and_its_attempt_superseded(
    connection: Connection, finish: Callable[[Connection, Claim], int]
) -> None:
    row = add_document(connection)
    late = claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3, ocr_attempts=0)
    before = document(connection, row)
    assert not finish(connection, late)
    assert document(connection, row) == before
    assert [attempt["outcome"] for attempt in attempts(connection, row)] == ["superseded"]


def test_claim_after_a_foreign_reset_closes_the_old_attempt_as_superseded(connection: Connection) -> None:
    row = add_document(connection)
    late = claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3)
    winner = claim_one(connection)
    assert winner.token != late.token
    old, new = attempts(connection, row)
    assert (old["outcome"], new["outcome"]) == ("superseded", None)
    assert not succeed(connection, late, reading("late"))
    assert succeed(connection, winner, READING)
    assert document(connection, row)["file_content"] == READING.text


def test_superseded_attempt_ends_before_the_next_one_begins(connection: Connection) -> None:
    row = add_document(connection)
    claim_one(connection)
    change(connection, "extraction_queue", row, status_id=3)
    claim_one(connection)
    old, new = attempts(connection, row)
    assert old["finished_at"] <= new["claimed_at"]
    assert violated_invariants(connection) == {}


def test_finish_of_a_deleted_document_is_refused(connection: Connection) -> None:
    row = add_document(connection)
    held = claim_one(connection)
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [row])
    assert not succeed(connection, held, READING)
    assert [attempt["outcome"] for attempt in attempts(connection, row)] == ["superseded"]


def test_finish_of_a_claim_that_never_was_is_refused(connection: Connection) -> None:
    add_document(connection)
    held = claim_one(connection)
    before = everything(connection)
    invented = Claim(held.token + 1, held.document_id, "1", "index", None, 1, 3)
    elsewhere = Claim(held.token + 1, uuid4(), "1", "index", None, 1, 3)
    assert not succeed(connection, invented, READING)
    assert not succeed(connection, elsewhere, READING)
    assert everything(connection) == before


# --- failure


def test_failure_that_may_pass_sends_the_document_back_to_wait(connection: Connection) -> None:
    row = add_document(connection, error_message="extraction's own")
    held = claim_one(connection)
    assert fail(connection, held, TIMEOUT)

    written = document(connection, row)
    sentence = "OCR processing failed: Page 2 of 7 took longer than 120 s."
    assert written["status_id"] == 3
    assert (written["ocr_error"], written["error_message"]) == (sentence, sentence)
    assert (written["ocr_attempts"], written["ocr_max_attempts"]) == (1, 3)
    assert written["ocr_last_error_at"] >= written["ocr_started_at"]
    assert (written["ocr_claim_id"], written["ocr_completed_at"], written["file_content"]) == (None, None, None)
    assert written["ocr_next_attempt_at"] > written["ocr_last_error_at"]
    [attempt] = attempts(connection, row)
    assert attempt["finished_at"] == written["ocr_last_error_at"]
    wanted = {
        "outcome": "failed",
        "failure_kind": "timeout",
        "error": "Page 2 of 7 took longer than 120 s.",
        "fetch_seconds": 0.5,
        "source_bytes": 2048,
        "pages": None,
        "characters": None,
        "text_sha256": None,
    }
    assert {name: attempt[name] for name in wanted} == wanted
    assert claim(connection) == []
    assert violated_invariants(connection) == {}


def test_failure_is_not_mirrored_when_that_is_switched_off(connection: Connection) -> None:
    row = add_document(connection, error_message="extraction's own")
    assert fail(connection, claim_one(connection), mirror_errors=False)
    written = document(connection, row)
    assert written["ocr_error"] == "OCR processing failed: Page 2 of 7 took longer than 120 s."
    assert written["error_message"] == "extraction's own"


def test_wait_doubles_with_each_attempt_by_the_database_s_clock(connection: Connection) -> None:
    row = add_document(connection, ocr_max_attempts=5)
    for number in range(1, 5):
        held = claim_one(connection)
        earlier = database_time(connection)
        assert fail(connection, held, retry_base_seconds=40)
        later = database_time(connection)
        wait = timedelta(seconds=40 * 2 ** (number - 1))
        assert earlier + wait * 0.5 <= document(connection, row)["ocr_next_attempt_at"] <= later + wait * 1.5
        change(connection, "extraction_queue", row, ocr_next_attempt_at=None)


def test_waits_are_spread_by_chance_and_never_long(connection: Connection) -> None:
    for _ in range(12):
        add_document(connection, ocr_attempts=30, ocr_max_attempts=99)
    waits = []
    for held in claim(connection, 12):
        fail(connection, held, retry_base_seconds=30)
        written = document(connection, held.document_id)
        waits.append((written["ocr_next_attempt_at"] - written["ocr_last_error_at"]).total_seconds())
    hour = outcomes.MAX_BACKOFF_SECONDS
    assert all(hour * 0.5 <= wait <= hour * 1.5 + 1 for wait in waits)
    assert max(waits) - min(waits) > hour * 0.05


def test_failure_for_good_exhausts_the_document_at_once(connection: Connection) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection), ENCRYPTED)
    written = document(connection, row)
    assert (written["status_id"], written["ocr_attempts"], written["ocr_max_attempts"]) == (3, 1, 1)
    assert written["ocr_next_attempt_at"] is None
    assert connection.execute("SELECT id FROM ocr_exhausted_documents").fetchall() == [(row,)]
    assert claim(connection) == []
    assert violated_invariants(connection) == {}


def test_last_attempt_that_fails_exhausts_the_document(connection: Connection) -> None:
    row = add_document(connection, ocr_attempts=2)
    assert fail(connection, claim_one(connection), TIMEOUT)
    written = document(connection, row)
    assert (written["status_id"], written["ocr_attempts"], written["ocr_max_attempts"]) == (3, 3, 3)
    assert written["ocr_next_attempt_at"] is None
    assert connection.execute("SELECT id FROM ocr_exhausted_documents").fetchall() == [(row,)]


@pytest.mark.parametrize(("failure", "attempts_before"), [(ENCRYPTED, 0), (TIMEOUT, 2)])
def test_exhausted_document_goes_to_status_four_where_that_is_set(
    connection: Connection, failure: Failure, attempts_before: int
) -> None:
    row = add_document(connection, ocr_attempts=attempts_before)
    assert fail(connection, claim_one(connection), failure, exhausted_status=4)
    assert document(connection, row)["status_id"] == 4


def test_status_four_is_only_for_exhausted_documents(connection: Connection) -> None:
    row = add_document(connection)
    assert fail(connection, claim_one(connection), TIMEOUT, exhausted_status=4)
    assert document(connection, row)["status_id"] == 3


# --- release


def test_release_gives_the_attempt_back_and_its_number_is_used_again(connection: Connection) -> None:
    row = add_document(connection, ocr_attempts=1, ocr_error="OCR processing failed: earlier")
    held = claim_one(connection)
    assert held.attempt_number == 2
    assert releases.release(connection, [held.token], reason="the worker was told to stop") == 1

    written = document(connection, row)
    assert (written["status_id"], written["ocr_attempts"]) == (3, 1)
    assert (written["ocr_worker_id"], written["ocr_started_at"], written["ocr_claim_id"]) == (None, None, None)
    assert written["ocr_error"] == "OCR processing failed: earlier"
    [attempt] = attempts(connection, row)
    assert (attempt["outcome"], attempt["error"]) == ("released", "the worker was told to stop")
    assert attempt["failure_kind"] is None
    assert claim_one(connection).attempt_number == 2


def test_release_gives_back_what_it_names_and_no_more(connection: Connection) -> None:
    for _ in range(3):
        add_document(connection)
    held = claim(connection, 3)
    assert releases.release(connection, [held[0].token, held[1].token, 987_654], reason="stop") == 2
    assert releases.release(connection, [], reason="stop") == 0
    assert document(connection, held[2].document_id)["status_id"] == 6
    assert violated_invariants(connection) == {}


def test_release_of_a_run_gives_back_that_run_s_claims_alone(connection: Connection) -> None:
    for _ in range(5):
        add_document(connection)
    mine = claim(connection, 2, run_id="run-1")
    [finished] = claim(connection, 1, run_id="run-1")
    succeed(connection, finished, READING)
    [foreign] = claim(connection, 1, run_id="run-2")
    [outside] = claim(connection, 1, run_id=None)
    assert releases.release_run(connection, "run-1", reason="the run was cancelled") == 2
    assert releases.release_run(connection, "run-1", reason="the run was cancelled") == 0
    statuses = [document(connection, one.document_id)["status_id"] for one in (*mine, finished, foreign, outside)]
    assert statuses == [3, 3, 5, 6, 6]
    assert violated_invariants(connection) == {}


# --- the claim's plan


@pytest.fixture
def crowded(connection: Connection) -> Connection:
    """A queue with 100,000 exhausted rows at its front (trap 4), and 2,000 ready and 20,000 finished ones behind."""
    rows: LiteralString = """
        INSERT INTO extraction_queue (document_source, document_number, status_id, ocr_attempts, file_content, created_at)
        SELECT 'index', i::text, %(status)s, %(attempts)s, %(text)s, now() - %(age)s::interval + i * interval '1 second'
        FROM generate_series(1, %(rows)s) AS i
    """
    connection.execute("SET synchronous_commit = off")
    for status, used, text, age, number in (
        (3, 3, None, "90 days", 100_000),
        (3, 0, None, "10 days", 2_000),
        (5, 1, "text", "60 days", 20_000),
    ):
        connection.execute(rows, {"status": status, "attempts": used, "text": text, "age": age, "rows": number})
    connection.execute("ANALYZE extraction_queue")
    return connection


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


def test_claim_walks_its_index_past_a_hundred_thousand_exhausted_rows(crowded: Connection) -> None:
    numbered = claims.claim_statement(("index",), 20).decode()
    for number, name in enumerate(("worker_id", "run_id", "instance", "lease"), start=1):
        numbered = numbered.replace(f"%({name})s", f"${number}")
    crowded.execute(b"PREPARE claim (text, text, uuid, interval) AS " + numbered.encode())
    for mode in ("auto", "force_custom_plan", "force_generic_plan"):
        crowded.execute(sql.SQL("SET plan_cache_mode = {}").format(sql.Literal(mode)))
        with crowded.transaction(force_rollback=True):
            row = crowded.execute(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim('w', NULL, NULL, '1 minute')"
            ).fetchone()
        assert row is not None
        found = nodes(row[0][0]["Plan"])
        on_queue = [node for node in found if node.get("Relation Name") == "extraction_queue"]
        assert "idx_extraction_queue_ocr_next_index" in {node.get("Index Name") for node in on_queue}, mode
        assert [node["Node Type"] for node in on_queue if node["Node Type"] == "Seq Scan"] == [], mode
        assert sum(node.get("Rows Removed by Filter", 0) for node in found) < 100, mode
        assert max(node["Actual Rows"] * node["Actual Loops"] for node in on_queue) <= 80, mode
        assert found[0]["Shared Hit Blocks"] + found[0]["Shared Read Blocks"] < 3_000, mode


# --- what must not leak


def test_repr_of_a_reading_holds_no_text() -> None:
    assert "3 770 292" not in repr(READING)
    assert "Québec" not in f"{READING} {READING!r} {[READING]}"


def test_ids_are_uuids(connection: Connection) -> None:
    add_document(connection)
    assert isinstance(claim_one(connection).document_id, UUID)
