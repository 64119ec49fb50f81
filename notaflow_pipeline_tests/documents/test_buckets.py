"""Missing buckets are found before any document is fetched."""

from pathlib import Path

import pytest

from notaflow_pipeline.documents.failures import StorageUnavailable
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.s3 import S3Storage
from notaflow_pipeline.documents.storage import DocumentStorage, open_storage
from notaflow_pipeline_tests.documents.supabase_double import SERVICE_KEY, SupabaseDouble

PLENTY_BYTES = 1_000_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source.pdf"
    file.write_bytes(b"%PDF-1.7")
    return file


def test_stored_documents_bucket_passes(storage: DocumentStorage, source: Path) -> None:
    storage.store(Location("index", "here.pdf"), source)
    storage.check(["index"])


class TestFolder:
    def test_empty_folder_passes_before_the_first_document(self, tmp_path: Path) -> None:
        open_storage(str(tmp_path)).check(["index"])

    def test_folder_one_too_deep_is_refused(self, tmp_path: Path, source: Path) -> None:
        open_storage(str(tmp_path / "docs")).store(Location("index", "a.pdf"), source)
        with pytest.raises(StorageUnavailable, match=r"no folder index.*NOTAFLOW_DOCUMENTS_URL"):
            open_storage(str(tmp_path / "docs" / "index")).check(["index"])

    def test_source_without_documents_yet_does_not_stop_the_other(self, tmp_path: Path, source: Path) -> None:
        storage = open_storage(str(tmp_path / "docs"))
        storage.store(Location("index", "a.pdf"), source)
        storage.check(["index", "actes"])

    def test_document_in_a_missing_folder_is_the_storages_failure(self, tmp_path: Path, source: Path) -> None:
        storage = open_storage(str(tmp_path / "docs"))
        storage.store(Location("index", "a.pdf"), source)
        with pytest.raises(StorageUnavailable, match="no folder actes"):
            storage.fetch(Location("actes", "a.pdf"), tmp_path / "destination", PLENTY_BYTES)


class TestBuckets:
    def test_missing_supabase_bucket_is_named(self, supabase: SupabaseDouble) -> None:
        supabase.buckets["index"] = {}
        storage = open_storage(supabase.url, supabase_service_key=SERVICE_KEY)
        storage.check(["index"])
        with pytest.raises(StorageUnavailable, match=r"no bucket actes.*Create the bucket"):
            storage.check(["index", "actes"])

    def test_missing_s3_bucket_is_named(self, s3_endpoint: str) -> None:
        storage = S3Storage(endpoint_url=s3_endpoint)
        with pytest.raises(StorageUnavailable, match=r"no bucket plans-cadastraux.*Create the bucket"):
            storage.check(["plans-cadastraux"])

    def test_s3_folder_one_too_deep_is_refused(self, s3_endpoint: str, source: Path) -> None:
        storage = S3Storage(bucket="deep", prefix="docs", endpoint_url=s3_endpoint)
        storage._create_bucket("deep")
        storage.check(["index"])
        storage.store(Location("index", "a.pdf"), source)
        storage.check(["index", "actes"])
        with pytest.raises(StorageUnavailable, match="no folder index"):
            S3Storage(bucket="deep", prefix="docs/index", endpoint_url=s3_endpoint).check(["index"])

    def test_s3_folder_beside_one_that_begins_the_same_is_empty(self, s3_endpoint: str, source: Path) -> None:
        S3Storage(bucket="beside", prefix="docs2", endpoint_url=s3_endpoint).store(Location("x", "a.pdf"), source)
        S3Storage(bucket="beside", prefix="docs", endpoint_url=s3_endpoint).check(["index"])
