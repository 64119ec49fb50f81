"""How a file on this machine becomes a document that waits for OCR: into the storage, then a row.

What does not belong here: the way in which NotaFlow's own extraction stage does it.
"""

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

DOCUMENT_ENDINGS = {".pdf", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".jp2"}
"""What is taken from a folder; a file that is named itself is taken whatever it is."""

# milliseconds that never repeat within this process, so that two files of one name keep apart
_stamps = itertools.count(time.time_ns() // 1_000_000)


class UnusableFile(Exception):
    """This file cannot be enqueued, others are not concerned; the message says which one and what to do."""


@dataclass(frozen=True)
class Enqueued:
    """A document that now waits for OCR."""

    id: UUID
    supabase_path: str


def find_document_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files, and of each folder the documents that lie in it, in order of name.

    Raises:
        OSError: a path does not exist.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.iterdir() if one.suffix.lower() in DOCUMENT_ENDINGS and one.is_file())
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(f"{path} does not exist")


def printable_path(path: Path) -> str:
    """A path for people and for JSON, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def ingest_file(connection: Connection, storage: DocumentStorage, file: Path, source: str) -> Enqueued:
    """Store a file under a name of the field's form, and add its row; the document's number is the file's name.

    The row is tried first, and taken back: what the database refuses leaves no file behind in the storage.

    Args:
        connection: outside any transaction.
        storage: where documents lie.
        file: the document.
        source: its document source, which decides on the bucket.

    Raises:
        UnusableFile: its name is no text, or it cannot be read.
        StorageUnavailable, DocumentUnavailable, OSError, psycopg.Error: nothing was added for this file.
    """
    _refuse_unusable(file)
    location = Location(BUCKET_OF_SOURCE[source], safe_file_name(f"{file.stem}-{next(_stamps)}{file.suffix}"))
    document = NewDocument(source, file.stem, f"{location.bucket}/{location.name}")
    with connection.transaction(force_rollback=True):
        enqueue_document(connection, document)
    storage.store(location, file)
    return Enqueued(enqueue_document(connection, document), document.supabase_path)


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
