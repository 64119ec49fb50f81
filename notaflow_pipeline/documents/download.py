"""How do bytes become a file here: counted, within limits, and with nothing left behind when it fails?

The part of fetching that is the same for every storage. Where the bytes come from does not belong here.
"""

import time
from collections.abc import Collection, Iterable
from io import FileIO
from pathlib import Path

from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable, TemporaryFolderUnavailable
from notaflow_pipeline.documents.location import BUCKET_OF_SOURCE, Location
from notaflow_pipeline.failures import FailureKind

CHUNK_BYTES = 64 * 1024
MAX_FETCH_SECONDS = 900.0  # read time-outs bound each chunk only; a body that drips must end too


def receive(chunks: Iterable[bytes], destination: Path, *, max_bytes: int, announced_bytes: int | None) -> int:
    """Write `chunks` to `destination` and return how many bytes they were; after any failure the file is gone.

    `announced_bytes` is what the storage said beforehand, or None where it said nothing.

    Raises `DocumentUnavailable` (too_large) before the first byte if the announced size is over `max_bytes`, else as
    soon as the count is; `StorageUnavailable` if fewer or more bytes came than announced, if it took too long, or if
    the file cannot be written.
    """
    try:
        return _write(chunks, destination, max_bytes, announced_bytes)
    except BaseException:
        destination.unlink(missing_ok=True)
        raise


def _write(chunks: Iterable[bytes], destination: Path, max_bytes: int, announced_bytes: int | None) -> int:
    if announced_bytes is not None and announced_bytes > max_bytes:
        raise too_large(max_bytes)
    give_up_at = time.monotonic() + MAX_FETCH_SECONDS
    received_bytes = 0
    with _opened(destination) as file:
        for chunk in chunks:
            received_bytes += len(chunk)
            if received_bytes > max_bytes:
                raise too_large(max_bytes)
            if time.monotonic() > give_up_at:
                raise StorageUnavailable(
                    f"A document had not arrived after {MAX_FETCH_SECONDS:.0f} s. Look at the storage's speed."
                )
            _write_all(file, chunk)
    if announced_bytes not in {None, received_bytes}:
        raise StorageUnavailable(
            f"The storage announced {announced_bytes} bytes and sent {received_bytes}. "
            "It will be tried again; if it lasts, look at the network and the proxies in between."
        )
    return received_bytes


def _opened(destination: Path) -> FileIO:
    try:
        return destination.open("wb", buffering=0)  # so that closing writes nothing that could fail
    except OSError as error:
        raise cannot_write(error) from error


def _write_all(file: FileIO, chunk: bytes) -> None:
    try:
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise cannot_write(error) from error


def cannot_write(error: OSError) -> TemporaryFolderUnavailable:
    """Return the failure of a temporary folder that takes no file."""
    return TemporaryFolderUnavailable(
        f"A fetched document could not be written to the temporary folder ({error.strerror}). "
        "Free space there, or point TMPDIR at a folder that can be written."
    )


def too_large(max_bytes: int) -> DocumentUnavailable:
    """Return the failure of a document with more than `max_bytes` bytes."""
    return DocumentUnavailable(
        FailureKind.TOO_LARGE,
        f"The document is larger than the limit of {max_bytes / 1_000_000:.1f} MB. "
        "Raise the limit or split the document.",
    )


def not_found(location: Location) -> DocumentUnavailable:
    """Return the failure of a location at which nothing lies."""
    return DocumentUnavailable(
        FailureKind.NOT_FOUND,
        f"No document lies at {location} in the storage. It may still be uploading; "
        "if not, upload it again or correct supabase_path.",
    )


def no_bucket(bucket: str, description: str) -> StorageUnavailable:
    """Return the failure of a storage that lacks one of the documents' buckets."""
    return StorageUnavailable(
        f"{description} has no bucket {bucket}, or hides it from this key. "
        "Create the bucket, or check that the URL and the key are those of the right project."
    )


def no_folder(buckets: Collection[str], description: str) -> StorageUnavailable:
    """Return the failure of a storage that has files, but none of the folders that are the documents' buckets."""
    return StorageUnavailable(
        f"{description} is not empty, and has no folder {' or '.join(sorted(buckets))} with documents. "
        "Set NOTAFLOW_DOCUMENTS_URL to the folder in which that folder lies, or create it."
    )


def bucket_missing(location: Location, description: str) -> DocumentUnavailable | StorageUnavailable:
    """Return the failure of a bucket that the storage does not have.

    One of the field's own buckets missing means the wrong storage or key, and concerns every document. Any other name
    comes from a row alone, and one such row must not stop the rest.
    """
    if location.bucket in BUCKET_OF_SOURCE.values():
        return no_bucket(location.bucket, description)
    return DocumentUnavailable(
        FailureKind.NOT_FOUND, f"The storage has no bucket for {location}. Correct supabase_path, or create the bucket."
    )
