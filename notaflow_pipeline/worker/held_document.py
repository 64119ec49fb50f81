"""A claimed document and its state until its outcome is recorded."""

from concurrent.futures import Future
from dataclasses import dataclass

from notaflow_pipeline.job_queue.model import Claim, OcrResult
from notaflow_pipeline.ocr.document import DocumentText
from notaflow_pipeline.worker.fetching import FetchedFile


@dataclass
class HeldDocument:
    """A document that this worker has claimed and not finished."""

    claim: Claim
    fetched: FetchedFile | None = None
    pages_read: int = 0
    recognition: Future[DocumentText] | None = None

    @property
    def fetch_seconds(self) -> float:
        """How long fetching took; 0 before the file is fetched."""
        return self.fetched.seconds if self.fetched else 0.0

    @property
    def source_bytes(self) -> int:
        """Size of the file; 0 before it is fetched."""
        return self.fetched.size_bytes if self.fetched else 0


def ocr_result_of(document: HeldDocument, text: DocumentText, engine_name: str) -> OcrResult:
    """Return what a succeeded attempt records of a document."""
    return OcrResult(
        text=text.text,
        pages=len(text.pages),
        mean_confidence=text.mean_confidence,
        fetch_seconds=document.fetch_seconds,
        ocr_seconds=text.ocr_seconds,
        source_bytes=document.source_bytes,
        engine=engine_name,
        pages_blank=text.pages_blank,
        pages_text_layer=text.pages_text_layer,
        pages_damaged=text.pages_damaged,
        pages_failed=text.pages_failed,
        low_confidence_share=text.low_confidence_share,
        passes=text.passes,
        coverage=text.coverage,
    )
