"""Runs `notaflow` and records the seconds of each page; the queue records only the sum per document.

usage: python -m benchmarks.page_times FILE COMMAND [ARGUMENT]…     adds a line of JSON to FILE for each document read
"""

import json
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

from notaflow_pipeline.cli import main
from notaflow_pipeline.ocr.document import DocumentText
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool


def recording_page_times(records: Path) -> AbstractContextManager[object]:
    """Within the block every reader of this process records the pages of its documents, but not those of a failed one."""
    start = DocumentPool.start

    def record(future: Future[DocumentText]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        pages = [
            {"seconds": page.seconds, "passes": page.passes, "failed": page.failure and page.failure.kind}
            for page in future.result().pages
        ]
        with records.open("a", encoding="utf-8") as file:
            file.write(json.dumps(pages) + "\n")

    def start_recorded(
        reader: DocumentPool, path: Path, on_page: Callable[[int, int], None] | None = None
    ) -> Future[DocumentText]:
        future = start(reader, path, on_page)
        future.add_done_callback(record)
        return future

    return patch.object(DocumentPool, "start", start_recorded)


if __name__ == "__main__":
    with recording_page_times(Path(sys.argv.pop(1))):
        main()
