"""In how many ways can a document fail, and what does each mean for whoever reads the row?

Only kinds and sentences belong here; what detects them stands beside the work that can fail.
A sentence never holds text of the document (it is personal data) nor a path of this machine.
"""

from enum import StrEnum


class FailureKind(StrEnum):
    """What is wrong with a document; the value is stored with the attempt."""

    EMPTY_FILE = "empty_file"
    NOT_A_DOCUMENT = "not_a_document"
    UNSUPPORTED = "unsupported"
    ENCRYPTED = "encrypted"
    CORRUPT = "corrupt"
    NO_PAGES = "no_pages"
    TOO_LARGE = "too_large"
    TOO_MANY_PAGES = "too_many_pages"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    ENGINE = "engine"


RETRYABLE_KINDS = frozenset({FailureKind.TIMEOUT, FailureKind.CRASHED, FailureKind.ENGINE})
"""Kinds that depend on the machine's load as well as on the bytes; the others would fail the same way for ever."""


class DocumentFailure(Exception):
    """This document cannot be read; others are not concerned.

    `kind` says what is wrong, `sentence` says it to a person together with what to do, and `retryable` tells
    whether another attempt could help. Travels between processes.
    """

    def __init__(self, kind: FailureKind, sentence: str) -> None:
        super().__init__(kind, sentence)
        self.kind = kind
        self.sentence = sentence

    @property
    def retryable(self) -> bool:
        """Whether another attempt at the same bytes could end differently."""
        return self.kind in RETRYABLE_KINDS

    def on_page(self, number: int, pages: int) -> "DocumentFailure":
        """The same failure, with the page that caused it named in its sentence."""
        return DocumentFailure(self.kind, f"Page {number} of {pages}: {self.sentence}")

    def __str__(self) -> str:
        return self.sentence


class EngineUnavailable(Exception):
    """No document can be read on this machine as it is set up; the message says what to do about it."""


class NoRoomForPage(EngineUnavailable):
    """A page's temporary file does not fit on the disk here; that of another page may."""


def out_of_memory() -> DocumentFailure:
    """What a page amounts to that needs more than a worker may have; it would again."""
    return DocumentFailure(
        FailureKind.OUT_OF_MEMORY,
        "Reading it needs more memory than a worker may have. Scan it at a lower resolution, or raise the limit.",
    )
