"""The components of a Tesseract model, read from its `.traineddata` file without copying it.

The layout is that of `TessdataManager::LoadMemBuffer` in Tesseract 5 (ccutil/tessdatamanager.cpp): a count of entries,
the offset of each (-1 for none), and the entries in the order of their offsets.
"""

import mmap
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel, UnsupportedModel

MAX_ENTRIES = 1000
"""The value of `kMaxNumTessdataEntries` in tessdatamanager.cpp: more means the bytes of another kind of machine."""


class Component(IntEnum):
    """Components that this engine uses, by their place in `TessdataType` (tessdatamanager.h)."""

    LSTM = 17
    PUNCTUATION_DAWG = 18
    WORD_DAWG = 19
    NUMBER_DAWG = 20
    UNICHARSET = 21
    RECODER = 22


@dataclass(frozen=True)
class TrainedData:
    """A model's file, mapped into memory, so that processes share its pages."""

    name: str
    components: dict[Component, memoryview]

    def component(self, component: Component) -> memoryview:
        """One that the engine cannot do without. Raises `UnsupportedModel` if the model lacks it."""
        if component not in self.components:
            raise UnsupportedModel(f"the model {self.name} has no {component.name.lower()}")
        return self.components[component]


def read_traineddata(path: Path) -> TrainedData:
    """Map a model's file and find its components.

    Raises:
        DamagedModel: it cannot be opened, or is not what its first bytes say.
    """
    name = path.stem
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise DamagedModel(f"the file of the model {name} cannot be read") from error
    return TrainedData(name, _components(data, name))


def _components(data: memoryview, name: str) -> dict[Component, memoryview]:
    entries = struct.unpack_from("<i", data)[0] if len(data) >= 4 else 0
    table_end = 4 + 8 * entries
    if not 0 < entries <= MAX_ENTRIES or table_end > len(data):
        raise DamagedModel(f"the file of the model {name} is no Tesseract model")
    offsets: tuple[int, ...] = struct.unpack_from(f"<{entries}q", data, 4)
    starts = [offset for offset in offsets if offset >= 0]
    if starts != sorted(starts) or any(not table_end <= start <= len(data) for start in starts):
        raise DamagedModel(f"the file of the model {name} is cut short or damaged")
    ends = dict(zip(starts, [*starts[1:], len(data)], strict=True))
    return {
        component: data[offsets[component] : ends[offsets[component]]]
        for component in Component
        if component < entries and offsets[component] >= 0
    }
