"""Many rows are changed in short transactions, also if a row is refused or the command is interrupted."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from psycopg import Connection, sql

from notaflow_pipeline.job_queue.database import chunks, sessions
from notaflow_pipeline.job_queue.database.chunks import ChangeResult
from notaflow_pipeline.job_queue.maintenance import recovery_poll
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryTerms, recover
from notaflow_pipeline.job_queue.maintenance.recovery_poll import count_needing_recovery
from notaflow_pipeline.job_queue.maintenance.requeue import (
    ExhaustedDocument,
    ExhaustedFilter,
    count_requeue_results,
    find_exhausted,
    requeue_exhausted,
    requeue_results,
)
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import (
    ENCRYPTED,
    READING,
    STUCK_AFTER,
    add_document,
    ago,
    attempts,
    change,
    claim,
    document,
    expire,
    fail,
    recover_all,
    repaired,
    requeue,
    reread,
    succeed,
)

EVERYTHING = ExhaustedFilter(("index",))

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.document_number = 'poison' THEN
        RAISE EXCEPTION 'not this one: %', NEW.document_number;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse BEFORE UPDATE ON extraction_queue FOR EACH ROW EXECUTE FUNCTION refuse();
"""

REFUSED = (
    "the database refused to change 1 row (the trigger function refuse(), which is not this project's, failed with "
    "RaiseException (SQLSTATE P0001)"
)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 10)


def abandoned(connection: Connection, count: int) -> list[UUID]:
    """Rows that another program set to 6 and left."""
    return [add_document(connection, document_number=str(n), status_id=6, ocr_attempts=1) for n in range(count)]


def exhausted(connection: Connection, count: int) -> list[UUID]:
    """Exhausted documents, the longest exhausted first."""
    return [
        add_document(
            connection,
            document_number=str(n),
            ocr_attempts=3,
            ocr_last_error_at=sql.SQL("'2026-11-01 12:00+00'::timestamptz + {} * interval '1 s'").format(
                sql.Literal(n)
            ),
        )
        for n in range(count)
    ]


def read(connection: Connection, count: int) -> list[UUID]:
    """Finished documents."""
    rows = [add_document(connection, document_number=str(n)) for n in range(count)]
    for held in claim(connection, count):
        assert succeed(connection, held, READING)
    return rows


def transactions(connection: Connection, table: sql.Identifier) -> int:
    """How many transactions wrote the rows of a table as they are."""
    [(count,)] = connection.execute(sql.SQL("SELECT count(DISTINCT xmin::text) FROM {}").format(table)).fetchall()
    assert isinstance(count, int)
    return count


# --- recovery


def test_recovery_of_many_rows_takes_several_transactions(connection: Connection) -> None:
    abandoned(connection, 35)
    told: list[tuple[str, int]] = []
    recovered = recover(
        connection,
        RecoveryTerms(["index"], STUCK_AFTER),
        on_progress=lambda what, rows: told.append((what, rows)),
    )
    assert recovered == repaired(stuck_elsewhere=35)
    assert [rows for what, rows in told if what == "stuck_elsewhere"] == [10, 20, 30, 35]
    assert transactions(connection, sql.Identifier("ocr_attempt")) == 4
    assert violated_invariants(connection) == {}


def test_every_kind_of_repair_goes_through_all_of_its_rows(connection: Connection) -> None:
    texts = read(connection, 12)
    rows = [add_document(connection, ocr_max_attempts=4) for _ in range(24)]
    for number, held in enumerate(claim(connection, 24)):
        expire(connection, held)
        if number % 2:
            change(connection, "extraction_queue", held.document_id, status_id=3)
    abandoned(connection, 11)
    for _ in range(13):
        add_document(connection, ocr_max_attempts=None)
    for row in texts:
        change(connection, "extraction_queue", row, status_id=3)
    assert recover_all(connection) == repaired(
        expired_leases=12, orphaned_attempts=12, stuck_elsewhere=11, texts_without_status=12, missing_maxima=13
    )
    assert recover_all(connection) == repaired()
    assert len(rows) == 24


