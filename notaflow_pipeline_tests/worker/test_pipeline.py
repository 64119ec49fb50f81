"""Claimed documents in, recorded outcomes out: what the rows look like afterwards, whatever happens in between."""

import logging
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from PIL import Image
from psycopg import Connection
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from notaflow_pipeline.documents.failures import StorageUnavailable, TemporaryFolderUnavailable
from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.model import Attempt
from notaflow_pipeline.job_queue.queries import attempts_of_document
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.ocr.engine import Engine, NullEngine, TesseractEngine
from notaflow_pipeline.ocr.failures import EngineUnavailable
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.reading import Reader
from notaflow_pipeline.worker.pipeline import Pipeline
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline.worker.queue_client import ClaimTerms, QueueClient
from notaflow_pipeline_tests.ocr import processes, samples
from notaflow_pipeline_tests.ocr.strange_engines import STRANGE_WIDTH, OverlookingEngine, WaitingEngine
from notaflow_pipeline_tests.processes import violated_invariants

SECRET_SIZE = (1234, 321)
SECRET = "1234x321"
"""`NullEngine` reads a page's size off it, so this is the text of such a page."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The documents' folder, with a bucket for the source `index`."""
    place = tmp_path / "documents"
    (place / "index").mkdir(parents=True)
    return place


def ready(connection: Connection, supabase_path: str) -> UUID:
    return enqueue_document(connection, NewDocument("index", "2 784 195", supabase_path))


def ready_page(connection: Connection, folder: Path, name: str, size: tuple[int, int] = (60, 40)) -> UUID:
    Image.new("L", size, "white").save(folder / "index" / f"{name}.png")
    return ready(connection, f"index/{name}.png")


def ready_pages(connection: Connection, folder: Path, count: int) -> list[UUID]:
    return [ready_page(connection, folder, f"page{number}") for number in range(count)]


def small_pdf(folder: Path, name: str, pages: int) -> str:
    samples.plain_pdf(folder / "index" / name, pages, box=(72, 72))
    return f"index/{name}"


@contextmanager
def pipeline_over(
    pool: ConnectionPool[Connection],
    folder: Path,
    *,
    engine: Engine | None = None,
    storage: LocalFolder | None = None,
    workers: int = 2,
    lease_seconds: float = 60,
    pages_ahead: int = 6,
    limits: Limits | None = None,
) -> Iterator[Pipeline]:
    engine = engine or NullEngine()
    terms = ClaimTerms(
        worker_id="test",
        run_id=None,
        sources=("index",),
        lease=timedelta(seconds=lease_seconds),
        retry_base_seconds=600,
        stuck_after=timedelta(minutes=10),
    )
    with Reader(engine, workers=workers, limits=limits or Limits()) as reader:
        yield Pipeline(
            queue=QueueClient(pool, terms),
            storage=storage or LocalFolder(folder),
            reader=reader,
            engine_name=engine.name,
            max_file_bytes=10_000_000,
            pages_ahead=pages_ahead,
        )


def row(connection: Connection, document: UUID) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM extraction_queue WHERE id = %s", [document]).fetchone()
    assert found is not None
    return found


def only_attempt(connection: Connection, document: UUID) -> Attempt:
    (attempt,) = attempts_of_document(connection, document)
    return attempt


def versions(connection: Connection) -> list[tuple[Any, ...]]:
    """Every row with its physical version: equal before and after only if nothing has written it, even unchanged."""
    return connection.execute("SELECT xmin::text, ctid::text, q.* FROM extraction_queue AS q ORDER BY id").fetchall()


def once(action: Callable[[], object]) -> Callable[[Progress], None]:
    """An `on_progress` that does something after the first document and nothing after the others."""
    waiting = [action]

    def on_progress(progress: Progress) -> None:
        if waiting and progress.finished:
            waiting.pop()()

    return on_progress


def assert_given_back(connection: Connection, document: UUID) -> None:
    found = row(connection, document)
    assert (found["status_id"], found["ocr_attempts"], found["ocr_claim_id"]) == (3, 0, None)
    assert found["file_content"] is None
    assert all(one.outcome == "released" for one in attempts_of_document(connection, document))


