"""Writes the bytes that a storage sends to a file, within limits of size and time; part of every storage's `fetch`."""

import time
from collections.abc import Collection, Iterable
from io import FileIO
from pathlib import Path

from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable, TemporaryFolderUnavailable
from notaflow_pipeline.documents.location import BUCKET_OF_SOURCE, Location
from notaflow_pipeline.failures import FailureKind

CHUNK_BYTES = 64 * 1024
MAX_FETCH_SECONDS = 900.0  # read timeouts limit each chunk alone, not a slow body


def receive(chunks: Iterable[bytes], destination: Path, *, max_bytes: int, announced_bytes: int | None) -> int:
    """Write `chunks` to `destination` and return the number of bytes; the file is removed after a failure.

    `announced_bytes` is the size that the storage announced, or None if it announced none.

    Raises `DocumentUnavailable` (too_large) if the announced or the received size exceeds `max_bytes`;
    `StorageUnavailable` if the received size differs from the announced one, if it took too long, or if the file cannot
    be written.
    """
    try:
        return _write(chunks, destination, max_bytes, announced_bytes)
    except BaseException:
        destination.unlink(missing_ok=True)
        raise


def _write(chunks: Iterable[bytes], destination: Path, max_bytes: int, announced_bytes: int | None) -> int:
    if announced_bytes is not None and announced_bytes > max_bytes:
        raise too_large_failure(max_bytes)
    give_up_at = time.monotonic() + MAX_FETCH_SECONDS
    received_bytes = 0
    with _open(destination) as file:
        for chunk in chunks:
            received_bytes += len(chunk)
            if received_bytes > max_bytes:
                raise too_large_failure(max_bytes)
            if time.monotonic() > give_up_at:
                raise StorageUnavailable(
                    f"A document had not arrived after {MAX_FETCH_SECONDS:.0f} s. Check the storage's speed."
                )
            _write_all(file, chunk)
    if announced_bytes not in {None, received_bytes}:
        raise StorageUnavailable(
            f"The storage announced {announced_bytes} bytes and sent {received_bytes}. "
            "It will be tried again; if this continues, check the network and the proxies in between."
        )
    return received_bytes


def _open(destination: Path) -> FileIO:
    try:
        return destination.open("wb", buffering=0)  # unbuffered, so that closing cannot fail
    except OSError as error:
        raise write_failure(error) from error


def _write_all(file: FileIO, chunk: bytes) -> None:
    try:
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise write_failure(error) from error


def write_failure(error: OSError) -> TemporaryFolderUnavailable:
    """Return the failure of a temporary folder to which no file can be written."""
    return TemporaryFolderUnavailable(
        f"A fetched document could not be written to the temporary folder ({error.strerror}). "
        "Free space there, or point TMPDIR at a folder that can be written."
    )


def too_large_failure(max_bytes: int) -> DocumentUnavailable:
    """Return the failure of a document with more than `max_bytes` bytes."""
    return DocumentUnavailable(
        FailureKind.TOO_LARGE,
        f"The document is larger than the limit of {max_bytes / 1_000_000:.1f} MB. "
        "Raise the limit or split the document.",
    )


def not_found_failure(location: Location) -> DocumentUnavailable:
    """Return the failure of a location without a file."""
    return DocumentUnavailable(
        FailureKind.NOT_FOUND,
        f"There is no document at {location} in the storage. It may still be uploading; "
        "otherwise upload it again or correct supabase_path.",
    )


def missing_bucket_failure(bucket: str, description: str) -> StorageUnavailable:
    """Return the failure of a storage that lacks one of the documents' buckets."""
    return StorageUnavailable(
        f"{description} has no bucket {bucket}, or hides it from this key. "
        "Create the bucket, or check that the URL and the key are those of the right project."
    )


def missing_folder_failure(buckets: Collection[str], description: str) -> StorageUnavailable:
    """Return the failure of a storage that has files but none of the folders that stand for buckets."""
    return StorageUnavailable(
        f"{description} is not empty, and has no folder {' or '.join(sorted(buckets))} with documents. "
        "Set NOTAFLOW_DOCUMENTS_URL to the folder that contains it, or create it."
    )


def document_or_bucket_failure(location: Location, description: str) -> DocumentUnavailable | StorageUnavailable:
    """Return the failure of a bucket that the storage does not have.

    If it is a bucket of a document source, the storage or the key is the wrong one, for every document. Another name
    comes from one row, which must not stop the others.
    """
    if location.bucket in BUCKET_OF_SOURCE.values():
        return missing_bucket_failure(location.bucket, description)
    return DocumentUnavailable(
        FailureKind.NOT_FOUND, f"The storage has no bucket for {location}. Correct supabase_path, or create the bucket."
    )
