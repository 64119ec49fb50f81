"""Which storage do the settings mean, and what can it do?

The interface of every storage and the one place that chooses between them. How each keeps its bytes stands in its own
module.
"""

import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from notaflow_pipeline.documents.download import cannot_write
from notaflow_pipeline.documents.failures import StorageMisconfigured
from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.supabase import SupabaseStorage

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?:/|\?)")


class DocumentStorage(Protocol):
    """A place with buckets in which documents lie. May be used by several threads at once."""

    @property
    def host(self) -> str | None:
        """The `host[:port]` of full URLs that point into this storage; None if there are no such URLs."""

    @property
    def description(self) -> str:
        """Which storage this is, for the person who operates it, without secrets."""

    def check(self, buckets: Collection[str] = ()) -> None:
        """Raise `StorageUnavailable` if the storage cannot be reached and read, or lacks these buckets; cheap.

        A bucket of its own must exist. Of buckets that are only folders one is enough, and an empty storage needs none:
        a folder comes into being with its first document.
        """

    def fetch(self, location: Location, destination: Path, max_bytes: int) -> int:
        """Write the document at `location` to the file `destination` and return its size in bytes.

        Nothing is left at `destination` after a failure. Raises `DocumentUnavailable` if it is this document's fault,
        and `StorageUnavailable` if it is the storage's.
        """

    def store(self, location: Location, source: Path) -> None:
        """Put the file `source` at `location`, in place of what lies there; the bucket is created if it is lacking.

        Raises `DocumentUnavailable` if the storage refuses this name or size, `StorageUnavailable` if it cannot be
        used, and `OSError` if `source` cannot be read.
        """


def open_storage(url: str, *, supabase_service_key: str | None = None) -> DocumentStorage:
    """Return the storage that `url` names; nothing is contacted yet.

    - a folder, or `file:///folder?host=…`
    - `https://<project>.supabase.co`, which needs `supabase_service_key`
    - `s3://bucket/prefix?endpoint_url=…&region=…&host=…`: the documents' buckets are folders there. Without a bucket
      (`s3://?endpoint_url=…`) they are buckets of their own. Credentials come from the usual `AWS_*` environment.

    `host` names the host whose full URLs, left in rows by an earlier storage, mean this one.

    Raises `StorageMisconfigured` if `url` cannot be meant.
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


@contextmanager
def fetch_temporarily(
    storage: DocumentStorage, location: Location, max_bytes: int, within: Path | None = None
) -> Iterator[Path]:
    """Fetch a document into a private temporary folder, deleted whatever happens; no name there tells which it is.

    `within` is where that folder lies; by default among the system's temporary files.
    """
    try:
        private_folder = tempfile.TemporaryDirectory(prefix="notaflow-", dir=within)
    except OSError as error:
        raise cannot_write(error) from error
    with private_folder as folder:
        destination = Path(folder) / "document"
        storage.fetch(location, destination, max_bytes)
        yield destination


def _open_folder(url: str) -> DocumentStorage:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path:
        raise StorageMisconfigured(
            "A file URL names a folder on this machine: file:///srv/documents, with three slashes."
        )
    return LocalFolder(Path(unquote(parts.path)), host=_options(parts.query, {"host"}).get("host"))


def _open_s3(url: str) -> DocumentStorage:
    from notaflow_pipeline.documents.s3 import S3Storage  # boto3 takes 0.3 s to import, so only who needs it pays

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
        raise StorageMisconfigured(f"The documents' URL has options that mean nothing: {', '.join(sorted(unknown))}.")
    return options
