"""The three kinds of storage for tests: a folder, an HTTP server that behaves like Supabase, and a moto server for S3."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from notaflow_pipeline.documents.s3 import S3Storage
from notaflow_pipeline.documents.storage import DocumentStorage, open_storage
from notaflow_pipeline_tests.documents.moto_server import wait_for
from notaflow_pipeline_tests.documents.supabase_double import SERVICE_KEY, SupabaseDouble, running
from notaflow_pipeline_tests.testing.ports import free_port


@pytest.fixture(scope="package", autouse=True)
def _environment() -> Iterator[None]:
    """Ignore the machine's configuration, and send no request to other machines."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            environment.delenv(name, raising=False)
        environment.setenv("AWS_ACCESS_KEY_ID", "key-id")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret-that-must-never-be-shown")
        environment.setenv("AWS_DEFAULT_REGION", "ca-central-1")
        environment.setenv("AWS_CONFIG_FILE", "/dev/null")
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("NO_PROXY", "127.0.0.1")
        environment.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "destination"


@pytest.fixture
def supabase() -> Iterator[SupabaseDouble]:
    with running() as server:
        yield server


@pytest.fixture(scope="package")
def s3_endpoint(_environment: None) -> Iterator[str]:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"{endpoint}/moto-api/", server)
            yield endpoint
        finally:
            server.kill()


@pytest.fixture(scope="package")
def s3_with_one_bucket(s3_endpoint: str) -> DocumentStorage:
    """The documents' buckets as folders; one client for all tests, because creating one takes 0.5 s."""
    storage = S3Storage(bucket="documents", prefix="scans/2025", endpoint_url=s3_endpoint)
    storage._create_bucket("documents")
    return storage


@pytest.fixture(scope="package")
def s3_with_buckets(s3_endpoint: str) -> DocumentStorage:
    """The documents' buckets as real buckets."""
    return S3Storage(endpoint_url=s3_endpoint)


@pytest.fixture(params=["folder", "supabase", "s3-bucket", "s3-buckets"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> DocumentStorage:
    """Each kind of storage; those on S3 may hold what earlier tests stored."""
    match request.param:
        case "folder":
            (tmp_path / "documents").mkdir()
            return open_storage(str(tmp_path / "documents"))
        case "supabase":
            server: SupabaseDouble = request.getfixturevalue("supabase")
            return open_storage(server.url, supabase_service_key=SERVICE_KEY)
        case "s3-bucket":
            return cast("DocumentStorage", request.getfixturevalue("s3_with_one_bucket"))
        case _:
            return cast("DocumentStorage", request.getfixturevalue("s3_with_buckets"))


@pytest.fixture(params=["folder", "supabase", "s3"])
def unreachable(request: pytest.FixtureRequest, tmp_path: Path) -> DocumentStorage:
    """Each kind of storage, which cannot be reached."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    match request.param:
        case "folder":
            return open_storage(str(tmp_path / "unmounted"))
        case "supabase":
            return open_storage(nowhere, supabase_service_key=SERVICE_KEY)
        case _:
            return open_storage(f"s3://documents?endpoint_url={nowhere}")
