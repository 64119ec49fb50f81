"""The characters of a model: the text of each class of its network, and which of them are digits.

A class is translated in two steps, as in `LSTMRecognizer::DecodeLabel` (lstm/lstmrecognizer.cpp): the recoder says which
unichar has the code, the unicharset which text the unichar is.
"""

from dataclasses import dataclass

from notaflow_pipeline.ocr.engines.onnx.model.byte_reader import ByteReader
from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel, UnsupportedModel
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, TrainedData

SPACE = 0
"""The unichar of the space, `UNICHAR_SPACE` of unicharset.h; its text in the file is `NULL`."""
SPECIAL_UNICHARS = {"Joined", "|Broken|0|1"}
"""Unichars for `UNICHAR_JOINED` and `UNICHAR_BROKEN` (unicharset.h), which no line of text has."""

DIGIT_MASK = 0x8
"""The bit of a digit in the properties of a unichar (unicharset.cpp)."""


@dataclass(frozen=True)
class Charset:
    """Texts and unichars by class, and the unichars of digits. Classes without a unichar have no text and unichar -1."""

    texts: tuple[str, ...]
    unichars: tuple[int, ...]
    digits: frozenset[int]

    def class_of(self, text: str) -> int | None:
        """The class of a text of one unichar, None if the model has none."""
        return self.texts.index(text) if text and text in self.texts else None

    def encode(self, text: str) -> tuple[int, ...] | None:
        """The unichars of a text, character by character; None if the model lacks one of them."""
        classes = [self.class_of(character) for character in text]
        return tuple(self.unichars[number] for number in classes if number is not None) if None not in classes else None


def read_charset(trained: TrainedData, classes: int, null_class: int) -> Charset:
    """Read unicharset and recoder of a model whose network has so many classes.

    Raises:
        DamagedModel: they are malformed or do not fit the network.
        UnsupportedModel: a character has a code of several classes (Chinese, Japanese, Korean, Indic models), or the
            model has no recoder.
    """
    unichars = _read_unicharset(trained)
    codes = _read_recoder(trained)
    if len(codes) < len(unichars):
        raise DamagedModel(f"the recoder of the model {trained.name} does not fit its unicharset")
    texts, numbers = [""] * classes, [-1] * classes
    for unichar, ((text, _), code) in enumerate(zip(unichars, codes, strict=False)):
        if len(code) != 1:
            raise UnsupportedModel(f"the model {trained.name} has characters of several classes")
        if not 0 <= code[0] < classes:
            raise DamagedModel(f"the recoder of the model {trained.name} does not fit its network")
        if code[0] != null_class and text not in SPECIAL_UNICHARS:
            texts[code[0]], numbers[code[0]] = text, unichar
    digits = frozenset(number for number, (_, is_digit) in enumerate(unichars) if is_digit)
    return Charset(tuple(texts), tuple(numbers), digits)


def _read_unicharset(trained: TrainedData) -> list[tuple[str, bool]]:
    """Texts, and which are digits: `UNICHARSET::load_from_file` (unicharset.cpp), a count, then a line each."""
    wrong = f"the unicharset of the model {trained.name} is damaged"
    try:
        count, *lines = str(trained.component(Component.UNICHARSET), "utf-8").split("\n")
        fields = [line.split(" ", 2)[:2] for line in lines[: int(count)]]
        unichars = [(text, bool(int(mask, 16) & DIGIT_MASK)) for text, mask in fields]
    except ValueError as error:
        raise DamagedModel(wrong) from error
    if len(unichars) != int(count) or not unichars or unichars[SPACE][0] != "NULL":
        raise DamagedModel(wrong)
    return [(" ", False), *unichars[1:]]


def _read_recoder(trained: TrainedData) -> list[tuple[int, ...]]:
    """Codes by unichar: `RecodedCharID::DeSerialize` (unicharcompress.h)."""
    reader = ByteReader(trained.component(Component.RECODER), f"the recoder of the model {trained.name}")
    codes = []
    for _ in range(reader.integer()):
        reader.byte()  # whether Unicode's normal form is its own
        codes.append(reader.integers(reader.integer()))
    return codes
