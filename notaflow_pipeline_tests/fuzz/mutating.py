"""Damages documents to reach rare cases in parsers: changes bits, numbers, pieces, and keywords of PDF."""

import random
import re
from collections.abc import Callable, Sequence

MAX_SAMPLE_BYTES = 400_000
"""Maximum size of a sample; a larger one takes time and reaches no other case."""

EXTREME_NUMBERS = [
    b"0",
    b"-1",
    b"1e9",
    b"65535",
    b"4294967295",
    b"2147483648",
    b"99999999999999999999",
    b"0.0000001",
    b"-0",
]
"""Numbers at which parsers often fail."""

WORDS = [
    b"/Kids", b"/Count", b"/Parent", b"/Length", b"/Filter", b"/FlateDecode", b"/DCTDecode", b"/JBIG2Decode",
    b"/CCITTFaxDecode", b"/LZWDecode", b"/ASCIIHexDecode", b"/Width", b"/Height", b"/BitsPerComponent", b"/ColorSpace",
    b"/Indexed", b"/ICCBased", b"/SMask", b"/MediaBox", b"/Rotate", b"/UserUnit", b"/Contents", b"/Resources",
    b"/XObject", b"/Predictor 15", b"/Columns", b"/Encrypt", b"/ObjStm", b"/XRef", b"/Prev", b"endobj", b"endstream",
]  # fmt: skip


def mutate(samples: Sequence[bytes], rng: random.Random) -> bytes:
    """Returns one of the samples, damaged one to six times."""
    content = bytearray(rng.choice(samples)[:MAX_SAMPLE_BYTES])
    for _ in range(rng.randint(1, 6)):
        if content:
            rng.choice(DAMAGES)(content, rng)
    if rng.random() < 0.1:
        _splice(content, rng.choice(samples), rng)
    return bytes(content)


def _flip_bits(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 4, 32])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _set_extreme(content: bytearray, rng: random.Random) -> None:
    """Replaces a binary number of 1, 2 or 4 bytes with the smallest, the largest, or nearly one of them."""
    size = rng.choice([1, 2, 4])
    at = rng.randrange(len(content))
    content[at : at + size] = rng.choice([0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1]).to_bytes(
        size, rng.choice(["big", "little"])
    )


def _set_number(content: bytearray, rng: random.Random) -> None:
    """Replaces a number in digits, the form of numbers in the structure of a PDF."""
    found = list(re.finditer(rb"(?<=[\s/\[])\d{1,9}(?=[\s/\]>])", bytes(content[:50_000])))
    if found:
        one = rng.choice(found)
        content[one.start() : one.end()] = rng.choice(EXTREME_NUMBERS)


def _swap_word(content: bytearray, rng: random.Random) -> None:
    found = list(re.finditer(rb"/[A-Za-z0-9]{2,}", bytes(content)))
    if found:
        one = rng.choice(found)
        content[one.start() : one.end()] = rng.choice(WORDS)


def _point_elsewhere(content: bytearray, rng: random.Random) -> None:
    """Replaces a reference with one to another object, or to the object itself."""
    found = list(re.finditer(rb"\d+ 0 R", bytes(content)))
    if found:
        one = rng.choice(found)
        content[one.start() : one.end()] = b"%d 0 R" % rng.randint(0, 12)


def _cut_out(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    del content[at : at + rng.choice([1, 4, 64, 4096])]


def _cut_off(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def _repeat(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    piece = bytes(content[at : at + rng.choice([1, 16, 512])])
    content[at:at] = piece * rng.choice([1, 2, 50])


def _overwrite(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    size = min(rng.choice([2, 16, 256]), len(content) - at)
    content[at : at + size] = rng.randbytes(size)


def _splice(content: bytearray, other: bytes, rng: random.Random) -> None:
    if content and other:
        content[rng.randrange(len(content)) :] = other[rng.randrange(len(other)) :][:MAX_SAMPLE_BYTES]


DAMAGES: list[Callable[[bytearray, random.Random], None]] = [
    _flip_bits,
    _set_extreme,
    _set_number,
    _swap_word,
    _point_elsewhere,
    _cut_out,
    _cut_off,
    _repeat,
    _overwrite,
]
