"""The characters of a model: the text of each class of its network, and the kind of that character.

A class is translated in two steps, as in `LSTMRecognizer::DecodeLabel` (lstm/lstmrecognizer.cpp): the recoder says which
unichar has the code, the unicharset which text the unichar is.
"""

from dataclasses import dataclass
from enum import IntFlag

from notaflow_pipeline.ocr.engines.onnx.model.byte_reader import ByteReader
from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel, UnsupportedModel
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, TrainedData

SPACE = 0
"""The unichar of the space, `UNICHAR_SPACE` of unicharset.h; its text in the file is `NULL`."""
SPECIAL_UNICHARS = {"Joined", "|Broken|0|1"}
"""Unichars for `UNICHAR_JOINED` and `UNICHAR_BROKEN` (unicharset.h), which no line of text has."""


class Kind(IntFlag):
    """The kind of character of a unichar: the masks of unicharset.cpp."""

    NONE = 0
    LETTER = 0x1
    LOWER_CASE = 0x2
    UPPER_CASE = 0x4
    DIGIT = 0x8
    PUNCTUATION = 0x10


@dataclass(frozen=True)
class Charset:
    """Texts and unichars by class, and the kinds by unichar. Classes without a unichar have no text and unichar -1."""

    texts: tuple[str, ...]
    unichars: tuple[int, ...]
    kinds: tuple[Kind, ...]

    def class_of(self, text: str) -> int | None:
        """The class of a text of one unichar, None if the model has none."""
        return self.texts.index(text) if text and text in self.texts else None

    def kind_of_class(self, number: int) -> Kind:
        """Returns the kind of character of a class."""
        unichar = self.unichars[number]
        return self.kinds[unichar] if unichar >= 0 else Kind.NONE

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
    for unichar, ((text, _kind), code) in enumerate(zip(unichars, codes, strict=False)):
        if len(code) != 1:
            raise UnsupportedModel(f"the model {trained.name} has characters of several classes")
        if not 0 <= code[0] < classes:
            raise DamagedModel(f"the recoder of the model {trained.name} does not fit its network")
        if code[0] != null_class and text not in SPECIAL_UNICHARS:
            texts[code[0]], numbers[code[0]] = text, unichar
    return Charset(tuple(texts), tuple(numbers), tuple(kind for _text, kind in unichars))


def _read_unicharset(trained: TrainedData) -> list[tuple[str, Kind]]:
    """Texts and kinds: `UNICHARSET::load_from_file` (unicharset.cpp), a count, then a line for each, text and mask first."""
    wrong = f"the unicharset of the model {trained.name} is damaged"
    try:
        count, *lines = str(trained.component(Component.UNICHARSET), "utf-8").split("\n")
        fields = [line.split(" ", 2)[:2] for line in lines[: int(count)]]
        unichars = [(text, Kind(int(mask, 16) & 0x1F)) for text, mask in fields]
    except ValueError as error:
        raise DamagedModel(wrong) from error
    if len(unichars) != int(count) or not unichars or unichars[SPACE][0] != "NULL":
        raise DamagedModel(wrong)
    return [(" ", Kind.NONE), *unichars[1:]]


def _read_recoder(trained: TrainedData) -> list[tuple[int, ...]]:
    """Codes by unichar: `RecodedCharID::DeSerialize` (unicharcompress.h)."""
    reader = ByteReader(trained.component(Component.RECODER), f"the recoder of the model {trained.name}")
    codes = []
    for _ in range(reader.integer()):
        reader.byte()  # whether Unicode's normal form is its own
        codes.append(reader.integers(reader.integer()))
    return codes
