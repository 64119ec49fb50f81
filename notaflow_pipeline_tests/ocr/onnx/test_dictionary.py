"""Tests of the dictionaries of models: words, with punctuation and numbers as Tesseract joins them."""

import subprocess
from pathlib import Path

import pytest

from notaflow_pipeline.ocr.engines.onnx.model.charset import Charset, read_charset
from notaflow_pipeline.ocr.engines.onnx.model.dictionary import Dawg, Dictionaries, read_dictionaries
from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, read_traineddata
from notaflow_pipeline_tests.ocr.onnx.model_files import contains, model_file, network_of, parts_of, trained_of

FRENCH = ["notaire", "maison", "Québec", "d'un", "«notaire»", "Québec,", "(maison)", "12,5", "1985", "(1985)"]
NO_WORDS = ["xqzw", "notair€", "maiso", "notaire)notaire", "12,5notaire"]


def read(name: str) -> tuple[Charset, Dictionaries]:
    path = model_file(name)
    network = network_of(path)
    trained = read_traineddata(path)
    charset = read_charset(trained, network.classes, network.null_class)
    return charset, read_dictionaries(trained, charset)


@pytest.fixture(scope="module", params=["fra", "ours"])
def french(request: pytest.FixtureRequest) -> tuple[Charset, Dictionaries]:
    return read(request.param)


@pytest.mark.parametrize("word", FRENCH)
def test_french_words_and_numbers_are_known(word: str, french: tuple[Charset, Dictionaries]) -> None:
    charset, dictionaries = french
    unichars = charset.encode(word)
    assert unichars
    assert contains(dictionaries, unichars)


@pytest.mark.parametrize("word", NO_WORDS)
def test_other_strings_are_not_words(word: str, french: tuple[Charset, Dictionaries]) -> None:
    charset, dictionaries = french
    assert not contains(dictionaries, charset.encode(word) or ())


def test_punctuation_does_not_follow_part_of_a_word(french: tuple[Charset, Dictionaries]) -> None:
    charset, dictionaries = french
    state = dictionaries.start
    for unichar in charset.encode("notai") or ():
        following = dictionaries.step(state, unichar)
        assert following is not None
        state = following
    assert dictionaries.step(state, (charset.encode(",") or (0,))[0]) is None


def test_english_words_are_known_to_the_english_model() -> None:
    charset, dictionaries = read("eng")
    assert all(contains(dictionaries, charset.encode(word) or ()) for word in ("purchaser", "the", "don't", "(house),"))


@pytest.mark.parametrize("name", ["fra", "eng"])
def test_dawg_holds_the_words_that_tesseract_lists(name: str, tmp_path: Path) -> None:
    charset, dictionaries = read(name)
    assert dictionaries.words
    listed = words_by_tesseract(name, tmp_path)
    assert len(listed) > 50_000
    for word in listed[:: len(listed) // 2000]:
        unichars = charset.encode(word)
        assert unichars is not None, "a word of a unichar of several characters"
        assert ends_in(dictionaries.words, unichars)
        assert not ends_in(dictionaries.words, (*unichars, unichars[0], unichars[0], unichars[0]))


def words_by_tesseract(name: str, folder: Path) -> list[str]:
    parts = parts_of(model_file(name))
    dawg, unicharset, words = folder / "dawg", folder / "unicharset", folder / "words"
    dawg.write_bytes(parts[Component.WORD_DAWG])
    unicharset.write_bytes(parts[Component.UNICHARSET])
    subprocess.run(["dawg2wordlist", unicharset, dawg, words], check=True, capture_output=True)
    return words.read_text(encoding="utf-8").splitlines()


def ends_in(dawg: Dawg, unichars: tuple[int, ...]) -> bool:
    state: int | None = Dawg.start
    for unichar in unichars:
        if state is None:
            return False
        state = dawg.step(state, unichar)
    return state is not None and dawg.is_word_end(state)


def test_model_without_dictionaries_knows_no_word() -> None:
    charset = Charset(("a",), (1,), frozenset())
    dictionaries = read_dictionaries(trained_of({}), charset)
    assert dictionaries.step(dictionaries.start, 1) is None
    assert not contains(dictionaries, [1])


def test_dawg_that_points_outside_ends_there() -> None:
    data = b"\x2a\0" + (2).to_bytes(4, "little") + (1).to_bytes(4, "little") + (1 | 99 << 5).to_bytes(8, "little")
    dawg = Dawg(memoryview(data), "the test")
    state = dawg.step(Dawg.start, 1)
    assert state is not None
    assert dawg.step(state, 1) is None


def test_dawg_with_fewer_edges_than_it_says_is_damaged() -> None:
    data = parts_of(model_file("ours"))[Component.WORD_DAWG][:-8]
    with pytest.raises(DamagedModel, match="the test ends too early"):
        Dawg(memoryview(data), "the test")
