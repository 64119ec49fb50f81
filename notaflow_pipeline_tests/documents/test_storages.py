"""Behaviour that all kinds of storage share, tested on each."""

from pathlib import Path

import pytest

from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.storage import DocumentStorage, fetch_to_private_folder

HERE = Location("index", "1358-176.pdf")
CONTENT = b"%PDF-1.4 " + bytes(range(256)) * 4096  # 1 MB, more than one chunk
PLENTY_BYTES = 10_000_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source.pdf"
    file.write_bytes(CONTENT)
    return file


class TestEveryStorage:
    @pytest.mark.parametrize(
        "location",
        [
            HERE,
            Location("index", "2025/10/a.pdf"),
            Location("actes", "é #?&+ 100%25.pdf"),
            Location("public", "a/b.pdf"),
        ],
        ids=str,
    )
    def test_stored_document_is_fetched_unchanged(
        self, storage: DocumentStorage, location: Location, source: Path, destination: Path
    ) -> None:
        storage.store(location, source)
        assert storage.fetch(location, destination, PLENTY_BYTES) == len(CONTENT)
        assert destination.read_bytes() == CONTENT

    def test_storing_again_overwrites(self, storage: DocumentStorage, source: Path, destination: Path) -> None:
        storage.store(HERE, source)
        source.write_bytes(b"corrected")
        storage.store(HERE, source)
        storage.fetch(HERE, destination, PLENTY_BYTES)
        assert destination.read_bytes() == b"corrected"

    def test_empty_document_is_fetched(self, storage: DocumentStorage, source: Path, destination: Path) -> None:
        source.write_bytes(b"")
        storage.store(HERE, source)
        assert storage.fetch(HERE, destination, PLENTY_BYTES) == 0
        assert destination.read_bytes() == b""

    def test_document_of_exactly_the_limit_is_not_too_large(
        self, storage: DocumentStorage, source: Path, destination: Path
    ) -> None:
        storage.store(HERE, source)
        assert storage.fetch(HERE, destination, len(CONTENT)) == len(CONTENT)

    def test_too_large_document_leaves_no_file(self, storage: DocumentStorage, source: Path, destination: Path) -> None:
        storage.store(HERE, source)
        with pytest.raises(DocumentUnavailable) as failure:
            storage.fetch(HERE, destination, len(CONTENT) - 1)
        assert failure.value.kind == "too_large"
        assert not failure.value.kind.retryable
        assert not destination.exists()

    def test_missing_document_is_worth_another_attempt(
        self, storage: DocumentStorage, source: Path, destination: Path, tmp_path: Path
    ) -> None:
        storage.store(HERE, source)
        with pytest.raises(DocumentUnavailable, match=r"index/absent\.pdf") as failure:
            storage.fetch(Location("index", "absent.pdf"), destination, PLENTY_BYTES)
        assert failure.value.kind == "not_found"
        assert failure.value.kind.retryable
        assert str(tmp_path) not in failure.value.sentence
        assert not destination.exists()

    def test_bucket_that_only_a_row_names_is_that_rows_failure(
        self, storage: DocumentStorage, source: Path, destination: Path
    ) -> None:
        storage.store(HERE, source)
        with pytest.raises(DocumentUnavailable) as failure:
            storage.fetch(Location("typo", "a.pdf"), destination, PLENTY_BYTES)
        assert failure.value.kind == "not_found"

    def test_check_passes(self, storage: DocumentStorage) -> None:
        storage.check()

    def test_file_is_fetched_into_a_private_folder(
        self, storage: DocumentStorage, source: Path, tmp_path: Path
    ) -> None:
        storage.store(HERE, source)
        path = fetch_to_private_folder(storage, HERE, PLENTY_BYTES, tmp_path)
        assert path.read_bytes() == CONTENT
        assert "1358" not in str(path)
        assert path.parent.parent == tmp_path
        assert path.parent.stat().st_mode & 0o077 == 0

    def test_nothing_is_left_of_a_file_that_cannot_be_fetched(
        self, storage: DocumentStorage, source: Path, tmp_path: Path
    ) -> None:
        storage.store(HERE, source)
        within = tmp_path / "within"
        within.mkdir()
        with pytest.raises(DocumentUnavailable):
            fetch_to_private_folder(storage, Location("index", "absent.pdf"), PLENTY_BYTES, within)
        assert list(within.iterdir()) == []

    def test_source_that_cannot_be_read_is_the_callers_failure(self, storage: DocumentStorage, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            storage.store(HERE, tmp_path / "absent.pdf")

    def test_read_only_temporary_folder_is_not_the_documents_failure(
        self, storage: DocumentStorage, source: Path, tmp_path: Path
    ) -> None:
        storage.store(HERE, source)
        with pytest.raises(StorageUnavailable, match="temporary folder") as failure:
            storage.fetch(HERE, tmp_path / "absent" / "destination", PLENTY_BYTES)
        assert str(tmp_path) not in str(failure.value)


class TestEveryStorageThatIsAway:
    def test_check_names_the_documents_and_a_remedy(self, unreachable: DocumentStorage) -> None:
        with pytest.raises(StorageUnavailable, match="Check") as failure:
            unreachable.check()
        assert unreachable.description in str(failure.value)
        assert "must-never-be-shown" not in f"{failure.value} {unreachable!r}"

    def test_fetch_is_not_the_documents_failure(self, unreachable: DocumentStorage, destination: Path) -> None:
        with pytest.raises(StorageUnavailable):
            unreachable.fetch(HERE, destination, PLENTY_BYTES)
        assert not destination.exists()
