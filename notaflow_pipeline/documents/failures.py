"""The exceptions of fetching: one document is unavailable, or the storage is, for every document.

The failure of a document is recorded on its row; the failure of the storage ends the run. The exceptions of reading a
fetched file are in `ocr/failures.py`.
"""

from notaflow_pipeline.failures import FailureKind


class DocumentUnavailable(Exception):
    """This document cannot be fetched; others can.

    `sentence` says what is wrong and what to do, for the person who reads the row, without local paths, secrets or signed
    tokens.
    """

    def __init__(self, kind: FailureKind, sentence: str) -> None:
        super().__init__(kind, sentence)
        self.kind = kind
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class OtherHost(DocumentUnavailable):
    """The row's URL points at another host than the storage's; if all rows' URLs do, the setting of the storage is wrong."""


class StorageUnavailable(Exception):
    """The storage cannot be used at present, for any document; the message says which storage and what to do."""


class StorageMisconfigured(ValueError):
    """The settings of the storage are invalid; the message says what to set."""


class TemporaryFolderUnavailable(StorageUnavailable):
    """No file can be written to the temporary folder, because the disk is full or read-only."""
