"""In which ways can a document fail to arrive, and whose fault is it?

A document's own failure is data for its row; a failure of the storage concerns every document and belongs to whoever
operates the pipeline. What can be wrong *inside* a document does not belong here.
"""

from notaflow_pipeline.failures import FailureKind


class DocumentUnavailable(Exception):
    """This one document cannot be had.

    `sentence` is for the person who reads the row: what is wrong and what to do, without local paths, secrets or signed
    tokens.
    """

    def __init__(self, kind: FailureKind, sentence: str) -> None:
        super().__init__(kind, sentence)
        self.kind = kind
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class StorageUnavailable(Exception):
    """The storage cannot be used now, for any document; the message says which storage, and what to do."""


class StorageMisconfigured(ValueError):
    """What the settings say about the storage cannot be meant; the message says what to set."""


class TemporaryFolderUnavailable(StorageUnavailable):
    """No document can be received here, whatever storage it comes from: the disk for temporary files is full or closed."""
