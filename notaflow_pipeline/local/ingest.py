"""Stores a local file and adds its row to the queue, for `notaflow enqueue`."""

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from psycopg import Connection

from notaflow_pipeline.documents.location import BUCKET_OF_SOURCE, Location, safe_file_name
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document

DOCUMENT_EXTENSIONS = {".pdf", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".jp2"}
"""Extensions of the files that are enqueued from a folder; a file that is named itself is always enqueued."""

# milliseconds that never repeat in this process, so that two files with one name get different names
_timestamps = itertools.count(time.time_ns() // 1_000_000)


class UnusableFile(Exception):
    """This file cannot be enqueued; the message names the file and says what to do."""


@dataclass(frozen=True)
class EnqueuedDocument:
    """A document that was added to the queue."""

    id: UUID
    supabase_path: str


def find_document_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files, and for each folder the documents in it, ordered by name.

    Raises:
        OSError: a path does not exist.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(
                one for one in path.iterdir() if one.suffix.lower() in DOCUMENT_EXTENSIONS and one.is_file()
            )
        elif path.is_file():
            yield path
        else:
            problem = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise FileNotFoundError(f"{path} {problem}")


def printable_path(path: Path) -> str:
    """Return a path as text, with bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def ingest_file(connection: Connection, storage: DocumentStorage, file: Path, source: str) -> EnqueuedDocument:
    """Store a file under a safe, unique name, and add its row; the document's number is the file's name.

    The row is inserted and rolled back first, so that no file is stored for a row that the database refuses.

    Args:
        connection: outside any transaction.
        storage: of the documents.
        file: the document.
        source: its document source, which determines the bucket.

    Raises:
        UnusableFile: its name is not UTF-8, or it cannot be read.
        StorageUnavailable, DocumentUnavailable, OSError, psycopg.Error: nothing was added for this file.
    """
    _refuse_unusable(file)
    location = Location(BUCKET_OF_SOURCE[source], safe_file_name(f"{file.stem}-{next(_timestamps)}{file.suffix}"))
    document = NewDocument(source, file.stem, f"{location.bucket}/{location.name}")
    with connection.transaction(force_rollback=True):
        enqueue_document(connection, document)
    storage.store(location, file)
    return EnqueuedDocument(enqueue_document(connection, document), document.supabase_path)


def _refuse_unusable(file: Path) -> None:
    if printable_path(file) != str(file):
        raise UnusableFile(f"{printable_path(file)}: this name is not in UTF-8. Rename it, and enqueue it again.")
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise UnusableFile(
            f"{printable_path(file)} cannot be read: {error.strerror}. Enqueue it again once it can."
        ) from error
