"""Models for tests: the system's, ours, and files packed from components."""

import struct
from collections.abc import Iterable
from pathlib import Path

from notaflow_pipeline.ocr.engines.model_files import PACKAGE_FOLDER, model_folder
from notaflow_pipeline.ocr.engines.onnx.model.dictionary import Dictionaries
from notaflow_pipeline.ocr.engines.onnx.model.network import Network, read_network
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, TrainedData, read_traineddata

OURS = PACKAGE_FOLDER / "fra-typescript-1.traineddata"
ENTRIES = 24

Parts = dict[Component, bytes]


def model_file(name: str) -> Path:
    """Returns the file of a model, `ours` or one of the system."""
    folder = model_folder(())
    assert folder
    return OURS if name == "ours" else folder / f"{name}.traineddata"


def network_of(path: Path) -> Network:
    return read_network(read_traineddata(path).component(Component.LSTM), path.stem)


def parts_of(path: Path) -> Parts:
    return {component: bytes(data) for component, data in read_traineddata(path).components.items()}


def packed(parts: Parts) -> bytes:
    """Returns a file with these components, in the order of their numbers."""
    offsets = [-1] * ENTRIES
    body = b""
    for component in sorted(parts):
        offsets[component] = 4 + 8 * ENTRIES + len(body)
        body += parts[component]
    return struct.pack(f"<i{ENTRIES}q", ENTRIES, *offsets) + body


def trained_of(parts: Parts) -> TrainedData:
    return TrainedData("test", {component: memoryview(data) for component, data in parts.items()})


def contains(dictionaries: Dictionaries, unichars: Iterable[int]) -> bool:
    """Returns whether these unichars are a word, with or without punctuation around it."""
    state = dictionaries.start
    for unichar in unichars:
        following = dictionaries.step(state, unichar)
        if following is None:
            return False
        state = following
    return dictionaries.is_word_end(state)
