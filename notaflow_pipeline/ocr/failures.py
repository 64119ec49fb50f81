"""Exceptions of OCR: an unreadable document, an unavailable engine, a page that does not fit on the disk.

The failure kinds are defined in `notaflow_pipeline.failures`. The code that detects a failure raises it. A sentence
never contains text of the document (which is personal data) or a path of this machine.
"""

from notaflow_pipeline.failures import FailureKind


class DocumentFailure(Exception):
    """Failure of one document. Other documents can still be read.

    `kind` is the kind of failure. `sentence` tells a person what is wrong and what to do about it. Instances can be
    pickled.
    """

    def __init__(self, kind: FailureKind, sentence: str) -> None:
        super().__init__(kind, sentence)
        self.kind = kind
        self.sentence = sentence

    def on_page(self, number: int, pages: int) -> "DocumentFailure":
        """Returns the same failure with the number of the page in its sentence."""
        return DocumentFailure(self.kind, f"Page {number} of {pages}: {self.sentence}")

    def __str__(self) -> str:
        return self.sentence


class EngineUnavailable(Exception):
    """No document can be read with the setup of this machine. The message says what to do about it."""


class NoRoomForPage(EngineUnavailable):
    """The temporary file of a page does not fit on the disk. The file of a smaller page may fit."""


def out_of_memory() -> DocumentFailure:
    """Returns the failure of a page that needs more memory than a worker may use."""
    return DocumentFailure(
        FailureKind.OUT_OF_MEMORY,
        "Reading it needs more memory than a worker may have. Scan it at a lower resolution, or raise the limit.",
    )
