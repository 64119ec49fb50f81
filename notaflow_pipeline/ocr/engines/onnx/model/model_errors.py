"""Errors of models that this engine cannot read. Both say why, and that Tesseract itself can be used instead."""

from notaflow_pipeline.ocr.failures import EngineUnavailable


class DamagedModel(EngineUnavailable):
    """The file of a model is malformed or cut short, and Tesseract could not read it either."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: install the Tesseract model again")


class UnsupportedModel(EngineUnavailable):
    """A model is sound, but of a kind that this engine does not run; tesserocr runs it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: only tesserocr or the tesseract program can read with this model")
