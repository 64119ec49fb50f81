"""Documents whose failures could be the fault of the infrastructure never block the queue."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.documents.failures import StorageUnavailable, TemporaryFolderUnavailable
from notaflow_pipeline.job_queue.claiming import claims
from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline.job_queue.queries import attempts_of_document
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.failures import NoRoomForPage
from notaflow_pipeline.worker.fault_attribution import INFRASTRUCTURE_FAILURE, MAX_RELEASES
from notaflow_pipeline.worker.fetching import FetchedFile, Fetchers
from notaflow_pipeline.worker.pipeline import Pipeline
from notaflow_pipeline_tests.ocr.failing_engines import FAILING_WIDTH, NoRoomEngine
from notaflow_pipeline_tests.processes import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import fail
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS
from notaflow_pipeline_tests.worker.pipelines import pipeline_over, ready, ready_page, ready_pages, row

MB = 1_000_000

BACKOFF_IS_OVER = "UPDATE extraction_queue SET ocr_next_attempt_at = NULL WHERE ocr_next_attempt_at IS NOT NULL"


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of 8 MB for fetched documents, on a disk of its own."""
    disk = tmp_path / "small"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk]).returncode:
        pytest.skip("a disk of 8 MB can only be mounted by root")
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def ready_file(connection: Connection, folder: Path, name: str, size_bytes: int) -> UUID:
    """A page whose file has this size: what follows the image means nothing."""
    document = ready_page(connection, folder, name)
    with (folder / "index" / f"{name}.png").open("ab") as file:
        file.write(bytes(size_bytes))
    return document


def kinds(connection: Connection, document: UUID) -> list[str | None]:
    return [one.failure_kind for one in attempts_of_document(connection, document) if one.outcome == "failed"]


def infrastructure_tokens(connection: Connection, document: UUID) -> int:
    return sum(one.error == INFRASTRUCTURE_FAILURE for one in attempts_of_document(connection, document))


def fails(pipeline: Pipeline, kind: type[Exception], sentence: str, times: int) -> None:
    for _ in range(times):
        with pytest.raises(kind, match=sentence):
            as_next_run(pipeline).work(limit=100)


def until_a_run_succeeds(pipeline: Pipeline, kind: type[Exception]) -> None:
    """Run until one succeeds, after one more failure at most.

    Five of six documents end a run, and which of them do depends on which fetch fails first: the sixth may have been
    released as failed less often than the others when these count.
    """
    with suppress(kind):
        as_next_run(pipeline).work(limit=100)
        return
    as_next_run(pipeline).work(limit=100)


def as_next_run(pipeline: Pipeline) -> Pipeline:
    """The same, which claims from the head of the queue again."""
    return replace(pipeline, queue=replace(pipeline.queue, position=ClaimPosition()))