@pytest.mark.owner
def test_row_that_another_programs_trigger_refuses_is_not_changed(connection: Connection) -> None:
    rows = abandoned(connection, 25)
    change(connection, "extraction_queue", rows[7], document_number="poison")
    connection.execute(REFUSE)
    recovered = recover_all(connection)
    assert (recovered.stuck_elsewhere, recovered.total) == (24, 24)
    assert list(recovered.failed) == ["stuck_elsewhere"]
    assert recovered.failed["stuck_elsewhere"].startswith(REFUSED)
    assert document(connection, rows[7])["status_id"] == 6
    assert attempts(connection, rows[7]) == []


@pytest.mark.owner
def test_repair_that_cannot_be_made_does_not_keep_the_others_from_it(connection: Connection) -> None:
    for _ in range(15):
        add_document(connection)
    for held in claim(connection, 15):
        expire(connection, held)
    abandoned(connection, 45)
    add_document(connection, ocr_max_attempts=None)
    connection.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''no new attempts''; END';
        CREATE TRIGGER refuse BEFORE INSERT ON ocr_attempt FOR EACH ROW EXECUTE FUNCTION refuse();
    """)
    recovered = recover_all(connection)
    assert recovered.counts == repaired(expired_leases=15, missing_maxima=1).counts
    assert list(recovered.failed) == ["stuck_elsewhere"]
    connection.execute("DROP TRIGGER refuse ON ocr_attempt")
    assert recover_all(connection) == repaired(stuck_elsewhere=45)


def test_recovery_that_runs_out_of_time_is_continued_by_the_next(connection: Connection) -> None:
    abandoned(connection, 25)
    add_document(connection, ocr_max_attempts=None)
    done = []
    for _ in range(3):
        recovered = recover(connection, RecoveryTerms(["index"], STUCK_AFTER), seconds=0)
        done.append((recovered.stuck_elsewhere, recovered.missing_maxima, recovered.complete))
    assert done[0] == (10, 1, False)
    assert [one[0] for one in done] == [10, 10, 5]


def test_lock_on_the_table_is_waited_for_once(
    connection: Connection, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that builds an index without CONCURRENTLY holds such a lock, for minutes."""
    rows = abandoned(connection, 3)
    with other.transaction():
        other.execute("LOCK TABLE extraction_queue IN SHARE MODE")
        monkeypatch.setattr(sessions, "LOCK_SECONDS", 1)
        recovered = recover_all(connection)
    assert recovered.failed == dict.fromkeys(("expired_leases", "stuck_elsewhere"), "LockNotAvailable, SQLSTATE 55P03")
    assert recover_all(connection) == repaired(stuck_elsewhere=len(rows))


def test_lost_connection_is_no_refusal(connection: Connection) -> None:
    abandoned(connection, 3)
    connection.close()
    with pytest.raises(Exception, match="closed"):
        recover_all(connection)


def test_text_of_ours_among_many_of_others_is_counted_by_a_later_poll(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_poll, "TEXTS_COMPARED", 3)
    [row, *others] = read(connection, 20)
    for one in others:
        change(connection, "extraction_queue", one, status_id=3, file_content="corrected by hand")

    def needed() -> int:
        return count_needing_recovery(connection, sources=["index"], stuck_after=STUCK_AFTER)

    assert [needed() for _ in range(100)] == [0] * 100
    change(connection, "extraction_queue", row, status_id=3)
    assert any(needed() for _ in range(2000))
    assert recover_all(connection) == repaired(texts_without_status=1)


# --- retry


def test_retry_of_many_documents_takes_several_transactions(connection: Connection) -> None:
    rows = exhausted(connection, 35)
    sizes: list[int] = []
    changed = requeue_exhausted(connection, EVERYTHING, run_id="run", on_requeued=lambda sent: sizes.append(len(sent)))
    assert (changed, sizes) == (ChangeResult(35), [10, 10, 10, 5])
    assert transactions(connection, sql.Identifier("ocr_round")) == 4
    assert {one.id for one in requeue_results(connection, "run")} == set(rows)
    assert count_requeue_results(connection, "run") == {"waiting": 35}
    assert len(requeue_results(connection, "run", at_most=7)) == 7
    assert requeue(connection, EVERYTHING) == []


