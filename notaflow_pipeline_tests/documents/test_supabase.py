"""Every error response of Supabase becomes a failure of the document or of the storage, and no message has the key."""

import contextlib
import json
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from notaflow_pipeline.documents import download
from notaflow_pipeline.documents import supabase as supabase_module
from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.storage import open_storage
from notaflow_pipeline.documents.supabase import SupabaseStorage
from notaflow_pipeline_tests.documents.supabase_double import SERVICE_KEY, Response, SupabaseDouble, running, send

HERE = Location("index", "a.pdf")
LIMIT_BYTES = 1_000_000


@pytest.fixture
def storage(supabase: SupabaseDouble) -> SupabaseStorage:
    supabase.buckets["index"] = {"a.pdf": b"content"}
    return SupabaseStorage(supabase.url, SERVICE_KEY)


def response(status: int, body: object, **headers: str) -> Response:
    """Answer everything so."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler: send(handler, status, content, {name.replace("_", "-"): v for name, v in headers.items()})


def test_too_large_document_without_length_is_cut_off(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path
) -> None:
    supabase.override = lambda handler: send(handler, 200, b"x" * (LIMIT_BYTES + 1), length=None)
    with pytest.raises(DocumentUnavailable) as failure:
        storage.fetch(HERE, destination, LIMIT_BYTES)
    assert failure.value.kind == "too_large"
    assert not destination.exists()


def test_document_without_length_is_read_to_its_end(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path
) -> None:
    supabase.override = lambda handler: send(handler, 200, b"x" * LIMIT_BYTES, length=None)
    assert storage.fetch(HERE, destination, LIMIT_BYTES) == LIMIT_BYTES


def test_announced_size_over_the_limit_is_refused_unread(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path
) -> None:
    supabase.override = lambda handler: send(handler, 200, b"", length=LIMIT_BYTES + 1)
    with pytest.raises(DocumentUnavailable) as failure:
        storage.fetch(HERE, destination, LIMIT_BYTES)
    assert failure.value.kind == "too_large"


def test_cut_body_leaves_no_file(storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path) -> None:
    supabase.override = lambda handler: send(handler, 200, b"half", length=8)
    with pytest.raises(StorageUnavailable, match="broke"):
        storage.fetch(HERE, destination, LIMIT_BYTES)
    assert not destination.exists()


def test_silent_server_is_given_up(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stay_silent(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(1)  # until the client hangs up

    monkeypatch.setattr(supabase_module, "TIMEOUT", httpx.Timeout(0.2))
    supabase.override = stay_silent
    with pytest.raises(StorageUnavailable, match="silent"):
        storage.fetch(HERE, destination, LIMIT_BYTES)


def test_slow_body_is_given_up(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, b"", length=LIMIT_BYTES)
        with contextlib.suppress(OSError):  # the client hangs up
            for _ in range(1000):
                handler.wfile.write(b"x")
                time.sleep(0.02)

    monkeypatch.setattr(download, "MAX_FETCH_SECONDS", 0.2)
    supabase.override = drip
    with pytest.raises(StorageUnavailable, match="not arrived"):
        storage.fetch(HERE, destination, LIMIT_BYTES)
    assert not destination.exists()


def test_redirect_is_not_followed_and_gets_no_key(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path
) -> None:
    with running() as other:
        supabase.override = response(302, b"", Location=f"{other.url}/storage/v1/object/authenticated/index/a.pdf")
        with pytest.raises(StorageUnavailable, match="redirects"):
            storage.fetch(HERE, destination, LIMIT_BYTES)
        assert other.requests == []


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"statusCode": "404", "error": "not_found", "message": "Object not found"}, "not_found"),
        (400, {"statusCode": "404", "error": "Not found", "message": "The resource was not found"}, "not_found"),
        (404, {"code": "NoSuchKey", "error": "not_found", "message": "Object not found"}, "not_found"),
        (404, b"<html>not here</html>", "not_found"),
        (400, {"statusCode": "400", "code": "InvalidKey", "message": "Invalid key: a~.pdf"}, "refused_location"),
        (400, {"statusCode": "413", "error": "Payload too large", "message": "too large"}, "too_large"),
    ],
)
def test_answer_about_the_document_is_its_failure(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path, status: int, body: object, expected: str
) -> None:
    supabase.override = response(status, body)
    with pytest.raises(DocumentUnavailable) as failure:
        storage.fetch(HERE, destination, LIMIT_BYTES)
    assert failure.value.kind == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"statusCode": "404", "error": "Bucket not found", "message": "Bucket not found"}, "no bucket index"),
        (400, {"statusCode": "403", "error": "Unauthorized", "message": "invalid signature"}, "SUPABASE_SERVICE_KEY"),
        (400, {"statusCode": "400", "code": "InvalidJWT", "error": "InvalidJWT"}, "SUPABASE_SERVICE_KEY"),
        (401, {"message": "Invalid API key"}, "SUPABASE_SERVICE_KEY"),
        (500, {"statusCode": "500", "error": "Internal", "message": SERVICE_KEY}, "answers 500 \\(Internal\\)"),
        (400, {"statusCode": "503", "code": "SlowDown"}, "answers 503"),
        (429, b"slow down", "answers 429"),
        (544, {"statusCode": "544", "code": "DatabaseTimeout"}, "answers 544"),
        (502, b"x" * 300_000, "answers 502"),
        (500, b"[" * 60_000, "answers 500"),
        (204, b"", "answers 204"),
    ],
)
def test_any_other_answer_is_the_storages_failure(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path, status: int, body: object, expected: str
) -> None:
    supabase.override = response(status, body)
    with pytest.raises(StorageUnavailable, match=expected) as failure:
        storage.fetch(HERE, destination, LIMIT_BYTES)
    assert supabase.url in str(failure.value)
    assert SERVICE_KEY not in str(failure.value)
    assert not destination.exists()


def test_body_that_was_compressed_on_the_way_is_not_taken_for_the_document(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path
) -> None:
    supabase.override = response(200, b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(StorageUnavailable, match="compresses"):
        storage.fetch(HERE, destination, LIMIT_BYTES)


def test_web_page_in_place_of_the_document_is_not_taken_for_it(
    storage: SupabaseStorage, supabase: SupabaseDouble, destination: Path
) -> None:
    supabase.override = response(200, b"<html>Sign in</html>", Content_Type="text/html; charset=utf-8")
    with pytest.raises(StorageUnavailable, match="web page"):
        storage.fetch(HERE, destination, LIMIT_BYTES)
    assert not destination.exists()


def test_wrong_key_is_named_by_check_and_never_shown(supabase: SupabaseDouble) -> None:
    storage = SupabaseStorage(supabase.url, "another-key")
    with pytest.raises(StorageUnavailable, match="SUPABASE_SERVICE_KEY") as failure:
        storage.check()
    assert "another-key" not in f"{failure.value} {storage!r} {storage.description}"


@pytest.mark.parametrize("answer", [response(200, b"<html>", Content_Type="text/html"), response(404, b"no")])
def test_check_notices_a_server_that_is_not_supabase(
    storage: SupabaseStorage, supabase: SupabaseDouble, answer: Response
) -> None:
    supabase.override = answer
    with pytest.raises(StorageUnavailable, match="URL"):
        storage.check()


def test_bucket_that_is_created_is_private(storage: SupabaseStorage, supabase: SupabaseDouble, tmp_path: Path) -> None:
    (tmp_path / "source.pdf").write_bytes(b"content")
    storage.store(Location("actes", "a.pdf"), tmp_path / "source.pdf")
    assert supabase.public_flags == {"actes": False}


def test_connection_is_tried_again(supabase: SupabaseDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = SupabaseStorage(supabase.url, SERVICE_KEY)
    outcomes = [httpx.ConnectError("refused"), httpx.ConnectTimeout("late"), None]

    def fail_first() -> None:
        if outcome := outcomes.pop(0):
            raise outcome
        storage._list_buckets()

    monkeypatch.setattr(supabase_module, "CONNECT_PAUSE_SECONDS", 0.0)
    storage._with_retries(fail_first)
    assert outcomes == []
    assert supabase.requests == ["GET /storage/v1/bucket"]


@pytest.mark.parametrize("suffix", ["", "/", "/storage/v1", "/storage/v1/"])
def test_project_url_may_be_written_with_its_path(supabase: SupabaseDouble, suffix: str) -> None:
    storage = open_storage(supabase.url + suffix, supabase_service_key=SERVICE_KEY)
    storage.check()
    assert storage.host == f"127.0.0.1:{supabase.server_port}"
