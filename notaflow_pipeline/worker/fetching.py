"""Fetches claimed documents in threads, into one private temporary folder.

The fetching thread passes each result to a callback. A `FetchedFile` is closed when its document
is read; `stop` removes the rest.
"""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from notaflow_pipeline.documents.download import write_failure
from notaflow_pipeline.documents.location import locate
from notaflow_pipeline.documents.storage import DocumentStorage, fetch_to_private_folder
from notaflow_pipeline.job_queue.model import Claim
from notaflow_pipeline.scratch_directory import ScratchDirectory

FETCHES_AT_ONCE = 4
"""Fetching waits for the network and needs hardly any CPU; four threads keep up with OCR when the storage is slow."""

STOP_FETCHING_SECONDS = 2.0
"""How long a stopping worker waits for running fetches."""

PROBE_BYTES = 2**20
"""A file of this size must fit into the temporary folder when it is empty, or the disk counts as full."""


@dataclass(frozen=True)
class FetchedFile:
    """A document's local file; `close` removes it."""

    path: Path
    size_bytes: int
    seconds: float

    def close(self) -> None:
        """Remove the file."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


class Fetchers:
    """Threads that fetch documents. Raises TemporaryFolderUnavailable if no temporary folder can be made."""

    def __init__(
        self,
        storage: DocumentStorage,
        max_bytes: int,
        on_fetched: Callable[[Claim, FetchedFile], None],
        on_failed: Callable[[Claim, BaseException], None],
    ) -> None:
        self._storage = storage
        self._max_bytes = max_bytes
        self._on_fetched = on_fetched
        self._on_failed = on_failed
        self._claims: SimpleQueue[Claim | None] = SimpleQueue()
        try:
            self._folder = ScratchDirectory()
        except OSError as error:
            raise write_failure(error) from error
        # daemon threads: a fetch that hangs must not keep a stopping worker alive
        self._threads = [
            threading.Thread(target=self._fetch_documents, name=f"ocr-fetch-{number}", daemon=True)
            for number in range(FETCHES_AT_ONCE)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def fetch(self, claim: Claim) -> None:
        """Fetch this document as soon as a thread is free."""
        self._claims.put(claim)

    def require_space(self) -> None:
        """Raise TemporaryFolderUnavailable unless a small file can be written."""
        probe = self._folder.path / "probe"
        try:
            probe.write_bytes(bytes(PROBE_BYTES))
        except OSError as error:
            raise write_failure(error) from error
        finally:
            probe.unlink(missing_ok=True)

    def stop(self) -> None:
        """End the threads and remove the folder, with what a running fetch still writes."""
        for _ in self._threads:
            self._claims.put(None)
        give_up_at = time.monotonic() + STOP_FETCHING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        self._folder.remove()

    def _fetch_documents(self) -> None:
        while (claim := self._claims.get()) is not None:
            try:
                result = self._fetch(claim)
            except BaseException as error:  # noqa: BLE001 - the deciding thread handles every error
                self._on_failed(claim, error)
            else:
                self._on_fetched(claim, result)

    def _fetch(self, claim: Claim) -> FetchedFile:
        began = time.monotonic()
        location = locate(claim.supabase_path, claim.document_source, self._storage.host)
        path = fetch_to_private_folder(self._storage, location, self._max_bytes, self._folder.path)
        return FetchedFile(path, path.stat().st_size, time.monotonic() - began)
