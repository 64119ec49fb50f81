"""Every kind of failure that an attempt can record, with whose fault it is and whether another attempt can help.

`ocr_attempt.failure_kind` holds the value. The code that detects a failure writes the sentence for the person who reads the
row; `reporting/report/translations.py` has a name in French and English for each kind.
"""

from enum import Enum, StrEnum, auto
from typing import Self


class Fault(Enum):
    """What has to change before a document can be read."""

    DOCUMENT = auto()
    """The file, or the row that names it."""

    STORAGE = auto()
    """The storage, or what it holds at the location."""

    INFRASTRUCTURE = auto()
    """The database or the disk for temporary files."""

    WORKER = auto()
    """The process that read the document, its engine or the machine's load."""


class FailureKind(StrEnum):
    """Why an attempt failed; a kind that is not retryable exhausts its document at once."""

    fault: Fault
    retryable: bool

    EMPTY_FILE = "empty_file", Fault.DOCUMENT, False
    NOT_A_DOCUMENT = "not_a_document", Fault.DOCUMENT, False
    UNSUPPORTED = "unsupported", Fault.DOCUMENT, False
    ENCRYPTED = "encrypted", Fault.DOCUMENT, False
    CORRUPT = "corrupt", Fault.DOCUMENT, False
    NO_PAGES = "no_pages", Fault.DOCUMENT, False
    TOO_LARGE = "too_large", Fault.DOCUMENT, False  # the file, a page, or the text
    TOO_MANY_PAGES = "too_many_pages", Fault.DOCUMENT, False
    OUT_OF_MEMORY = "out_of_memory", Fault.DOCUMENT, False  # it needs more than a worker may have, every time
    REFUSED_LOCATION = "refused_location", Fault.DOCUMENT, False
    NOT_FOUND = "not_found", Fault.STORAGE, True  # it may still be uploading
    STORAGE = "storage", Fault.STORAGE, True
    NO_SPACE = "no_space", Fault.INFRASTRUCTURE, True
    REFUSED_BY_DATABASE = "refused_by_database", Fault.INFRASTRUCTURE, True
    TIMEOUT = "timeout", Fault.WORKER, True  # depends on the machine's load as well as on the bytes, as the next two
    CRASHED = "crashed", Fault.WORKER, True
    ENGINE = "engine", Fault.WORKER, True
    LEASE_EXPIRED = "lease_expired", Fault.WORKER, True
    CANCELLED = "cancelled", Fault.DOCUMENT, False  # by a person; the attempt is released
    NO_LEASE = "no_lease", Fault.WORKER, True  # another program claimed it and did not finish

    def __new__(cls, value: str, fault: Fault, retryable: bool) -> Self:
        """Make the string member `value` with these attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.fault = fault
        member.retryable = retryable
        return member


PERMANENT_KINDS = tuple(kind for kind in FailureKind if not kind.retryable)
"""Kinds that another attempt on the same file cannot help; requeued only when a person names them."""


def parse_kind(name: str) -> FailureKind:
    """Return the kind with this value.

    Raises:
        ValueError: there is none; the message lists the kinds.
    """
    for kind in FailureKind:
        if kind == name:
            return kind
    raise ValueError(f"no kind of failure is called {name!r}; the kinds are {', '.join(FailureKind)}")