class TestTemporarySpace:
    @pytest.mark.usefixtures("small_disk")
    def test_larger_document_than_the_disk_fails_and_the_others_are_read(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        large = ready_file(connection, folder, "large", 9 * MB)
        small = ready_pages(connection, folder, 20)
        with pipeline_over(pool, folder) as pipeline:
            progress = pipeline.work(limit=100)
        assert (progress.succeeded, progress.failed) == (20, {"no_space": 1})
        assert {row(connection, one)["status_id"] for one in small} == {5}
        assert (row(connection, large)["status_id"], row(connection, large)["ocr_attempts"]) == (3, 1)
        assert row(connection, large)["ocr_next_attempt_at"] is not None
        assert violated_invariants(connection) == []

    @pytest.mark.usefixtures("small_disk")
    def test_documents_that_fit_only_one_at_a_time_lose_no_attempt(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = [ready_file(connection, folder, f"page{number}", 5 * MB) for number in range(4)]
        with pipeline_over(pool, folder) as pipeline:
            progress = pipeline.work(limit=100)
        assert (progress.succeeded, progress.failed) == (4, {})
        assert [len(attempts_of_document(connection, one)) for one in documents] == [1, 1, 1, 1]

    def test_documents_that_all_fail_beside_each_other_lose_no_attempt(
        self,
        connection: Connection,
        pool: ConnectionPool[Connection],
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fetch, all_at_once, failed = Fetchers._fetch, threading.Barrier(4), set()

        def fetch_beside_others(fetchers: Fetchers, claim: Claim) -> FetchedFile:
            if claim.token not in failed:
                failed.add(claim.token)
                all_at_once.wait(HANG_SECONDS)
                raise TemporaryFolderUnavailable("No space left on device")
            return fetch(fetchers, claim)

        monkeypatch.setattr(Fetchers, "_fetch", fetch_beside_others)
        documents = ready_pages(connection, folder, 4)
        with pipeline_over(pool, folder) as pipeline:
            progress = pipeline.work(limit=100)
        assert (progress.succeeded, progress.failed) == (4, {})
        assert [len(attempts_of_document(connection, one)) for one in documents] == [1, 1, 1, 1]

    def test_full_disk_ends_the_run_and_counts_no_attempt(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path, small_disk: Path
    ) -> None:
        documents = ready_pages(connection, folder, 3)
        with pipeline_over(pool, folder) as pipeline:
            with pytest.raises(OSError, match="No space left"):
                (small_disk / "others").write_bytes(bytes(9 * MB))
            fails(pipeline, TemporaryFolderUnavailable, "No space left on device", times=MAX_RELEASES + 1)
        for document in documents:
            assert (row(connection, document)["ocr_attempts"], kinds(connection, document)) == (0, [])
            assert infrastructure_tokens(connection, document) == 0

    @pytest.mark.usefixtures("small_disk")
    def test_many_large_documents_at_the_head_block_the_queue_for_few_runs(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        large = [ready_file(connection, folder, f"large{number}", 9 * MB) for number in range(6)]
        small = ready_pages(connection, folder, 3)
        with pipeline_over(pool, folder) as pipeline:
            fails(pipeline, TemporaryFolderUnavailable, "5 documents in a row", times=MAX_RELEASES)
            assert {row(connection, one)["ocr_attempts"] for one in large} == {0}
            until_a_run_succeeds(pipeline, TemporaryFolderUnavailable)
        assert [kinds(connection, one) for one in large] == [["no_space"]] * 6
        assert {row(connection, one)["status_id"] for one in small} == {5}
        assert violated_invariants(connection) == []

    @pytest.mark.usefixtures("small_disk")
    def test_page_image_that_does_not_fit_says_so_and_smaller_ones_do(self) -> None:
        page = Image.effect_noise((400, 400), 50)
        with pytest.raises(NoRoomForPage, match="No space left on device"):
            TesseractEngine("eng").find_words(page.resize((4000, 4000)), None, 60)
        TesseractEngine("eng").find_words(page, None, 60)

    def test_document_with_a_page_that_does_not_fit_fails_alone(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        large = ready_page(connection, folder, "large", (FAILING_WIDTH, 40))
        ready_pages(connection, folder, 5)
        with pipeline_over(pool, folder, engine=NoRoomEngine()) as pipeline:
            progress = pipeline.work(limit=100)
        assert (progress.succeeded, progress.failed) == (5, {"no_space": 1})
        assert row(connection, large)["ocr_attempts"] == 1

    def test_pages_that_do_not_fit_one_after_the_other_end_the_run(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = [ready_page(connection, folder, f"large{one}", (FAILING_WIDTH, 40)) for one in range(8)]
        with pipeline_over(pool, folder, engine=NoRoomEngine()) as pipeline:
            fails(pipeline, NoRoomForPage, "5 documents in a row could not be read", times=1)
        assert {row(connection, one)["ocr_attempts"] for one in documents} == {0}


class TestMissingDocuments:
    def test_many_without_one_success_lose_no_attempt(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        (folder / "index" / "other.png").touch()
        documents = [ready(connection, f"index/missing{number}.pdf") for number in range(32)]
        with pipeline_over(pool, folder) as pipeline:
            fails(pipeline, StorageUnavailable, r"5 documents in a row.*NOTAFLOW_DOCUMENTS_URL", times=2)
        assert {row(connection, one)["ocr_attempts"] for one in documents} == {0}
        assert {row(connection, one)["ocr_error"] for one in documents} == {None}
        assert violated_invariants(connection) == []

    def test_many_that_failed_otherwise_before_lose_no_attempt(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        (folder / "index" / "other.png").touch()
        documents = [ready(connection, f"index/missing{number}.pdf") for number in range(12)]
        for held in claims.claim_documents(
            connection, limit=12, sources=["index"], worker_id="w", run_id=None, lease=timedelta(minutes=5)
        ):
            fail(connection, held)
        connection.execute(BACKOFF_IS_OVER)
        with pipeline_over(pool, folder) as pipeline:
            fails(pipeline, StorageUnavailable, r"5 documents in a row.*NOTAFLOW_DOCUMENTS_URL", times=2)
        assert [kinds(connection, one) for one in documents] == [["timeout"]] * 12
        assert {row(connection, one)["ocr_attempts"] for one in documents} == {1}

    def test_many_that_stay_missing_count_after_a_few_runs(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        missing = [ready(connection, f"index/missing{number}.pdf") for number in range(6)]
        (folder / "index" / "other.png").touch()
        with pipeline_over(pool, folder) as pipeline:
            fails(pipeline, StorageUnavailable, "5 documents in a row", times=MAX_RELEASES)
            found = ready_page(connection, folder, "found")
            until_a_run_succeeds(pipeline, StorageUnavailable)
        assert row(connection, found)["status_id"] == 5
        assert [kinds(connection, one) for one in missing] == [["not_found"]] * 6

    def test_few_are_recorded_and_exhausted_without_an_end_of_the_run(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        (folder / "index" / "other.png").touch()
        documents = [ready(connection, f"index/missing{number}.pdf") for number in range(4)]
        with pipeline_over(pool, folder) as pipeline:
            for _ in range(3):
                assert pipeline.work(limit=100).failed == {"not_found": 4}
                connection.execute(BACKOFF_IS_OVER)
            assert pipeline.work(limit=100).claimed == 0
        assert [kinds(connection, one) for one in documents] == [["not_found"] * 3] * 4

    def test_many_beside_one_that_was_found_are_recorded(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready_page(connection, folder, "found")
        documents = [ready(connection, f"index/missing{number}.pdf") for number in range(12)]
        with pipeline_over(pool, folder, workers=1, pages_ahead=1) as pipeline:
            progress = pipeline.work(limit=100)
        assert (progress.succeeded, progress.failed) == (1, {"not_found": 12})
        assert {row(connection, one)["ocr_attempts"] for one in documents} == {1}

    def test_many_urls_of_another_host_exhaust_no_document(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        url = "https://project.supabase.co/storage/v1/object/public/index"
        documents = [ready(connection, f"{url}/{number}.pdf") for number in range(12)]
        with pipeline_over(pool, folder) as pipeline:
            fails(pipeline, StorageUnavailable, r"5 documents in a row.*supabase\.co.*NOTAFLOW_DOCUMENTS_URL", times=2)
        assert {row(connection, one)["ocr_attempts"] for one in documents} == {0}
        assert {row(connection, one)["ocr_error"] for one in documents} == {None}

    def test_few_urls_of_another_host_are_refused(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        url = "https://project.supabase.co/storage/v1/object/public/index"
        documents = [ready(connection, f"{url}/{number}.pdf") for number in range(3)]
        with pipeline_over(pool, folder) as pipeline:
            assert pipeline.work(limit=100).failed == {"refused_location": 3}
        assert [kinds(connection, one) for one in documents] == [["refused_location"]] * 3

    def test_bucket_that_is_not_there_is_found_before_any_claim(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        document = ready_page(connection, folder, "page")
        with (
            pipeline_over(pool, folder / "index") as pipeline,
            pytest.raises(StorageUnavailable, match=r"no folder index.*NOTAFLOW_DOCUMENTS_URL"),
        ):
            pipeline.check()
        assert attempts_of_document(connection, document) == []


def test_release_of_an_interrupted_run_counts_for_no_document(
    connection: Connection, pool: ConnectionPool[Connection], folder: Path
) -> None:
    missing = ready(connection, "index/missing.pdf")
    page = ready_page(connection, folder, "page")

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pipeline_over(pool, folder) as pipeline, pytest.raises(KeyboardInterrupt):
        pipeline.work(limit=10, on_progress=interrupt)
    assert infrastructure_tokens(connection, missing) + infrastructure_tokens(connection, page) == 0
