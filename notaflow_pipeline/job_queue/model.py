"""Defines the types of the queue: sources, outcomes, claims, attempts and rows."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from uuid import UUID

from notaflow_pipeline.failures import FailureKind

ERROR_PREFIX = "OCR processing failed: "
"""How every `ocr_error` begins; other programs recognise OCR's errors by it."""

DEFAULT_MAX_ATTEMPTS = 3
"""The maximum of a row whose `ocr_max_attempts` is NULL."""


class DocumentSource(StrEnum):
    """`extraction_queue.document_source`, as spelled in the table. Drawings (`plan_cadastraux`) are never OCRed."""

    INDEX = "index"
    ACTE = "acte"
    PLAN_CADASTRAUX = "plan_cadastraux"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STUCK = "stuck"  # its lease expired, or another program left it at 6
    RELEASED = "released"  # not the document's fault, and not counted
    SUPERSEDED = "superseded"  # another program changed the row


@dataclass(frozen=True)
class Claim:
    """The right to work on one document until the lease expires. Created by the database."""

    token: int
    document_id: UUID
    document_number: str
    document_source: str
    supabase_path: str | None
    attempt_number: int
    max_attempts: int


@dataclass(frozen=True)
class OcrResult:
    """What a succeeded attempt records. `text` is personal data and is written to `file_content` only."""

    text: str
    pages: int
    mean_confidence: float | None  # 0 to 100
    fetch_seconds: float
    ocr_seconds: float
    source_bytes: int
    engine: str
    pages_blank: int | None = None
    pages_text_layer: int | None = None
    pages_damaged: int | None = None
    pages_failed: int | None = None
    low_confidence_share: float | None = None  # 0 to 1
    passes: int | None = None
    coverage: float | None = None  # 0 to 1, the lowest of a page

    def __repr__(self) -> str:
        """Leave out the text, which must not reach a log through a traceback."""
        return f"OcrResult(pages={self.pages}, characters={len(self.text)})"


def storable(text: str) -> str:
    """Return `text` with NUL and lone surrogates, which PostgreSQL cannot store, replaced by `?`."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True)
class Failure:
    """What a failed attempt records: the kind, and a sentence for the person who reads the row."""

    kind: FailureKind
    sentence: str

    def __post_init__(self) -> None:
        # an error message of a storage or of the system can hold anything
        object.__setattr__(self, "sentence", storable(self.sentence))


@dataclass(frozen=True)
class Attempt:
    """One row of `ocr_attempt`."""

    id: int
    queue_id: UUID
    attempt_number: int
    document_source: str | None
    worker_id: str
    run_id: str | None
    claimed_at: datetime
    lease_expires_at: datetime
    finished_at: datetime | None
    outcome: str | None
    failure_kind: str | None
    error: str | None
    pages: int | None
    characters: int | None
    mean_confidence: float | None
    fetch_seconds: float | None
    ocr_seconds: float | None
    source_bytes: int | None
    engine: str | None
    pages_blank: int | None
    pages_text_layer: int | None
    pages_damaged: int | None
    pages_failed: int | None
    low_confidence_share: float | None
    passes: int | None
    coverage: float | None = None  # 0 to 1, the lowest of a page


@dataclass(frozen=True)
class ExtractionQueueJob:
    """The columns of a row of `extraction_queue` that concern OCR, without the text."""

    id: UUID
    document_source: str | None
    document_number: str
    status_id: int | None
    supabase_path: str | None
    created_at: datetime | None
    ocr_worker_id: str | None
    ocr_started_at: datetime | None
    ocr_completed_at: datetime | None
    ocr_attempts: int | None
    ocr_max_attempts: int | None
    ocr_error: str | None
    ocr_last_error_at: datetime | None
    ocr_claim_id: int | None
    ocr_next_attempt_at: datetime | None
    ocr_priority: int


class Recording(Enum):
    """The result of recording an outcome."""

    RECORDED = "recorded"
    LOCKED = "locked"
    """Another session has locked the row; the claim is still held, and recording can be tried again."""

    RELEASED = "released"
    """The row names another file since it was claimed, or has another text, so the claim was released; without a text, the
    document is ready again."""

    LOST = "lost"
    """The claim is no longer held: its lease expired, or another program changed the row."""
