"""Defines the interface of document storages, and opens the storage that a URL names."""

import re
import shutil
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from notaflow_pipeline.documents.download import write_failure
from notaflow_pipeline.documents.failures import StorageMisconfigured
from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.supabase import SupabaseStorage

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?:/|\?)")


class DocumentStorage(Protocol):
    """A storage with buckets of documents. Thread-safe."""

    @property
    def host(self) -> str | None:
        """The `host[:port]` of document URLs into this storage; None if it has none."""

    @property
    def description(self) -> str:
        """Name of this storage for messages, without secrets."""

    def check(self, buckets: Collection[str] = ()) -> None:
        """Raise `StorageUnavailable` if the storage cannot be reached and read, or lacks these buckets; cheap.

        Real buckets must all exist. Where buckets are folders, one of them must exist, unless the storage is empty: a
        folder is created with its first document.
        """

    def fetch(self, location: Location, destination: Path, max_bytes: int) -> int:
        """Write the document at `location` to the file `destination` and return its size in bytes.

        The file is removed after a failure. Raises `DocumentUnavailable` if only this document is affected, and
        `StorageUnavailable` if the storage is.
        """

    def store(self, location: Location, source: Path) -> None:
        """Store the file `source` at `location`, replacing an existing file; creates a missing bucket.

        Raises `DocumentUnavailable` if the storage refuses this name or size, `StorageUnavailable` if it cannot be
        used, and `OSError` if `source` cannot be read.
        """


def open_storage(url: str, *, supabase_service_key: str | None = None) -> DocumentStorage:
    """Return the storage that `url` names, without contacting it.

    - a folder, or `file:///folder?host=…`
    - `https://<project>.supabase.co`, which needs `supabase_service_key`
    - `s3://bucket/prefix?endpoint_url=…&region=…&host=…`: the documents' buckets are folders there. Without a bucket
      (`s3://?endpoint_url=…`) they are real buckets. Credentials come from the usual `AWS_*` environment.

    `host` is the host of an earlier storage: rows with its URLs are read from this one.

    Raises `StorageMisconfigured` if `url` is invalid.
    """
    scheme = _URL.match(url)
    if not url.strip():
        raise StorageMisconfigured(
            "The documents' URL is empty. Set it to a folder, an s3:// URL or a Supabase project's URL."
        )
    if scheme is None:
        return LocalFolder(Path(url).expanduser())
    match scheme[1].lower():
        case "file":
            return _open_folder(url)
        case "http" | "https":
            return SupabaseStorage(url, supabase_service_key)
        case "s3":
            return _open_s3(url)
        case other:
            raise StorageMisconfigured(
                f"Documents cannot be read from {other}: URLs. Set a folder, an s3:// URL or a Supabase project's URL."
            )


def fetch_to_private_folder(storage: DocumentStorage, location: Location, max_bytes: int, within: Path) -> Path:
    """Fetch a document into a new private folder of `within`, and return the file's path; its name is neutral.

    The caller removes the folder, which is the path's parent. After a failure it is removed here.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="notaflow-", dir=within))
    except OSError as error:
        raise write_failure(error) from error
    with ExitStack() as on_failure:
        on_failure.callback(shutil.rmtree, folder, ignore_errors=True)
        storage.fetch(location, folder / "document", max_bytes)
        on_failure.pop_all()
    return folder / "document"


def _open_folder(url: str) -> DocumentStorage:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path:
        raise StorageMisconfigured(
            "A file URL names a folder on this machine: file:///srv/documents, with three slashes."
        )
    return LocalFolder(Path(unquote(parts.path)), host=_options(parts.query, {"host"}).get("host"))


def _open_s3(url: str) -> DocumentStorage:
    from notaflow_pipeline.documents.s3 import S3Storage  # boto3 takes 0.3 s to import

    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise StorageMisconfigured(
            "Credentials do not belong in the s3:// URL. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    options = _options(parts.query, {"endpoint_url", "region", "host"})
    return S3Storage(
        bucket=parts.netloc or None,
        prefix=unquote(parts.path).strip("/"),
        endpoint_url=options.get("endpoint_url"),
        region=options.get("region"),
        host=options.get("host"),
    )


def _options(query: str, known: set[str]) -> dict[str, str]:
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    if unknown := options.keys() - known:
        raise StorageMisconfigured(f"The documents' URL has unknown options: {', '.join(sorted(unknown))}.")
    return options
