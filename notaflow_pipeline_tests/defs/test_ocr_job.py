"""Tests of whole runs of `ocr_job`: rows, metadata, and failures."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import psycopg
import pytest
from PIL import Image
from psycopg import Connection

from notaflow_pipeline.defs.assets.batch_metadata import batch_metadata
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.queries import attempts_of_run
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.ocr.workers.pool import WorkerPool
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, defs, errors_of
from notaflow_pipeline_tests.ocr import processes, samples
from notaflow_pipeline_tests.processes import violated_invariants
from notaflow_pipeline_tests.testing.job_queue import READING, claim, succeed
from notaflow_pipeline_tests.testing.rows import row_versions
from notaflow_pipeline_tests.testing.waiting import wait_until

MARKER = "ZANZIBAR"

pytestmark = [pytest.mark.usefixtures("documents"), pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")]


def ready(connection: Connection, documents: Path, name: str, text: str = "") -> UUID:
    if text:
        samples.png(documents / "index" / name, text)
    else:
        Image.new("L", (60, 40), "white").save(documents / "index" / name, format="PNG")
    return enqueue_document(connection, NewDocument("index", "2 784 195", f"index/{name}"))


def run(instance: dg.DagsterInstance, run_config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("ocr_job")
    return job.execute_in_process(instance=instance, raise_on_error=False, run_config=run_config)


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [one for one in result.all_events if one.is_step_materialization]
    metadata = event.materialization.metadata
    return {key: one if isinstance(one, dg.TableMetadataValue) else one.value for key, one in metadata.items()}


class TestSuccess:
    def test_run_reads_the_documents_and_shows_what_a_person_wants_to_see(
        self, connection: Connection, instance: dg.DagsterInstance, documents: Path
    ) -> None:
        read = ready(connection, documents, "lot.png", "Vente du lot 3 770 292")
        blank = ready(connection, documents, "blank.png")
        missing = enqueue_document(connection, NewDocument("index", "1", "index/missing.pdf"))
        (documents / "index" / "broken.pdf").write_bytes(b"%PDF-1.4 rubbish")
        broken = enqueue_document(connection, NewDocument("index", "2", "index/broken.pdf"))
        result = run(instance)
        assert result.success, errors_of(result)
        states: dict[UUID, int] = dict(connection.execute("SELECT id, status_id FROM extraction_queue").fetchall())
        assert states == {read: 5, blank: 5, missing: 3, broken: 3}
        shown = metadata_of(result)
        assert (shown["documents"], shown["succeeded"], shown["failed"], shown["pages"]) == (4, 2, 2, 2)
        assert shown["failed_by_kind"] == {"corrupt": 1, "not_found": 1}
        assert shown["pages_per_minute"] > 0
        assert 50 < shown["mean_confidence"] <= 100
        assert shown["dagster/row_count"] == 2
        table = [
            (record.data["document"], record.data["outcome"], record.data["kind"], record.data["pages"])
            for record in shown["batch"].records
        ]
        number = "2 784 195"  # people know documents by their numbers
        assert sorted(table) == [
            ("1", "failed", "not_found", 0),
            ("2", "failed", "corrupt", 0),
            (number, "succeeded", "", 1),
            (number, "succeeded", "", 1),
        ]
        assert violated_invariants(connection) == []
        assert not processes.workers()

    def test_attempts_carry_the_run(
        self, connection: Connection, instance: dg.DagsterInstance, documents: Path
    ) -> None:
        ready(connection, documents, "page.png")
        result = run(instance)
        assert connection.execute("SELECT run_id, outcome FROM ocr_attempt").fetchall() == [
            (result.run_id, "succeeded")
        ]

    def test_batch_shows_the_coverage_of_its_documents(self, connection: Connection) -> None:
        for number, coverage in enumerate((0.5, 0.75, None)):
            enqueue_document(connection, NewDocument("index", str(number), f"index/{number}.pdf"))
            [held] = claim(connection, run_id="batch")
            assert succeed(connection, held, replace(READING, coverage=coverage))
        shown = batch_metadata(attempts_of_run(connection, "batch"), {})
        assert shown["mean_coverage"].value == 0.625
        table = shown["batch"]
        assert isinstance(table, dg.TableMetadataValue)
        assert [record.data["coverage"] for record in table.records] == [0.5, 0.75, None]
        # the asset's page cuts the table off after some three columns
        assert [column.name for column in table.schema.columns][:3] == ["document", "outcome", "error"]

    def test_no_event_of_the_run_holds_text_of_a_document(
        self,
        connection: Connection,
        instance: dg.DagsterInstance,
        documents: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        for number in range(3):
            ready(connection, documents, f"lot{number}.png", f"{MARKER} {MARKER}")
        result = run(instance)
        assert result.success
        texts = connection.execute("SELECT file_content FROM extraction_queue").fetchall()
        assert all(MARKER in text for (text,) in texts), "the marker has to be read for this to show anything"
        logged = [repr(entry) + dg.serialize_value(entry) for entry in instance.all_logs(result.run_id)]
        assert len(logged) > 10
        assert MARKER not in "\n".join(logged) + repr(result.all_events)
        printed = capfd.readouterr()
        assert MARKER not in printed.out + printed.err

    def test_run_takes_no_more_documents_than_its_configuration_says(
        self, connection: Connection, instance: dg.DagsterInstance, documents: Path
    ) -> None:
        for number in range(4):
            ready(connection, documents, f"page{number}.png")
        config = {"ops": {"ocr_text": {"ops": {"claim_documents": {"config": {"limit": 2}}}}}}
        result = run(instance, config)
        assert result.success, errors_of(result)
        states = connection.execute("SELECT status_id, ocr_attempts FROM extraction_queue ORDER BY 1").fetchall()
        assert states == [(3, 0), (3, 0), (5, 1), (5, 1)]

    def test_run_with_nothing_ready_succeeds_and_starts_no_worker(
        self, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(WorkerPool, "start", lambda _: pytest.fail("there was nothing to start workers for"))
        result = run(instance)
        assert result.success
        assert metadata_of(result)["documents"] == 0
        assert "pages_per_minute" not in metadata_of(result)
        assert [entry for entry in instance.all_logs(result.run_id) if int(entry.level) >= logging.WARNING] == []

    def test_rows_that_a_dead_worker_left_behind_are_recovered_and_read(
        self, connection: Connection, instance: dg.DagsterInstance, documents: Path
    ) -> None:
        ready(connection, documents, "page.png")
        connection.execute(
            "UPDATE extraction_queue SET status_id = 6, ocr_attempts = 1, ocr_worker_id = 'another program', "
            "ocr_started_at = clock_timestamp() - interval '11 minutes'"
        )
        recovery = defs.resolve_job_def("ocr_recovery_job").execute_in_process(instance=instance)
        assert recovery.success
        assert run(instance).success
        assert connection.execute("SELECT status_id, ocr_attempts FROM extraction_queue").fetchall() == [(5, 2)]
        outcomes = connection.execute("SELECT outcome FROM ocr_attempt ORDER BY id").fetchall()
        assert outcomes == [("stuck",), ("succeeded",)]


class TestInfrastructure:
    """Each infrastructure failure fails the run, says what to do, and touches no row."""

    def assert_fails_without_touching(
        self, connection: Connection, instance: dg.DagsterInstance, *says: str
    ) -> dg.ExecuteInProcessResult:
        before = row_versions(connection)
        result = run(instance)
        assert not result.success
        errors = errors_of(result)
        for part in says:
            assert part in errors
        assert row_versions(connection) == before
        assert connection.execute("SELECT count(*) FROM extraction_queue WHERE status_id = 6").fetchone() == (0,)
        return result

    def test_schema_not_migrated(
        self,
        empty_database_url: str,
        instance: dg.DagsterInstance,
        documents: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        migrate(empty_database_url, sources=["index"], to=5)
        monkeypatch.setenv("NOTAFLOW_DATABASE_URL", empty_database_url)
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            ready(connection, documents, "page.png")
            self.assert_fails_without_touching(connection, instance, "SchemaMismatch", "`notaflow migrate` repairs it")

    def test_storage_missing(self, connection: Connection, instance: dg.DagsterInstance, documents: Path) -> None:
        ready(connection, documents, "page.png")
        documents.rename(documents.with_name("unmounted"))
        self.assert_fails_without_touching(
            connection, instance, "StorageUnavailable", "Check that the folder exists, is mounted"
        )

    @pytest.mark.parametrize(
        ("variable", "value", "says"),
        [
            ("NOTAFLOW_DOCUMENTS_URL", "https://project.supabase.co", ["StorageMisconfigured", "SUPABASE_SERVICE_KEY"]),
            ("OCR_LANGUAGES", "fra+xyz", ["EngineUnavailable", "data for 'xyz'", "install tesseract-ocr-xyz"]),
            ("OCR_WORKERS", "many", ["SettingsError", "OCR_WORKERS"]),
        ],
    )
    def test_wrong_setting(
        self,
        connection: Connection,
        instance: dg.DagsterInstance,
        documents: Path,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        value: str,
        says: list[str],
    ) -> None:
        ready(connection, documents, "page.png")
        monkeypatch.setenv(variable, value)
        self.assert_fails_without_touching(connection, instance, *says)

    def test_tesseract_missing(
        self,
        connection: Connection,
        instance: dg.DagsterInstance,
        documents: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ready(connection, documents, "page.png")
        monkeypatch.setenv("PATH", str(documents))
        monkeypatch.setenv("OCR_ENGINE", "pytesseract")
        self.assert_fails_without_touching(
            connection, instance, "EngineUnavailable", "apt-get install tesseract-ocr tesseract-ocr-fra"
        )

    def test_database_unavailable(
        self,
        connection: Connection,
        instance: dg.DagsterInstance,
        documents: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ready(connection, documents, "page.png")
        monkeypatch.setenv("NOTAFLOW_DATABASE_URL", "postgresql://notaflow:hunter2@127.0.0.1:1/notaflow")
        result = self.assert_fails_without_touching(
            connection, instance, "DatabaseUnavailable", "cannot use database notaflow at 127.0.0.1:1", "Is it running"
        )
        assert "hunter2" not in "\n".join(dg.serialize_value(entry) for entry in instance.all_logs(result.run_id))

    def test_engine_that_fails_during_a_run_fails_it_and_releases_all(
        self,
        connection: Connection,
        instance: dg.DagsterInstance,
        documents: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # a Tesseract that lists its languages and then cannot load them: the check passes, the first page does not
        false_tesseract = tmp_path / "bin" / "tesseract"
        false_tesseract.parent.mkdir()
        false_tesseract.write_text(
            "#!/bin/sh\n"
            "case $1 in --version) echo tesseract 5.3.0; exit;; "
            "--list-langs) printf 'List (2):\\neng\\nfra\\n'; exit;; esac\n"
            'echo "Error opening data file. Tesseract couldn\'t load any languages!" >&2; exit 1\n'
        )
        false_tesseract.chmod(0o755)
        monkeypatch.setenv("PATH", f"{false_tesseract.parent}:/usr/bin:/bin")
        monkeypatch.setenv("OCR_ENGINE", "pytesseract")
        for number in range(3):
            ready(connection, documents, f"lot{number}.png", "Vente")
        result = run(instance)
        assert not result.success
        assert "EngineUnavailable" in errors_of(result)
        assert set(connection.execute("SELECT status_id, ocr_attempts FROM extraction_queue").fetchall()) == {(3, 0)}
        assert set(connection.execute("SELECT outcome FROM ocr_attempt").fetchall()) == {("released",)}
        assert violated_invariants(connection) == []
        wait_until(lambda: not processes.workers())
