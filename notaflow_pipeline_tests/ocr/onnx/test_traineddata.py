"""Tests of damaged model files: they raise errors that name the damage, and no other exceptions."""

import random
import struct
from pathlib import Path

import pytest

from notaflow_pipeline.ocr.engines.onnx.model.conversion import Arithmetic
from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel, UnsupportedModel
from notaflow_pipeline.ocr.engines.onnx.model.session import load_file
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, read_traineddata
from notaflow_pipeline_tests.ocr.onnx.lines import random_line
from notaflow_pipeline_tests.ocr.onnx.model_files import OURS, contains, packed, parts_of

DAMAGES = 300


def test_components_are_found_at_their_offsets(tmp_path: Path) -> None:
    parts = parts_of(OURS)
    copy = tmp_path / "copy.traineddata"
    copy.write_bytes(packed(parts))
    assert set(parts) == set(Component)
    assert parts_of(copy) == parts


@pytest.mark.parametrize("data", [b"", b"\1", b"not a model at all", struct.pack("<i", 24), struct.pack("<iq", 1, 99)])
def test_other_files_are_not_models(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.traineddata"
    path.write_bytes(data)
    with pytest.raises(DamagedModel, match=r"the model other .*install the Tesseract model again"):
        read_traineddata(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedModel, match="the model absent cannot be read"):
        read_traineddata(tmp_path / "absent.traineddata")


def test_model_without_a_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "old.traineddata"
    path.write_bytes(packed({Component.UNICHARSET: b"1\nNULL 0\n"}))
    with pytest.raises(UnsupportedModel, match="the model old has no lstm"):
        load_file(path, Arithmetic.FLOAT)


@pytest.mark.parametrize("kept", [0.0001, 0.01, 0.1, 0.255, 0.99, 0.999])
def test_truncated_model_is_damaged(kept: float, tmp_path: Path) -> None:
    data = OURS.read_bytes()
    path = tmp_path / "short.traineddata"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DamagedModel):
        load_file(path, Arithmetic.FLOAT)


@pytest.mark.parametrize("seed", range(10))
def test_models_with_random_damage_load_or_are_refused(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    parts = parts_of(OURS)
    path = tmp_path / "damaged.traineddata"
    for _ in range(DAMAGES // 10):
        path.write_bytes(damaged(parts, rng))
        try:
            model = load_file(path, Arithmetic.INTEGER)
        except (DamagedModel, UnsupportedModel):
            continue
        assert model.probabilities(random_line(seed, 30)).shape == (10, len(model.charset.texts))
        for word in ("notaire", "12,50", "(Laval)"):
            contains(model.dictionaries, model.charset.encode(word) or ())


def damaged(parts: dict[Component, bytes], rng: random.Random) -> bytes:
    """Returns a file with a few bytes or integers of one component replaced, mostly near its start, or some bytes
    removed.
    """
    component = rng.choice(list(parts))
    data = bytearray(parts[component])
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(len(data), rng.choice([64, 600, len(data)])))
        match rng.randrange(3):
            case 0:
                data[place] = rng.randrange(256)
            case 1:
                data[place : place + 4] = struct.pack(
                    "<i", rng.choice([-1, 0, 1, 2**31 - 1, -(2**31), rng.randrange(999)])
                )
            case _:
                del data[place : place + rng.choice([1, 4, 1000])]
    return packed({**parts, component: bytes(data)})
