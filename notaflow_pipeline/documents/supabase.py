"""Reads and stores documents in the private buckets of a Supabase project, with its service key.

Uses the routes of Supabase Storage (https://github.com/supabase/storage, src/http/routes); `supabase_errors` interprets
the error responses. The key is sent in request headers and written nowhere else.
"""

import mimetypes
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from ssl import SSLContext
from typing import IO, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from notaflow_pipeline.documents.download import missing_bucket_failure, receive
from notaflow_pipeline.documents.failures import StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.documents.location import Location, host_of
from notaflow_pipeline.documents.supabase_errors import ErrorResponse, document_failure, error_of, storage_failure

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
CONNECT_ATTEMPTS = 3
CONNECT_PAUSE_SECONDS = 0.3

T = TypeVar("T")


class SupabaseStorage:
    """The Storage API of the Supabase project at `url`. Raises `StorageMisconfigured` for a bad URL or key."""

    def __init__(self, url: str, service_key: str | None) -> None:
        self.host, self._base = _host_and_base(url)
        if not service_key or not (service_key.isascii() and service_key.isprintable()) or " " in service_key:
            raise StorageMisconfigured(
                f"Documents at {self.host} need the project's service key. "
                "Set SUPABASE_SERVICE_KEY to the one shown in the project's settings under API keys."
            )
        self._service_key = service_key

    def __repr__(self) -> str:
        return f"<{self.description}>"

    @property
    def description(self) -> str:
        """The project's URL."""
        return f"Supabase Storage at {self._base}"

    def check(self, buckets: Collection[str] = ()) -> None:
        """Raise `StorageUnavailable` unless the buckets can be listed and these exist."""
        self._with_retries(self._list_buckets)
        for bucket in buckets:
            self._with_retries(partial(self._check_bucket, bucket))

    def fetch(self, location: Location, destination: Path, max_bytes: int) -> int:
        """Stream the document to `destination`."""
        return self._with_retries(lambda: self._download(location, destination, max_bytes))

    def store(self, location: Location, source: Path) -> None:
        """Upload `source`; creates a private bucket if it is missing."""
        problem = self._with_retries(lambda: self._upload(location, source))
        if problem and problem.is_missing_bucket:
            bucket = {"id": location.bucket, "name": location.bucket, "public": False}
            refusal = self._with_retries(lambda: self._send("bucket", json=bucket))
            if refusal and not refusal.is_existing_bucket:
                raise document_failure(refusal, location, self.description)
            problem = self._with_retries(lambda: self._upload(location, source))
        if problem:
            raise document_failure(problem, location, self.description)

    def _list_buckets(self) -> None:
        with self._request("GET", "bucket") as response:
            if problem := error_of(response):
                raise storage_failure(problem, self.description)
            if "json" not in response.headers.get("Content-Type", ""):
                raise StorageUnavailable(
                    f"{self._base} answers, but not like Supabase Storage. Set the project's URL, "
                    "https://<project>.supabase.co."
                )

    def _check_bucket(self, bucket: str) -> None:
        # one by one, because the list may be paginated
        with self._request("GET", f"bucket/{quote(bucket)}") as response:
            problem = error_of(response)
            if problem and (problem.is_missing_bucket or problem.status == httpx.codes.NOT_FOUND):
                raise missing_bucket_failure(bucket, self.description)
            if problem:
                raise storage_failure(problem, self.description)

    def _download(self, location: Location, destination: Path, max_bytes: int) -> int:
        # not /object/ alone, as the official clients do: there, a bucket named `public` would be read as a route
        with self._request("GET", f"object/authenticated/{_quoted(location)}") as response:
            if problem := error_of(response):
                raise document_failure(problem, location, self.description)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise StorageUnavailable(
                    f"{self.description} compresses files although it was asked not to. Check the proxies in between."
                )
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise StorageUnavailable(
                    f"{self.description} answers with a web page instead of a document. Check the proxies in between."
                )
            length = response.headers.get("Content-Length", "")
            return receive(
                response.iter_raw(),  # without waiting for full chunks, so that the time limit sees a slow body
                destination,
                max_bytes=max_bytes,
                announced_bytes=int(length) if length.isdecimal() else None,
            )

    def _upload(self, location: Location, source: Path) -> ErrorResponse | None:
        content_type = mimetypes.guess_type(location.name)[0] or "application/octet-stream"
        headers = {"x-upsert": "true", "Content-Type": content_type}
        with source.open("rb") as file:
            return self._send(f"object/{_quoted(location)}", headers=headers, content=file)

    def _send(
        self,
        route: str,
        *,
        headers: dict[str, str] | None = None,
        content: IO[bytes] | None = None,
        json: object = None,
    ) -> ErrorResponse | None:
        with self._request("POST", route, headers=headers, content=content, json=json) as response:
            return error_of(response)

    @contextmanager
    def _request(
        self,
        method: str,
        route: str,
        *,
        headers: dict[str, str] | None = None,
        content: IO[bytes] | None = None,
        json: object = None,
    ) -> Iterator[httpx.Response]:
        """Yield the response before its body is read. Each request has its own connection: idle ones time out during OCR."""
        key = {
            "apikey": self._service_key,
            "Authorization": f"Bearer {self._service_key}",
            "Accept-Encoding": "identity",  # so that Content-Length is the size of the document
        }
        url = f"{self._base}/storage/v1/{route}"
        with (
            httpx.Client(timeout=TIMEOUT, verify=self._tls, follow_redirects=False, headers=key) as client,
            client.stream(method, url, headers=headers, content=content, json=json) as response,
        ):
            yield response

    @cached_property
    def _tls(self) -> SSLContext:
        return httpx.create_ssl_context()  # cached: it reads all certificates

    def _with_retries(self, operation: Callable[[], T], attempts: int = CONNECT_ATTEMPTS) -> T:
        """Return the result of `operation`, tried again if no connection could be made; translates exceptions of httpx."""
        try:
            return operation()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if attempts == 1:
                raise StorageUnavailable(
                    f"{self.description} cannot be reached. Check its URL, its certificate and the network."
                ) from error
        except httpx.TimeoutException as error:
            raise StorageUnavailable(
                f"{self.description} was silent for {TIMEOUT.read:.0f} s. See the project's status and load."
            ) from error
        except httpx.HTTPError as error:
            raise StorageUnavailable(
                f"The connection to {self.description} broke ({type(error).__name__}). Check the network in between."
            ) from error
        time.sleep(CONNECT_PAUSE_SECONDS)
        return self._with_retries(operation, attempts - 1)


def _host_and_base(url: str) -> tuple[str, str]:
    """Return the `host[:port]` and the URL up to `/storage/v1`."""
    try:
        parts = urlsplit(url)
        host = host_of(parts)
    except ValueError as error:
        raise StorageMisconfigured(
            "The Supabase project's URL cannot be read. Set https://<project>.supabase.co."
        ) from error
    if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise StorageMisconfigured(
            "The Supabase project's URL is https://<project>.supabase.co, without user, query or fragment."
        )
    return host, f"{parts.scheme}://{host}{parts.path.rstrip('/').removesuffix('/storage/v1')}"


def _quoted(location: Location) -> str:
    return quote(f"{location.bucket}/{location.name}")
