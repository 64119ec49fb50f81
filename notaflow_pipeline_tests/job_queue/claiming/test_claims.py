"""Claims: which rows are claimed, in which order, and what a claim writes."""

from typing import Any, LiteralString
from uuid import UUID

import pytest
from psycopg import Connection, sql

from notaflow_pipeline.job_queue.claiming import claim_statements, releases
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline_tests.job_queue.times import database_time
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
    LEASE,
    add_document,
    ago,
    ahead,
    attempts,
    claim,
    claim_one,
    document,
    everything,
    fail,
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
    ages: dict[UUID, Any] = dict(connection.execute("SELECT id, created_at FROM extraction_queue").fetchall())
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


def test_rows_that_are_not_ready_are_not_claimed(connection: Connection) -> None:
    left_alone = {add_document(connection, created_at=ago("1 year"), **columns): columns for columns in NOT_FOR_OCR_NOW}
    ready = add_document(connection)
    claimed = [held.document_id for held in claim(connection, 99)]
    assert [left_alone[one] for one in claimed if one in left_alone] == []
    assert claimed == [ready]


def test_row_with_maximum_zero_and_without_attempts_is_not_claimed(connection: Connection) -> None:
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


def test_row_without_a_maximum_becomes_exhausted(connection: Connection) -> None:
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
def test_unsupported_source_is_refused_and_no_row_is_changed(connection: Connection, sources: list[str]) -> None:
    for source in ("index", "plan_cadastraux", *sources):
        add_document(connection, document_source=source, ocr_max_attempts=None)
    before = everything(connection)
    with pytest.raises(ValueError, match=REFUSED):
        claim(connection, sources=sources)
    with pytest.raises(ValueError, match=REFUSED):
        claim_statements.claim_statement(tuple(sources), 1)
    assert everything(connection) == before


# --- what a claim writes


def test_claim_writes_all_columns_of_the_contract(connection: Connection) -> None:
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


def test_claim_uses_its_index_with_a_hundred_thousand_exhausted_rows(crowded: Connection) -> None:
    numbered = claim_statements.claim_statement(("index",), 20).decode()
    for number, name in enumerate(("worker_id", "run_id", "instance", "lease", "left_out"), start=1):
        numbered = numbered.replace(f"%({name})s", f"${number}")
    crowded.execute(b"PREPARE claim (text, text, uuid, interval, uuid[]) AS " + numbered.encode())
    for mode in ("auto", "force_custom_plan", "force_generic_plan"):
        crowded.execute(sql.SQL("SET plan_cache_mode = {}").format(sql.Literal(mode)))
        with crowded.transaction(force_rollback=True):
            row = crowded.execute(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim('w', NULL, NULL, '1 minute', '{}')"
            ).fetchone()
        assert row is not None
        found = nodes(row[0][0]["Plan"])
        on_queue = [node for node in found if node.get("Relation Name") == "extraction_queue"]
        assert "idx_extraction_queue_ocr_next_index" in {node.get("Index Name") for node in on_queue}, mode
        assert [node["Node Type"] for node in on_queue if node["Node Type"] == "Seq Scan"] == [], mode
        assert sum(node.get("Rows Removed by Filter", 0) for node in found) < 100, mode
        assert max(node["Actual Rows"] * node["Actual Loops"] for node in on_queue) <= 80, mode
        assert found[0]["Shared Hit Blocks"] + found[0]["Shared Read Blocks"] < 3_000, mode


def test_ids_are_uuids(connection: Connection) -> None:
    add_document(connection)
    assert isinstance(claim_one(connection).document_id, UUID)
