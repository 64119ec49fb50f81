"""Local files become documents in the storage, with rows that can be claimed."""

import os
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import dict_row

from notaflow_pipeline.documents.failures import StorageUnavailable
from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.documents.location import locate
from notaflow_pipeline.job_queue.queries import find_jobs
from notaflow_pipeline.local.ingest import UnusableFile, find_document_files, ingest_file


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with documents and other things in it."""
    place = tmp_path / "files"
    (place / "folder.pdf").mkdir(parents=True)
    for name in ("b.PDF", "a.png", "notes.txt", "c.tiff", "page.gt.txt", ".hidden"):
        (place / name).write_bytes(name.encode())
    return place


@pytest.fixture
def storage(tmp_path: Path) -> LocalFolder:
    """An empty folder for documents."""
    (tmp_path / "documents").mkdir()
    return LocalFolder(tmp_path / "documents")


def test_documents_of_a_folder_are_enqueued_in_order_of_name(files: Path) -> None:
    assert [one.name for one in find_document_files([files])] == ["a.png", "b.PDF", "c.tiff"]


def test_named_file_is_enqueued_whatever_its_extension(files: Path) -> None:
    assert list(find_document_files([files / "notes.txt", files / "a.png"])) == [files / "notes.txt", files / "a.png"]


def test_a_path_that_does_not_exist_is_an_error_that_names_it(files: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pdf does not exist"):
        list(find_document_files([files / "a.png", files / "nowhere.pdf"]))


def test_document_is_stored_and_its_row_is_ready(connection: Connection, storage: LocalFolder, tmp_path: Path) -> None:
    file = tmp_path / "2 784 195.pdf"
    file.write_bytes(b"%PDF-1.4 scan")
    enqueued = ingest_file(connection, storage, file, "index")
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT * FROM extraction_queue").fetchone()
    assert row is not None
    assert row["id"] == enqueued.id
    assert (row["status_id"], row["document_source"], row["ocr_attempts"]) == (3, "index", 0)
    assert (row["document_number"], row["document_number_normalized"]) == ("2 784 195", "2784195")
    assert row["supabase_path"] == enqueued.supabase_path
    location = locate(enqueued.supabase_path, "index", None)
    assert location.bucket == "index"
    assert (storage.root / "index" / location.name).read_bytes() == b"%PDF-1.4 scan"
    assert [job.id for job in find_jobs(connection, "2784195")] == [enqueued.id]


def test_source_decides_on_the_bucket(connection: Connection, storage: LocalFolder, files: Path) -> None:
    assert ingest_file(connection, storage, files / "a.png", "acte").supabase_path.startswith("actes/")


def test_files_of_one_name_are_kept_apart(connection: Connection, storage: LocalFolder, files: Path) -> None:
    both = [ingest_file(connection, storage, files / "a.png", "index") for _ in range(2)]
    assert both[0].supabase_path != both[1].supabase_path
    assert len(list((storage.root / "index").iterdir())) == 2


def test_unusual_file_names_become_safe_names(connection: Connection, storage: LocalFolder, files: Path) -> None:
    file = files / "Île-à-la-Crosse (copie) 100%.PDF"
    file.write_bytes(b"%PDF-")
    path = ingest_file(connection, storage, file, "index").supabase_path
    location = locate(path, "index", None)
    assert (storage.root / location.bucket / location.name).read_bytes() == b"%PDF-"
    assert location.name.isascii()
    assert not set(location.name) & set(" ()%")


def test_nothing_is_added_when_the_storage_cannot_take_the_file(
    connection: Connection, storage: LocalFolder, files: Path
) -> None:
    (storage.root / "index").write_text("a file where the bucket's folder should be")
    with pytest.raises(StorageUnavailable):
        ingest_file(connection, storage, files / "a.png", "index")
    assert connection.execute("SELECT FROM extraction_queue").fetchall() == []


def test_row_that_is_refused_leaves_no_file(connection: Connection, storage: LocalFolder, tmp_path: Path) -> None:
    connection.execute("ALTER TABLE extraction_queue ADD CONSTRAINT short CHECK (length(document_number) < 9)")
    file = tmp_path / "a long number.pdf"
    file.write_bytes(b"%PDF-1.4 scan")
    with pytest.raises(psycopg.errors.CheckViolation):
        ingest_file(connection, storage, file, "index")
    assert list(storage.root.rglob("*")) == []


def test_name_that_is_not_utf8_is_refused_with_what_to_do(
    connection: Connection, storage: LocalFolder, tmp_path: Path
) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Qu\xe9bec.pdf"))
    file.write_bytes(b"%PDF-1.4 scan")
    with pytest.raises(UnusableFile, match=r"Qu\\xe9bec\.pdf: this name is not in UTF-8\. Rename it"):
        ingest_file(connection, storage, file, "index")
    assert connection.execute("SELECT FROM extraction_queue").fetchall() == []


@pytest.mark.owner
def test_file_is_enqueued_where_the_database_normalizes_numbers(connection: Connection, folder: Path) -> None:
    connection.execute("""
        ALTER TABLE extraction_queue DROP COLUMN document_number_normalized;
        ALTER TABLE extraction_queue ADD document_number_normalized text
            GENERATED ALWAYS AS (regexp_replace(document_number, '\\s', '', 'g')) STORED
    """)
    file = folder / "2 784 195.pdf"
    file.write_bytes(b"content")
    enqueued = ingest_file(connection, LocalFolder(folder), file, "index")
    row = connection.execute("SELECT id, document_number_normalized FROM extraction_queue").fetchone()
    assert row == (enqueued.id, "2784195")
