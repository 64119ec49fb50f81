"""The words of the queue: what a row, a claim and an attempt are. No SQL and no behaviour."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from uuid import UUID

from notaflow_pipeline.failures import FailureKind

ERROR_PREFIX = "OCR processing failed: "
"""How `ocr_error` begins, as the document writes it."""

DEFAULT_MAX_ATTEMPTS = 3
"""What a row's missing `ocr_max_attempts` means."""


class ExtractionStatus(IntEnum):
    """`extraction_status.id`, under its code names."""

    EN_ATTENTE = 1
    EN_TRAITEMENT = 2
    COMPLETE = 3  # extraction done, ready for OCR
    ERREUR = 4
    EXTRACTION_COMPLETE = 5  # OCR done
    OCR_PROCESSING = 6


class DocumentSource(StrEnum):
    """`extraction_queue.document_source`, in its real spelling. Drawings (`plan_cadastraux`) are never OCRed."""

    INDEX = "index"
    ACTE = "acte"
    PLAN_CADASTRAUX = "plan_cadastraux"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STUCK = "stuck"  # its lease ran out
    RELEASED = "released"  # given back: not the document's fault, and not counted
    SUPERSEDED = "superseded"  # the row was taken from under it


@dataclass(frozen=True)
class Claim:
    """The right to work on one document until the lease runs out. Made by the database alone."""

    token: int
    document_id: UUID
    document_number: str
    document_source: str
    supabase_path: str | None
    attempt_number: int
    max_attempts: int


@dataclass(frozen=True)
class OcrResult:
    """What a succeeded attempt records. `text` is personal data: it goes to `file_content` and nowhere else."""

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
    coverage: float | None = None  # 0 to 1, of the page with the lowest

    def __repr__(self) -> str:
        """Without the text, which must not reach a log through a traceback."""
        return f"OcrResult(pages={self.pages}, characters={len(self.text)})"


def storable(text: str) -> str:
    """Return `text` without what PostgreSQL stores in no text: NUL and lone surrogates, which become `?`."""
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
    coverage: float | None = None  # 0 to 1, of the page with the lowest


@dataclass(frozen=True)
class ExtractionQueueJob:
    """One row of `extraction_queue`, as far as OCR is concerned; without its text."""

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
    """What became of an outcome that was to be recorded."""

    RECORDED = "recorded"
    LOCKED = "locked"
    """Another session has locked the row; the claim is still held, and recording it can be tried again."""

    RELEASED = "released"
    """The row names another file since it was claimed, so the claim was released; the document is ready again."""

    LOST = "lost"
    """The claim is no longer held: its lease expired, or another program changed the row."""
