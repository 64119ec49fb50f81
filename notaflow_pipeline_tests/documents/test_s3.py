"""Every error response of S3 becomes a failure of the document or of the storage, and no message has the secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.s3 import S3Storage
from notaflow_pipeline.documents.storage import open_storage
from notaflow_pipeline_tests.documents.supabase_double import SupabaseDouble, send

HERE = Location("index", "a.pdf")
LIMIT_BYTES = 1_000_000


@pytest.fixture
def odd_store(supabase: SupabaseDouble, monkeypatch: pytest.MonkeyPatch) -> S3Storage:
    """A client whose store answers whatever the test has the HTTP double say, once."""
    monkeypatch.setattr("notaflow_pipeline.documents.s3.ATTEMPTS", 1)
    return S3Storage(endpoint_url=supabase.url)


def error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>must-never-be-shown</Message></Error>".encode()


def test_documents_are_in_folders_of_the_one_bucket(s3_endpoint: str, tmp_path: Path, destination: Path) -> None:
    (tmp_path / "source.pdf").write_bytes(b"content")
    buckets = S3Storage(endpoint_url=s3_endpoint)
    one_bucket = open_storage(f"s3://everything/scans/?endpoint_url={s3_endpoint}")
    one_bucket.store(HERE, tmp_path / "source.pdf")
    buckets.fetch(Location("everything", "scans/index/a.pdf"), destination, LIMIT_BYTES)
    assert destination.read_bytes() == b"content"


def test_bucket_of_the_settings_that_is_missing_is_the_storages_failure(s3_endpoint: str, destination: Path) -> None:
    storage = open_storage(f"s3://never-created?endpoint_url={s3_endpoint}")
    with pytest.raises(StorageUnavailable, match="Create the bucket"):
        storage.check()
    with pytest.raises(StorageUnavailable, match="never-created"):
        storage.fetch(HERE, destination, LIMIT_BYTES)


def test_bucket_name_that_s3_cannot_have_is_the_rows_failure(s3_endpoint: str, destination: Path) -> None:
    storage = open_storage(f"s3://?endpoint_url={s3_endpoint}")
    with pytest.raises(DocumentUnavailable) as failure:
        storage.fetch(Location("no such bucket!", "a.pdf"), destination, LIMIT_BYTES)
    assert failure.value.kind == "refused_location"


def test_too_large_document_without_length_is_cut_off(
    odd_store: S3Storage, supabase: SupabaseDouble, destination: Path
) -> None:
    supabase.override = lambda handler: send(handler, 200, b"x" * (LIMIT_BYTES + 1), length=None)
    with pytest.raises(DocumentUnavailable) as failure:
        odd_store.fetch(HERE, destination, LIMIT_BYTES)
    assert failure.value.kind == "too_large"
    assert not destination.exists()


def test_cut_body_leaves_no_file(odd_store: S3Storage, supabase: SupabaseDouble, destination: Path) -> None:
    supabase.override = lambda handler: send(handler, 200, b"half", length=8)
    with pytest.raises(StorageUnavailable, match="broke"):
        odd_store.fetch(HERE, destination, LIMIT_BYTES)
    assert not destination.exists()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (403, "AccessDenied", "ListBucket"),
        (404, "NoSuchBucket", "no bucket index"),
        (500, "InternalError", "answers InternalError"),
        (503, "SlowDown", "answers SlowDown"),
    ],
)
def test_answer_about_the_store_is_its_failure(
    odd_store: S3Storage, supabase: SupabaseDouble, destination: Path, status: int, code: str, expected: str
) -> None:
    supabase.override = lambda handler: send(handler, status, error(code))
    with pytest.raises(StorageUnavailable, match=expected) as failure:
        odd_store.fetch(HERE, destination, LIMIT_BYTES)
    assert "must-never-be-shown" not in str(failure.value)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", "not_found"),
        (400, "KeyTooLongError", "refused_location"),
        (400, "EntityTooLarge", "too_large"),
    ],
)
def test_answer_about_the_document_is_its_failure(
    odd_store: S3Storage, supabase: SupabaseDouble, destination: Path, status: int, code: str, expected: str
) -> None:
    supabase.override = lambda handler: send(handler, status, error(code))
    with pytest.raises(DocumentUnavailable) as failure:
        odd_store.fetch(HERE, destination, LIMIT_BYTES)
    assert failure.value.kind == expected


def test_missing_credentials_are_named(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    storage = open_storage(f"s3://?endpoint_url={s3_endpoint}")
    with pytest.raises(StorageUnavailable, match="Set AWS_ACCESS_KEY_ID"):
        storage.check()


def test_endpoint_may_come_from_the_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    storage = open_storage("s3://")
    storage.check()
    assert storage.host == s3_endpoint.removeprefix("http://")


def test_urls_of_a_supabase_project_point_into_its_s3_endpoint() -> None:
    storage = open_storage("s3://?endpoint_url=https://abc.storage.supabase.co/storage/v1/s3")
    assert storage.host == "abc.supabase.co"


def test_boto3_is_imported_for_s3_urls_only() -> None:
    program = (
        "import sys; from notaflow_pipeline.documents.storage import open_storage; open_storage('folder'); "
        "assert 'boto3' not in sys.modules; open_storage('s3://'); assert 'boto3' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=dict(os.environ))


def test_store_that_is_not_aws_needs_no_host_name_for_each_bucket() -> None:
    client = S3Storage(endpoint_url="http://minio.invalid:9000")._client
    url = client.generate_presigned_url("get_object", Params={"Bucket": "index", "Key": "a.pdf"})
    assert url.startswith("http://minio.invalid:9000/index/a.pdf?")
