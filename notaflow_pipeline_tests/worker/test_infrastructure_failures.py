"""An infrastructure failure ends the work, and releases the claims without counting attempts."""

import shutil
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from notaflow_pipeline.documents.failures import StorageUnavailable
from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.job_queue.queries import attempts_of_document
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.failures import EngineUnavailable
from notaflow_pipeline_tests.ocr import samples
from notaflow_pipeline_tests.processes import violated_invariants
from notaflow_pipeline_tests.testing.rows import row_versions
from notaflow_pipeline_tests.worker.pipelines import (
    OneBadSector,
    assert_released,
    once,
    pipeline_over,
    ready,
    ready_page,
    ready_pages,
    row,
)


class TestInfrastructure:
    def test_storage_failure_during_a_batch_ends_it_and_counts_no_attempt(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = ready_pages(connection, folder, 12)
        moved = folder.with_name("elsewhere")
        with pipeline_over(pool, folder, workers=1, pages_ahead=2) as pipeline:
            with pytest.raises(StorageUnavailable, match="cannot be used"):
                pipeline.work(limit=100, on_progress=once(lambda: folder.rename(moved)))
            moved.rename(folder)
            done = [one for one in documents if row(connection, one)["status_id"] == 5]
            assert 0 < len(done) < 12
            for document in set(documents) - set(done):
                assert_released(connection, document)
            assert violated_invariants(connection) == []
            pipeline.work(limit=100)
        assert {row(connection, one)["status_id"] for one in documents} == {5}
        assert {row(connection, one)["ocr_attempts"] for one in documents} == {1}

    def test_few_failed_fetches_from_a_working_storage_count_no_attempt(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        documents = ready_pages(connection, folder, 2)
        with pipeline_over(pool, folder, storage=OneBadSector(folder, bad="any")) as pipeline:
            for _ in range(4):
                with pytest.raises(StorageUnavailable, match="2 documents in a row"):
                    pipeline.work(limit=100)
        for document in documents:
            assert_released(connection, document)
        assert violated_invariants(connection) == []
        with pipeline_over(pool, folder) as pipeline:
            assert pipeline.work(limit=100).succeeded == 2

    def test_unreadable_files_are_exhausted_alone_and_beside_readable_ones(
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
    def test_storage_without_any_file_ends_the_batch_and_counts_no_attempt(
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

    def test_missing_storage_is_found_before_any_row_is_changed(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready_page(connection, folder, "page")
        shutil.rmtree(folder)
        before = row_versions(connection)
        with pipeline_over(pool, folder) as pipeline, pytest.raises(StorageUnavailable, match="folder"):
            pipeline.check()
        assert row_versions(connection) == before

    def test_missing_tesseract_is_found_before_any_row_is_changed(
        self,
        connection: Connection,
        pool: ConnectionPool[Connection],
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ready_page(connection, folder, "page")
        before = row_versions(connection)
        with pipeline_over(pool, folder, engine=TesseractEngine()) as pipeline:
            monkeypatch.setenv("PATH", str(folder))
            with pytest.raises(EngineUnavailable, match=r"not installed.*apt-get install"):
                pipeline.check()
        assert row_versions(connection) == before

    def test_missing_language_is_found_before_any_row_is_changed(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        ready_page(connection, folder, "page")
        before = row_versions(connection)
        with (
            pipeline_over(pool, folder, engine=TesseractEngine("fra+xyz")) as pipeline,
            pytest.raises(EngineUnavailable, match=r"'xyz'.*OCR_LANGUAGES"),
        ):
            pipeline.check()
        assert row_versions(connection) == before

    def test_engine_failure_during_a_batch_counts_no_attempt(
        self, connection: Connection, pool: ConnectionPool[Connection], folder: Path
    ) -> None:
        samples.png(folder / "index" / "lot.png")
        document = ready(connection, "index/lot.png")
        with (
            pipeline_over(pool, folder, engine=TesseractEngine("xyz")) as pipeline,
            pytest.raises(EngineUnavailable, match="xyz"),
        ):
            pipeline.work(limit=10)
        assert_released(connection, document)

    def test_unmigrated_schema_is_found_before_any_row_is_changed(self, empty_database_url: str, folder: Path) -> None:
        migrate(empty_database_url, sources=["index"], to=5)
        with psycopg.connect(empty_database_url, autocommit=True) as connection, open_pool(empty_database_url) as pool:
            ready_page(connection, folder, "page")
            before = row_versions(connection)
            with (
                pipeline_over(pool, folder) as pipeline,
                pytest.raises(SchemaMismatch, match=r"is missing.*notaflow migrate"),
            ):
                pipeline.check()
            assert row_versions(connection) == before

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
