"""The exceptions of OCR: a document that cannot be read, an engine that is not available, a page without disk space.

The kinds are in `notaflow_pipeline.failures`; the code that detects a failure raises it. A sentence never holds text of the
document (it is personal data) nor a path of this machine.
"""

from notaflow_pipeline.failures import FailureKind


class DocumentFailure(Exception):
    """This document cannot be read; other documents can.

    `kind` says what is wrong, `sentence` says it to a person and what to do about it. It can be pickled.
    """

    def __init__(self, kind: FailureKind, sentence: str) -> None:
        super().__init__(kind, sentence)
        self.kind = kind
        self.sentence = sentence

    @property
    def retryable(self) -> bool:
        """Whether another attempt at the same bytes could end differently."""
        return self.kind.retryable

    def on_page(self, number: int, pages: int) -> "DocumentFailure":
        """The same failure, with the page that caused it named in its sentence."""
        return DocumentFailure(self.kind, f"Page {number} of {pages}: {self.sentence}")

    def __str__(self) -> str:
        return self.sentence


class EngineUnavailable(Exception):
    """No document can be read with this machine's setup; the message says what to do about it."""


class NoRoomForPage(EngineUnavailable):
    """A page's temporary file does not fit on this disk; a smaller one may."""


def out_of_memory() -> DocumentFailure:
    """Return the failure of a page that needs more memory than a worker may have."""
    return DocumentFailure(
        FailureKind.OUT_OF_MEMORY,
        "Reading it needs more memory than a worker may have. Scan it at a lower resolution, or raise the limit.",
    )
