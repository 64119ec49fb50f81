"""The URL in the settings opens its storage; an invalid URL is refused with what to set."""

import pickle
from pathlib import Path

import pytest

from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.documents.location import Location, locate
from notaflow_pipeline.documents.storage import fetch_to_private_folder, open_storage
from notaflow_pipeline.documents.supabase import SupabaseStorage
from notaflow_pipeline.failures import FailureKind


@pytest.mark.parametrize(
    ("url", "root"),
    [
        (".notaflow/documents", ".notaflow/documents"),
        ("/srv/documents", "/srv/documents"),
        ("file:///srv/my%20documents", "/srv/my documents"),
        ("a:b/documents", "a:b/documents"),
    ],
)
def test_path_opens_a_folder(url: str, root: str) -> None:
    assert open_storage(url) == LocalFolder(Path(root))


def test_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/notary")
    assert open_storage("~/documents") == LocalFolder(Path("/home/notary/documents"))


def test_mirror_reads_the_urls_of_the_storage_that_it_mirrors() -> None:
    storage = open_storage("file:///srv/documents?host=abc.supabase.co")
    url = "https://abc.supabase.co/storage/v1/object/public/index/a.pdf"
    assert str(locate(url, "index", storage.host)) == "index/a.pdf"
    assert open_storage("s3://mirror?host=abc.supabase.co").host == "abc.supabase.co"


def test_project_url_opens_supabase() -> None:
    storage = open_storage("https://ABC.supabase.co:443/", supabase_service_key="service-key")
    assert isinstance(storage, SupabaseStorage)
    assert storage.host == "abc.supabase.co"
    assert storage.description == "Supabase Storage at https://abc.supabase.co"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "empty"),
        ("https://abc.supabase.co", "SUPABASE_SERVICE_KEY"),
        ("https://user:secret@abc.supabase.co", "without user"),
        ("https://abc.supabase.co:port", "cannot be read"),
        ("https://", "<project>"),
        ("ftp://abc.example/documents", "ftp"),
        ("file://server/documents", "three slashes"),
        ("file:///srv/documents?hosts=abc", "hosts"),
        ("s3://documents?endpoint=http://127.0.0.1", "endpoint"),
        ("s3://id:secret@documents", "AWS_ACCESS_KEY_ID"),
        ("s3:///folder", "no bucket"),
        ("s3://documents?endpoint_url=127.0.0.1:9000", "endpoint_url"),
        ("s3://documents?endpoint_url=http://id:secret@127.0.0.1", "endpoint_url"),
    ],
)
def test_invalid_url_error_names_what_to_set(url: str, expected: str) -> None:
    with pytest.raises(StorageMisconfigured, match=expected) as failure:
        open_storage(url)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("key", ["", " ", "two words", "line\nfeed", "clé"])
def test_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    with pytest.raises(StorageMisconfigured) as failure:
        open_storage("https://abc.supabase.co", supabase_service_key=key)
    assert key.strip() == "" or key not in str(failure.value)


def test_failure_survives_the_way_between_processes() -> None:
    failure = pickle.loads(pickle.dumps(DocumentUnavailable(FailureKind.NOT_FOUND, "gone")))  # noqa: S301 - our own bytes
    assert (failure.kind, failure.sentence, str(failure)) == ("not_found", "gone", "gone")


def test_missing_temporary_folder_is_not_the_documents_failure(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="TMPDIR"):
        fetch_to_private_folder(LocalFolder(tmp_path), Location("index", "a.pdf"), 1, tmp_path / "absent")