@pytest.mark.parametrize("limit", [1, 10, 23])
def test_limit_holds_over_all_chunks_and_the_longest_exhausted_go_first(connection: Connection, limit: int) -> None:
    rows = exhausted(connection, 35)
    choice = ExhaustedFilter(("index",), limit=limit)
    assert [one.id for one in find_exhausted(connection, choice)] == rows[:limit]
    assert [one.id for one in requeue(connection, choice)] == rows[:limit]
    assert len(requeue(connection, EVERYTHING)) == 35 - limit


def test_documents_without_the_time_of_an_error_are_requeued_last(connection: Connection) -> None:
    undated = [add_document(connection, ocr_attempts=3) for _ in range(15)]
    dated = exhausted(connection, 15)
    for odd in ("-infinity", "infinity"):
        dated.append(add_document(connection, ocr_attempts=3, ocr_last_error_at=odd))
    found = [one.id for one in find_exhausted(connection, EVERYTHING)]
    assert found == [dated[15], *dated[:15], dated[16], *sorted(undated)]
    assert [one.id for one in requeue(connection, EVERYTHING)] == found


def test_retry_that_is_broken_off_is_continued_by_the_next(connection: Connection) -> None:
    rows = exhausted(connection, 25)

    def break_off(_sent: Sequence[ExhaustedDocument]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        requeue_exhausted(connection, EVERYTHING, on_requeued=break_off)
    assert [one.id for one in requeue(connection, EVERYTHING)] == rows[10:]
    [(requeues,)] = connection.execute("SELECT count(*) FROM ocr_round").fetchall()
    assert requeues == 25


def test_retry_requeues_no_document_twice_that_fails_meanwhile(connection: Connection) -> None:
    exhausted(connection, 25)
    sent_ids: list[UUID] = []

    def work(sent: Sequence[ExhaustedDocument]) -> None:
        sent_ids.extend(one.id for one in sent)
        assert len(sent_ids) <= 25, "it would go on for as long as documents fail"
        for held in claim(connection, 10):
            assert fail(connection, held, ENCRYPTED)

    assert requeue_exhausted(connection, EVERYTHING, on_requeued=work) == ChangeResult(25)
    assert len(list(find_exhausted(connection, EVERYTHING))) == 25, "the next command may"


def test_document_locked_by_another_program_is_skipped(connection: Connection, other: Connection) -> None:
    rows = exhausted(connection, 25)
    with other.transaction():
        other.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [rows[3]])
        connection.execute("SET lock_timeout = '5s'")
        assert [one.id for one in requeue(connection, EVERYTHING)] == [*rows[:3], *rows[4:]]
    assert [one.id for one in requeue(connection, EVERYTHING)] == [rows[3]]


@pytest.mark.owner
def test_refused_document_is_reported_and_the_others_are_requeued(connection: Connection) -> None:
    rows = exhausted(connection, 25)
    change(connection, "extraction_queue", rows[7], document_number="poison")
    connection.execute(REFUSE)
    sent: list[ExhaustedDocument] = []
    changed = requeue_exhausted(connection, ExhaustedFilter(("index",), limit=20), on_requeued=sent.extend)
    assert changed.rows == len(sent) == 20
    assert changed.refused.startswith(REFUSED)
    assert [one.id for one in sent] == [*rows[:7], *rows[8:21]]
    [(requeues,)] = connection.execute("SELECT count(*) FROM ocr_round").fetchall()
    assert requeues == 20


# --- reread


def test_reread_of_many_documents_takes_several_transactions(connection: Connection) -> None:
    rows = read(connection, 35)
    change(connection, "extraction_queue", rows[0], ocr_completed_at=ago("1 day"))
    assert sorted(reread(connection, dry_run=True)) == sorted(rows)
    assert reread(connection, before=document(connection, rows[1])["ocr_completed_at"]) == [rows[0]]
    assert sorted(reread(connection)) == sorted(rows[1:])
    assert transactions(connection, sql.Identifier("extraction_queue")) == 5
    assert reread(connection) == []
