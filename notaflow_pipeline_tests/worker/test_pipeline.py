"""Claimed documents are read, and their outcomes recorded: successes, failures and limits."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.documents.failures import TemporaryFolderUnavailable
from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.ocr.failing_engines import FAILING_WIDTH, LowCoverageEngine
from notaflow_pipeline_tests.processes import violated_invariants
from notaflow_pipeline_tests.worker.pipelines import (
    OneBadSector,
    only_attempt,
    pipeline_over,
    ready,
    ready_page,
    ready_pages,
    row,
    small_pdf,
)


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
        sizes = [(300, 300), (FAILING_WIDTH, 300), (400, 300)]
        samples.tiff(folder / "index" / "pages.tif", *(samples.page_image(size=size) for size in sizes))
        document = ready(connection, "index/pages.tif")
        unmeasured = ready_page(connection, folder, "blank")
        with pipeline_over(pool, folder, engine=LowCoverageEngine()) as pipeline:
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

    def test_one_unreadable_file_in_a_working_storage_fails_its_document(
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


class TestLimit:
    def test_further_documents_are_claimed_up_to_the_limit(
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

    def test_no_more_is_claimed_ahead_than_the_limit(
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
