"""Tests of the characters of a network's classes, which unicharset and recoder define."""

import struct

import pytest

from notaflow_pipeline.ocr.engines.onnx.model.charset import Charset, read_charset
from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel, UnsupportedModel
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, read_traineddata
from notaflow_pipeline_tests.ocr.onnx.model_files import Parts, model_file, network_of, parts_of, trained_of


def charset_of(name: str) -> Charset:
    network = network_of(model_file(name))
    return read_charset(read_traineddata(model_file(name)), network.classes, network.null_class)


@pytest.mark.parametrize("name", ["fra", "eng", "ours"])
def test_every_class_but_null_has_a_character(name: str) -> None:
    charset = charset_of(name)
    assert all(charset.texts[:-1])
    assert charset.texts[0] == " "
    assert (charset.texts[-1], charset.unichars[-1]) == ("", -1)
    assert len(set(charset.texts)) == len(charset.texts)


def test_digits_are_distinguished_from_other_characters() -> None:
    charset = charset_of("fra")
    digits = [text for text, unichar in zip(charset.texts, charset.unichars, strict=True) if unichar in charset.digits]
    assert sorted(digits) == list("0123456789")


def test_no_class_has_an_empty_text() -> None:
    assert charset_of("fra").class_of("") is None


def test_text_with_unknown_characters_is_not_encoded() -> None:
    charset = charset_of("fra")
    assert charset.encode("né") == tuple(charset.unichars[charset.texts.index(letter)] for letter in "né")
    assert charset.encode("né в") is None


def small(codes: bytes, unicharset: bytes = b"2\nNULL 0\na 3\n") -> Parts:
    return {Component.UNICHARSET: unicharset, Component.RECODER: struct.pack("<i", 2) + codes}


def code(*classes: int) -> bytes:
    return struct.pack(f"<bi{len(classes)}i", 1, len(classes), *classes)


def test_codes_of_several_classes_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedModel, match="several classes"):
        read_charset(trained_of(small(code(0) + code(1, 2))), 4, 3)


@pytest.mark.parametrize(
    "parts",
    [
        small(code(0) + code(4)),
        small(code(0)),
        small(code(0) + code(1), b""),
        small(code(0) + code(1), b"3\nNULL 0\na 3\n"),
        small(code(0) + code(1), b"2\nNULL 0\na xyz\n"),
        small(code(0) + code(1), b"2\nNULL 0\n\xff 3\n"),
        small(code(0) + code(1), b"3\nNULL 0\na 3\nb 3\n"),
    ],
)
def test_damaged_charsets_are_refused_by_name(parts: Parts) -> None:
    with pytest.raises(DamagedModel):
        read_charset(trained_of(parts), 4, 3)


def test_charset_of_our_model_is_that_of_the_system() -> None:
    assert parts_of(model_file("ours"))[Component.UNICHARSET] == parts_of(model_file("fra"))[Component.UNICHARSET]
