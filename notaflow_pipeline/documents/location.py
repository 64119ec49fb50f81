"""Parses `supabase_path`: returns the bucket and the file name that a row means, or refuses the path.

Accepts every form that is found in production, and validates each one: rows are written by other programs.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from notaflow_pipeline.documents.failures import DocumentUnavailable, OtherHost
from notaflow_pipeline.failures import FailureKind

BUCKET_OF_SOURCE = {"index": "index", "acte": "actes", "plan_cadastraux": "plans-cadastraux"}

MAX_LOCATION_BYTES = 1024  # the limit of S3 and Supabase Storage
MAX_PATH_CHARACTERS = 8192  # room for a signed token
MAX_FILE_STEM_CHARACTERS = 200  # with its extension below the 255 bytes of file systems

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_OBJECT_URL = re.compile(r".*?/storage/v1/object/(?:(?:public|sign|authenticated)/)?([^/].*)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OUTSIDE_FIELD_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_FILE_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}\Z")
# Cc controls · Cs lone surrogates, which UTF-8 cannot carry · Zl and Zp line and paragraph separators
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class Location:
    """A file in a bucket; `name` may hold folders (`2025/a.pdf`) and never leads out of the bucket.

    Raises `DocumentUnavailable` (refused_location) for a bucket or name that is absolute, empty or too long, or has `..`,
    backslashes or control characters.
    """

    bucket: str
    name: str

    def __post_init__(self) -> None:
        _refuse_unreadable_characters(f"{self.bucket}/{self.name}")
        if len(f"{self.bucket}/{self.name}".encode()) > MAX_LOCATION_BYTES:
            raise _refused(f"is longer than {MAX_LOCATION_BYTES} bytes")
        segments = [self.bucket, *self.name.split("/")]
        if "/" in self.bucket or any(segment in {"", ".", ".."} for segment in segments):
            raise _refused("leads out of its bucket, is absolute, or has an empty part")

    def __str__(self) -> str:
        """Return `bucket/name` for messages, without anything that could be a signed token."""
        return f"{self.bucket}/{self.name}".partition("?")[0]


def locate(supabase_path: str | None, document_source: str, storage_host: str | None) -> Location:
    """Return the location that a row's `supabase_path` means.

    `storage_host` is the `host[:port]` of URLs into the configured storage; without it, every URL is refused. A bare file
    name is in the bucket of `document_source`.

    Percent-encoding is decoded exactly once, in URLs and in plain paths: production has both, and its names never contain
    a literal `%`. So `%2e%2e` is refused as `..`, and `%252e` is the literal text `%2e`.

    Raises `DocumentUnavailable` (refused_location) for everything else.
    """
    if supabase_path is None or not supabase_path.strip():
        raise DocumentUnavailable(
            FailureKind.REFUSED_LOCATION,
            "The row has no supabase_path, so the document cannot be located. Set it to bucket/file.pdf.",
        )
    if len(supabase_path) > MAX_PATH_CHARACTERS:
        raise _refused(f"is longer than {MAX_PATH_CHARACTERS} characters")
    _refuse_unreadable_characters(supabase_path)
    is_url = _SCHEME.match(supabase_path) is not None
    bucket, slash, name = _decoded(_path_in_url(supabase_path, storage_host) if is_url else supabase_path).partition(
        "/"
    )
    if slash:
        return Location(bucket, name)
    if is_url:
        raise _refused("is a URL that names a bucket but no file in it")
    if document_source not in BUCKET_OF_SOURCE:
        raise DocumentUnavailable(
            FailureKind.REFUSED_LOCATION,
            "supabase_path is a bare file name, and the row's document_source has no bucket of its own. "
            "Set supabase_path to bucket/file.pdf.",
        )
    return Location(BUCKET_OF_SOURCE[document_source], bucket)


def buckets_of(sources: Iterable[str]) -> list[str]:
    """Return the buckets of these document sources."""
    return [BUCKET_OF_SOURCE[source] for source in sources]


def safe_file_name(original: str) -> str:
    """Return `original` with every character outside `[A-Za-z0-9_-]` replaced by `_`, as production names its files.

    The extension is kept in lower case; the stem is cut after 200 characters.
    """
    extension = _FILE_EXTENSION.search(original)
    stem = original[: extension.start()] if extension else original
    name = _OUTSIDE_FIELD_NAMES.sub("_", stem)[:MAX_FILE_STEM_CHARACTERS] or "_"
    return name + extension[0].lower() if extension else name


def host_of(parts: SplitResult) -> str:
    """Return the `host[:port]` of a URL in lower case, without a default port. Raises `ValueError` for an invalid port."""
    host, port = parts.netloc.lower(), parts.port
    return host.removesuffix(f":{port}") if port is not None and port == _DEFAULT_PORTS.get(parts.scheme) else host


def _path_in_url(url: str, storage_host: str | None) -> str:
    """Return `bucket/file`, still percent-encoded, of a URL into the storage at `storage_host`."""
    try:
        parts = urlsplit(url)
        host = host_of(parts)
    except ValueError as error:
        raise _refused("is a URL that cannot be read") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise _refused(f"is a {parts.scheme[:20]}: address, and only http and https are read")
    if "@" in parts.netloc:
        raise _refused("is a URL that carries a user name or password")
    if storage_host is None or host != storage_host.lower():
        only = f"only {storage_host} is" if storage_host else "none is"
        raise _refused(
            f"points at the host {host[:100] or '(none)'}, and {only} configured as the documents' host", OtherHost
        )
    path = _OBJECT_URL.fullmatch(parts.path)
    if path is None:
        raise _refused("is a URL that is not of the form /storage/v1/object/<bucket>/<file>")
    return path[1]


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise _refused("contains percent-encoding that is not UTF-8") from error


def _refuse_unreadable_characters(text: str) -> None:
    if "\\" in text:
        raise _refused("contains a backslash")
    if any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in text):
        raise _refused("contains control characters")


def _refused(reason: str, failure: type[DocumentUnavailable] = DocumentUnavailable) -> DocumentUnavailable:
    return failure(
        FailureKind.REFUSED_LOCATION,
        f"The row's supabase_path {reason}, so it is refused. Correct it to bucket/file.pdf.",
    )
