"""Reads and stores documents in a local or mounted folder, with one subfolder for each bucket.

Used by `make dev`, and by installations that mirror their buckets to disk.
"""

import errno
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from notaflow_pipeline.documents.download import CHUNK_BYTES, missing_folder_failure, not_found_failure, receive
from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable
from notaflow_pipeline.documents.location import BUCKET_OF_SOURCE, Location
from notaflow_pipeline.failures import FailureKind


@dataclass(frozen=True)
class LocalFolder:
    """The storage in the folder `root`."""

    root: Path
    host: str | None = None

    @property
    def description(self) -> str:
        """The configured folder, for messages."""
        return f"folder {self.root}"

    def check(self, buckets: Collection[str] = ()) -> None:
        """Raise `StorageUnavailable` unless the folder can be listed and is empty or has the folder of one of `buckets`."""
        is_empty = self._is_empty()
        if buckets and not is_empty and not any((self.root / bucket).is_dir() for bucket in buckets):
            raise missing_folder_failure(buckets, self.description)

    def fetch(self, location: Location, destination: Path, max_bytes: int) -> int:
        """Copy the document to `destination`; refuses links that lead out of the folder and anything but a regular file."""
        self.check()
        path = self._resolved(location)
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
                raise not_found_failure(location)
            file = path.open("rb")
        except OSError as error:
            raise self._failure(error, location) from error
        with file:
            return receive(self._chunks(file), destination, max_bytes=max_bytes, announced_bytes=status.st_size)

    def store(self, location: Location, source: Path) -> None:
        """Copy `source` into the folder and replace the file atomically."""
        with source.open("rb") as file:
            path = self._resolved(location)
            partial = path.with_name(f".{uuid4().hex}.part")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with partial.open("xb") as copy:
                    shutil.copyfileobj(file, copy, CHUNK_BYTES)
                partial.replace(path)
            except OSError as error:
                raise self._failure(error, location) from error
            finally:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)

    def _resolved(self, location: Location) -> Path:
        """Return the location's path with all links followed; it must be inside the folder."""
        root = self.root.resolve()
        try:
            path = (root / location.bucket / location.name).resolve()
        except (OSError, RuntimeError) as error:  # a name that is too long, or a loop of links
            raise _refused(location) from error
        if not path.is_relative_to(root):
            raise _refused(location)
        return path

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        except OSError as error:
            raise self._unusable(error) from error

    def _failure(self, error: OSError, location: Location) -> DocumentUnavailable | StorageUnavailable:
        match error.errno:
            case errno.ENOENT | errno.ENOTDIR:
                self.check()  # raises if the folder itself has disappeared
                return self._missing(error, location)
            case errno.ENAMETOOLONG | errno.ELOOP | errno.EISDIR:
                return _refused(location)
            case _:
                return self._unusable(error)

    def _missing(self, error: OSError, location: Location) -> DocumentUnavailable | StorageUnavailable:
        if self._is_empty():
            return self._unusable(error, "it is empty")
        if location.bucket in BUCKET_OF_SOURCE.values() and not (self.root / location.bucket).is_dir():
            return missing_folder_failure([location.bucket], self.description)
        return not_found_failure(location)

    def _is_empty(self) -> bool:
        """Whether the folder has no entry, for example because a share is not mounted.

        Raises:
            StorageUnavailable: the folder cannot be listed.
        """
        try:
            return next(self.root.iterdir(), None) is None
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError, reason: str | None = None) -> StorageUnavailable:
        return StorageUnavailable(
            f"The documents in {self.description} cannot be used ({reason or error.strerror}). "
            "Check that the folder exists, is mounted, and is readable and writable for this user."
        )


def _refused(location: Location) -> DocumentUnavailable:
    return DocumentUnavailable(
        FailureKind.REFUSED_LOCATION,
        f"The path {location} leads out of the documents folder or cannot be a path, so it is refused. "
        "Correct supabase_path.",
    )