class TestSuccess:
    def test_text_of_every_page_in_order_is_stored_and_the_row_is_done(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready(connection, small_pdf(folder, "three.pdf", pages=3))
        with pipeline_over(pool, folder) as pipeline:
            progress = pipeline.work(limit=10)
        found = row(connection, document)
        assert found["status_id"] == 5
        page = "page of 300x300"
        assert found["file_content"] == f"--- Page 1 ---\n{page}\n\n--- Page 2 ---\n{page}\n\n--- Page 3 ---\n{page}"
        assert found["ocr_error"] is None
        assert found["ocr_completed_at"] >= found["ocr_started_at"]
        assert (progress.claimed, progress.succeeded, progress.pages, progress.finished) == (1, 1, 3, 1)
        assert violated_invariants(connection) == []

    def test_attempt_keeps_pages_characters_seconds_bytes_and_engine(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready(connection, small_pdf(folder, "two.pdf", pages=2))
        with pipeline_over(pool, folder, engine=NullEngine(sleep_seconds=0.2)) as pipeline:
            pipeline.work(limit=10)
        attempt = only_attempt(connection, document)
        assert (attempt.outcome, attempt.attempt_number, attempt.worker_id) == ("succeeded", 1, "test")
        assert attempt.pages == 2
        assert attempt.characters == len(row(connection, document)["file_content"])
        assert attempt.mean_confidence == pytest.approx(90)
        assert attempt.ocr_seconds is not None
        assert attempt.ocr_seconds >= 0.4
        assert attempt.fetch_seconds is not None
        assert attempt.fetch_seconds > 0
        assert attempt.source_bytes == (folder / "index" / "two.pdf").stat().st_size
        assert attempt.engine == "null"

    def test_attempt_keeps_the_coverage_of_the_page_with_the_lowest(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        sizes = [(300, 300), (STRANGE_WIDTH, 300), (400, 300)]
        samples.tiff(folder / "index" / "pages.tif", *(samples.page_image(size=size) for size in sizes))
        document = ready(connection, "index/pages.tif")
        unmeasured = ready_page(connection, folder, "blank")
        with pipeline_over(pool, folder, engine=OverlookingEngine()) as pipeline:
            pipeline.work(limit=1)
        with pipeline_over(pool, folder) as pipeline:
            pipeline.work(limit=1)
        assert only_attempt(connection, document).coverage == 0.375
        assert only_attempt(connection, unmeasured).coverage is None

    def test_damaged_page_is_marked_and_counted_and_the_others_are_stored(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        samples.cut_tiff(folder / "index" / "cut.tif", *[samples.page_image(size=(300, 300))] * 2)
        document = ready(connection, "index/cut.tif")
        with pipeline_over(pool, folder) as pipeline:
            pipeline.work(limit=10)
        found = row(connection, document)
        assert found["status_id"] == 5
        text = "--- Page 1 ---\npage of 300x300\n\n--- Page 2 ---\n[page could not be read: corrupt]"
        assert found["file_content"] == text
        attempt = only_attempt(connection, document)
        assert (attempt.pages, attempt.pages_failed, attempt.pages_blank, attempt.pages_text_layer) == (2, 1, 0, 0)
        assert (attempt.low_confidence_share, attempt.passes, attempt.pages_damaged) == (0, 1, 0)
        assert violated_invariants(connection) == []

    def test_blank_document_is_stored_as_empty_text_and_done(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready_page(connection, folder, "blank")
        with pipeline_over(pool, folder, engine=TesseractEngine("fra")) as pipeline:
            pipeline.work(limit=10)
        found = row(connection, document)
        assert (found["status_id"], found["file_content"]) == (5, "")
        attempt = only_attempt(connection, document)
        assert (attempt.outcome, attempt.pages, attempt.characters) == ("succeeded", 1, 0)
        assert attempt.mean_confidence is None

    def test_text_and_confidence_come_from_tesseract(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        samples.png(folder / "index" / "lot.png", "Vente du lot 3 770 292")
        document = ready(connection, "lot.png")
        with pipeline_over(pool, folder, engine=TesseractEngine("fra+eng")) as pipeline:
            pipeline.work(limit=10)
        found = row(connection, document)
        assert found["status_id"] == 5
        assert found["file_content"].startswith("--- Page 1 ---\n")
        assert "3 770 292" in found["file_content"]
        confidence = only_attempt(connection, document).mean_confidence
        assert confidence is not None
        assert 50 < confidence <= 100


@dataclass(frozen=True)
class Failing:
    """A document that cannot be read: what lies in storage (None is nothing), its path, and how it fails."""

    content: bytes | None
    kind: str
    retried: bool = False
    path: str = "index/bad.pdf"


FAILING = {
    "corrupt": Failing(b"%PDF-1.4\nand then rubbish", "corrupt"),
    "cut image": Failing(b"\x89PNG\r\n\x1a\n", "corrupt"),
    "empty": Failing(b"", "empty_file"),
    "not a document": Failing(b"<html>Session expired</html>", "not_a_document"),
    "missing": Failing(None, "not_found", retried=True),
    "climbing": Failing(None, "refused_location", path="index/../../../etc/passwd"),
    "climbing, encoded": Failing(None, "refused_location", path="index/%2e%2e/%2e%2e/etc/passwd"),
    "foreign host": Failing(
        None, "refused_location", path="https://example.org/storage/v1/object/public/index/bad.pdf"
    ),
    "too large": Failing(b"%PDF-" + bytes(10_000_000), "too_large"),
}


class TestFailure:
    @pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING.keys())
    def test_document_fails_with_its_kind_and_its_neighbours_are_done(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path, failing: Failing
    ) -> None:
        before = ready_page(connection, folder, "before")
        if failing.content is not None:
            (folder / "index" / "bad.pdf").write_bytes(failing.content)
        bad = ready(connection, failing.path)
        after = ready_page(connection, folder, "after")
        with pipeline_over(pool, folder) as pipeline:
            progress = pipeline.work(limit=10)
        self.assert_failed(connection, bad, failing.kind, retried=failing.retried)
        assert progress.failed == {failing.kind: 1}
        assert [row(connection, one)["status_id"] for one in (before, after)] == [5, 5]
        assert violated_invariants(connection) == []

    def test_encrypted_document_fails_as_encrypted(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        samples.locked_pdf(folder / "index" / "locked.pdf")
        document = ready(connection, "index/locked.pdf")
        with pipeline_over(pool, folder) as pipeline:
            pipeline.work(limit=10)
        self.assert_failed(connection, document, "encrypted", retried=False)

    def test_row_without_a_path_fails_as_refused(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready_page(connection, folder, "page")
        connection.execute("UPDATE extraction_queue SET supabase_path = NULL")
        with pipeline_over(pool, folder) as pipeline:
            pipeline.work(limit=10)
        self.assert_failed(connection, document, "refused_location", retried=False)

    def test_full_disk_for_temporary_files_is_not_the_documents_fault(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = ready_pages(connection, folder, 3)
        with (
            pipeline_over(pool, folder, storage=OntoFullDisk(folder)) as pipeline,
            pytest.raises(TemporaryFolderUnavailable, match="No space left on device"),
        ):
            pipeline.work(limit=10)
        for document in documents:
            found = row(connection, document)
            assert (found["status_id"], found["ocr_attempts"], found["ocr_error"]) == (3, 0, None)
        assert violated_invariants(connection) == []

    def test_one_unreadable_file_while_the_storage_is_fine_fails_that_document_alone(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = ready_pages(connection, folder, 3)
        with pipeline_over(pool, folder, storage=OneBadSector(folder, bad="page1.png")) as pipeline:
            pipeline.work(limit=10)
        self.assert_failed(connection, documents[1], "storage", retried=True)
        assert [row(connection, documents[number])["status_id"] for number in (0, 2)] == [5, 5]

    def test_error_is_not_mirrored_when_that_is_switched_off(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready(connection, "index/missing.pdf")
        with pipeline_over(pool, folder) as pipeline:
            terms = replace(pipeline.queue.terms, mirror_errors=False)
            replace(pipeline, queue=replace(pipeline.queue, terms=terms)).work(limit=1)
        found = row(connection, document)
        assert found["ocr_error"].startswith("OCR processing failed: ")
        assert found["error_message"] is None

    @staticmethod
    def assert_failed(connection: Connection, document: UUID, kind: str, *, retried: bool) -> None:
        found = row(connection, document)
        attempt = only_attempt(connection, document)
        assert (attempt.outcome, attempt.failure_kind) == ("failed", kind)
        assert found["status_id"] == 3
        assert found["file_content"] is None
        assert found["ocr_error"] == f"OCR processing failed: {attempt.error}"
        assert found["error_message"] == found["ocr_error"]
        assert found["ocr_last_error_at"] == attempt.finished_at
        assert found["ocr_attempts"] == 1
        if retried:
            assert found["ocr_max_attempts"] == 3
            assert found["ocr_next_attempt_at"] > datetime.now(UTC)
        else:
            assert found["ocr_max_attempts"] == 1
            assert found["ocr_next_attempt_at"] is None


class OntoFullDisk(LocalFolder):
    """A folder whose documents arrive on a disk that has no room: the kernel's own, through a link to /dev/full."""

    def fetch(self, location: Location, destination: Path, max_bytes: int) -> int:
        destination.symlink_to("/dev/full")
        return super().fetch(location, destination, max_bytes)


@dataclass(frozen=True)
class OneBadSector(LocalFolder):
    """A disk on which a file, or any, cannot be read. (Taking the right to read away does not hinder root.)"""

    bad: str = ""

    def fetch(self, location: Location, destination: Path, max_bytes: int) -> int:
        if self.bad in {location.name, "any"}:
            raise self._unusable(OSError(5, "Input/output error"))
        return super().fetch(location, destination, max_bytes)


class TestLimit:
    def test_claims_more_than_it_was_given_up_to_the_limit_and_never_more(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready_pages(connection, folder, 9)
        with pipeline_over(pool, folder, pages_ahead=2) as pipeline:
            progress = pipeline.work(pipeline.queue.claim(2), limit=5)
        assert (progress.claimed, progress.succeeded) == (5, 5)
        states = connection.execute(
            "SELECT status_id, ocr_attempts, count(*) FROM extraction_queue GROUP BY 1, 2 ORDER BY 1"
        ).fetchall()
        assert states == [(3, 0, 4), (5, 1, 5)]

    def test_an_empty_queue_is_worked_through_at_once(self, pool: ConnectionPool[Connection], folder: Path) -> None:
        with pipeline_over(pool, folder) as pipeline:
            assert pipeline.work(limit=10) == Progress()

    def test_no_more_is_claimed_ahead_than_asked_for(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready_pages(connection, folder, 8)
        in_hand: list[int] = []

        def look(progress: Progress) -> None:
            if progress.finished == len(in_hand):
                return  # a page
            counted = connection.execute("SELECT count(*) FROM extraction_queue WHERE status_id = 6").fetchone()
            assert counted is not None
            in_hand.append(counted[0])

        with pipeline_over(pool, folder, workers=1, pages_ahead=2) as pipeline:
            pipeline.work(limit=100, on_progress=look)
        assert len(in_hand) == 8
        assert max(in_hand) <= 2


class TestSurroundings:
    def test_storage_that_goes_away_in_mid_batch_ends_the_work_and_gives_the_attempts_back(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = ready_pages(connection, folder, 12)
        away = folder.with_name("elsewhere")
        with pipeline_over(pool, folder, workers=1, pages_ahead=2) as pipeline:
            with pytest.raises(StorageUnavailable, match="cannot be used"):
                pipeline.work(limit=100, on_progress=once(lambda: folder.rename(away)))
            away.rename(folder)
            done = [one for one in documents if row(connection, one)["status_id"] == 5]
            assert 0 < len(done) < 12
            for document in set(documents) - set(done):
                assert_given_back(connection, document)
            assert violated_invariants(connection) == []
            pipeline.work(limit=100)
        assert {row(connection, one)["status_id"] for one in documents} == {5}
        assert {row(connection, one)["ocr_attempts"] for one in documents} == {1}

    def test_few_documents_lose_no_attempt_while_the_storage_answers_and_gives_out_nothing(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = ready_pages(connection, folder, 2)
        with pipeline_over(pool, folder, storage=OneBadSector(folder, bad="any")) as pipeline:
            for _ in range(4):
                with pytest.raises(StorageUnavailable, match="2 documents in a row"):
                    pipeline.work(limit=100)
        for document in documents:
            assert_given_back(connection, document)
        assert violated_invariants(connection) == []
        with pipeline_over(pool, folder) as pipeline:
            assert pipeline.work(limit=100).succeeded == 2

    def test_files_that_can_never_be_read_are_exhausted_after_their_attempts_alone_or_once_others_were_read(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        bad = [ready(connection, "index/bad.png") for _ in range(2)]
        (folder / "index" / "bad.png").touch()
        good = ready_page(connection, folder, "good")
        backoff_is_over = "UPDATE extraction_queue SET ocr_next_attempt_at = NULL"
        with pipeline_over(pool, folder, storage=OneBadSector(folder, bad="bad.png")) as pipeline:
            for _ in range(3):
                pipeline.work(limit=100)
                connection.execute(backoff_is_over)
            bad.append(ready(connection, "index/bad.png"))
            for _ in range(3):
                pipeline.work(limit=100)
                connection.execute(backoff_is_over)
        assert row(connection, good)["status_id"] == 5
        exhausted = connection.execute("SELECT id FROM ocr_exhausted_documents").fetchall()
        assert {document for (document,) in exhausted} == set(bad)
        kinds = {one.failure_kind for document in bad for one in attempts_of_document(connection, document)}
        assert kinds == {"storage"}
        assert violated_invariants(connection) == []

    @pytest.mark.parametrize("workers", [1, 2])
    def test_storage_that_answers_and_gives_out_nothing_ends_the_work_and_gives_the_attempts_back(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path, workers: int
    ) -> None:
        documents = ready_pages(connection, folder, 12)
        storage = OneBadSector(folder, bad="any")
        with (
            pipeline_over(pool, folder, storage=storage, workers=workers, pages_ahead=3 * workers) as pipeline,
            pytest.raises(StorageUnavailable, match="5 documents in a row"),
        ):
            pipeline.work(limit=100)
        for document in documents:
            found = row(connection, document)
            assert (found["status_id"], found["ocr_attempts"], found["ocr_error"]) == (3, 0, None)
        assert violated_invariants(connection) == []

    def test_missing_storage_is_found_before_any_row_is_touched(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready_page(connection, folder, "page")
        shutil.rmtree(folder)
        before = versions(connection)
        with pipeline_over(pool, folder) as pipeline, pytest.raises(StorageUnavailable, match="folder"):
            pipeline.check()
        assert versions(connection) == before

    def test_missing_tesseract_is_found_before_any_row_is_touched(
        self,
        connection: Connection,
        pool: ConnectionPool[Connection],
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ready_page(connection, folder, "page")
        before = versions(connection)
        with pipeline_over(pool, folder, engine=TesseractEngine()) as pipeline:
            monkeypatch.setenv("PATH", str(folder))
            with pytest.raises(EngineUnavailable, match=r"not installed.*apt-get install"):
                pipeline.check()
        assert versions(connection) == before

    def test_missing_language_is_found_before_any_row_is_touched(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready_page(connection, folder, "page")
        before = versions(connection)
        with (
            pipeline_over(pool, folder, engine=TesseractEngine("fra+xyz")) as pipeline,
            pytest.raises(EngineUnavailable, match=r"'xyz'.*OCR_LANGUAGES"),
        ):
            pipeline.check()
        assert versions(connection) == before

    def test_engine_that_goes_away_in_mid_batch_gives_the_attempts_back(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        samples.png(folder / "index" / "lot.png")
        document = ready(connection, "index/lot.png")
        with (
            pipeline_over(pool, folder, engine=TesseractEngine("xyz")) as pipeline,
            pytest.raises(EngineUnavailable, match="xyz"),
        ):
            pipeline.work(limit=10)
        assert_given_back(connection, document)

    def test_schema_that_is_not_migrated_is_found_before_any_row_is_touched(
        self, empty_database_url: str, folder: Path
    ) -> None:
        migrate(empty_database_url, sources=["index"], to=5)
        with psycopg.connect(empty_database_url, autocommit=True) as connection, open_pool(empty_database_url) as pool:
            ready_page(connection, folder, "page")
            before = versions(connection)
            with (
                pipeline_over(pool, folder) as pipeline,
                pytest.raises(SchemaMismatch, match=r"is missing.*notaflow migrate"),
            ):
                pipeline.check()
            assert versions(connection) == before

    @pytest.mark.direct
    def test_connections_that_are_killed_once_do_not_stop_the_work(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = ready_pages(connection, folder, 8)
        killed = []

        def kill_connections() -> None:
            killed.extend(
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchall()
            )

        engine = NullEngine(sleep_seconds=0.2)
        with pipeline_over(pool, folder, engine=engine, lease_seconds=20, pages_ahead=4) as pipeline:
            progress = pipeline.work(limit=100, on_progress=once(kill_connections))
        assert killed
        assert progress.succeeded == 8
        assert {row(connection, one)["status_id"] for one in documents} == {5}
        assert violated_invariants(connection) == []


class TestLeases:
    def test_claim_that_is_taken_away_in_mid_reading_is_dropped_and_writes_nothing(
        self, connection: Connection, database_url: str, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready_page(connection, folder, "page")

        def take_away() -> None:
            with psycopg.connect(database_url, autocommit=True) as other_program:

                def taken() -> bool:
                    statement = "UPDATE extraction_queue SET status_id = 3 WHERE status_id = 6"
                    return other_program.execute(statement).rowcount == 1

                processes.wait_until(taken)

        other = threading.Thread(target=take_away)
        other.start()
        # the page ends long after this test has to: what is read to its end although nobody wants it, hangs
        hour, endless = NullEngine(sleep_seconds=3600), Limits(idle_seconds=3600)
        with pipeline_over(pool, folder, engine=hour, limits=endless, lease_seconds=1) as pipeline:
            progress = pipeline.work(limit=1)
            other.join()
            assert (progress.claimed, progress.lost, progress.finished) == (1, 1, 1)
            found = row(connection, document)
            assert (found["status_id"], found["file_content"], found["ocr_error"]) == (3, None, None)
            processes.wait_until(lambda: pipeline.queue.recover().orphaned_attempts == 1)
        assert only_attempt(connection, document).outcome == "superseded"

    def test_long_document_of_a_healthy_worker_is_never_taken_away(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready(connection, small_pdf(folder, "long.pdf", pages=8))
        recovered, over = [], threading.Event()

        def recover_all_the_time(pipeline: Pipeline) -> None:
            while not over.wait(0.05):
                recovered.append(pipeline.queue.recover().total)

        engine = NullEngine(sleep_seconds=2)
        with pipeline_over(pool, folder, engine=engine, workers=1, lease_seconds=5) as pipeline:
            recovering = threading.Thread(target=recover_all_the_time, args=[pipeline])
            recovering.start()
            try:
                progress = pipeline.work(limit=1)
            finally:
                over.set()
                recovering.join()
        assert len(recovered) > 20
        assert sum(recovered) == 0
        assert (progress.succeeded, progress.lost) == (1, 0)
        attempt = only_attempt(connection, document)
        assert attempt.outcome == "succeeded"
        assert attempt.finished_at is not None
        assert attempt.finished_at - attempt.claimed_at > timedelta(seconds=15), "it has to outlast several leases"


class TestInterruption:
    def test_everything_in_hand_is_given_back_and_no_process_or_file_is_left(
        self,
        connection: Connection,
        pool: ConnectionPool[Connection],
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fetched = tmp_path / "fetched"
        fetched.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(fetched))
        # all but the first are read for a day: however late the interruption comes, some are in hand
        documents = [ready_page(connection, folder, "page")]
        documents += [ready_page(connection, folder, f"long{number}", (STRANGE_WIDTH, 40)) for number in range(11)]

        def interrupt() -> None:
            assert processes.workers(), "the test looks for processes in the wrong place"
            raise KeyboardInterrupt

        engine = WaitingEngine(mark=processes.mark_of_this_process(86510))
        with pytest.raises(KeyboardInterrupt):  # noqa: SIM117 - the reader has to see it too
            # as many workers as documents: none waits behind a long one
            with pipeline_over(pool, folder, engine=engine, workers=3, pages_ahead=3) as pipeline:
                pipeline.work(limit=100, on_progress=once(interrupt))
        done = [one for one in documents if row(connection, one)["status_id"] == 5]
        assert done
        for document in set(documents) - set(done):
            assert_given_back(connection, document)
        released = connection.execute("SELECT count(*) FROM ocr_attempt WHERE outcome = 'released'").fetchone()
        assert released is not None
        assert released[0] > 0
        assert violated_invariants(connection) == []
        processes.wait_until(lambda: not processes.workers())
        processes.wait_until(lambda: not any(fetched.iterdir()))


class TestPrivacy:
    def test_progress_is_told_page_by_page(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready(connection, small_pdf(folder, "long.pdf", 3))
        told = []
        with pipeline_over(pool, folder) as pipeline:
            total = pipeline.work(
                limit=1, on_progress=lambda one: told.append((one.finished, one.pages_in_progress, one.pages))
            )
        assert told == [(0, 1, 0), (0, 2, 0), (0, 3, 0), (1, 0, 3)]
        assert total == Progress(claimed=1, succeeded=1, pages=3)

    def test_text_of_documents_is_in_the_row_and_in_no_log_error_or_repr(
        self,
        connection: Connection,
        pool: ConnectionPool[Connection],
        folder: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        documents = [ready_page(connection, folder, f"secret{number}", SECRET_SIZE) for number in range(3)]
        ready(connection, "index/missing.pdf")
        seen = []
        with pipeline_over(pool, folder) as pipeline:
            seen.append(repr(pipeline))
            claimed = pipeline.queue.claim(2)
            seen.append(repr(claimed))
            connection.execute("UPDATE extraction_queue SET status_id = 3 WHERE id = %s", [documents[0]])
            progress = pipeline.work(claimed, limit=10, on_progress=lambda one: seen.append(repr(one)))
        assert SECRET in row(connection, documents[1])["file_content"]
        assert progress.lost == 1, "the late outcome is logged, and must be without its text"
        assert "too late" in caplog.text
        attempts = connection.execute("SELECT to_jsonb(a)::text FROM ocr_attempt AS a").fetchall()
        others = connection.execute("SELECT (to_jsonb(q) - 'file_content')::text FROM extraction_queue AS q").fetchall()
        assert SECRET not in caplog.text
        assert SECRET not in repr([seen, attempts, others])

    def test_text_that_the_database_refuses_is_not_in_the_error(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        # PostgreSQL tells the failing row in the detail of its message
        connection.execute("ALTER TABLE extraction_queue ADD CHECK (file_content NOT LIKE '%page of%')")
        document = ready_page(connection, folder, "secret", SECRET_SIZE)
        message = ""
        with pipeline_over(pool, folder) as pipeline:
            try:
                pipeline.work(limit=1)
            except Exception as error:  # noqa: BLE001 - whichever it is
                message = "".join(traceback.format_exception(error))
        assert row(connection, document)["status_id"] == 3
        assert SECRET not in message

    def test_what_was_read_does_not_show_its_text(self, folder: Path) -> None:
        Image.new("L", SECRET_SIZE, "white").save(folder / "page.png")
        with Reader(NullEngine(), workers=1) as reader:
            text = reader.start(folder / "page.png").result(timeout=processes.PATIENCE_SECONDS)
        assert SECRET in text.text
        assert SECRET not in repr(text)
