"""What PDFium does not tell of a PDF's pages: their unit of length, and whether something that they draw is missing.

Reads the objects of the file itself, as far as they are plain or in compressed object streams, without a table of
contents. Where a file cannot be understood so (it is encrypted, or unusual), nothing is said about its pages.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

MAX_FILE_BYTES = 128 * 1024**2
"""A larger file would be held in memory by every worker that reads a page of it."""

MAX_HEAD_BYTES = 40
MAX_DICTIONARY_BYTES = 64 * 1024
MAX_STREAM_BYTES = 32 * 1024**2
MAX_PAGES = 10_000
MAX_DEPTH = 50
MAX_FORMS = 4
"""How deep forms inside of forms are followed."""

USER_UNITS = (0.01, 1000.0)


@dataclass(frozen=True)
class PageFacts:
    """`user_unit` is how many points one unit of the page's coordinates has; `missing` tells that content is not there."""

    user_unit: float = 1.0
    missing: bool = False


UNKNOWN = PageFacts()


def page_facts(path: Path, page_number: int) -> PageFacts:
    """What is known of a page, counted from 1."""
    status = path.stat()
    if status.st_size > MAX_FILE_BYTES:
        return UNKNOWN
    facts = _facts_of_file(path, (status.st_size, status.st_mtime_ns))
    return facts[page_number - 1] if page_number <= len(facts) else UNKNOWN


@lru_cache(maxsize=2)
def _facts_of_file(path: Path, _version: tuple[int, int]) -> tuple[PageFacts, ...]:
    """The facts of all pages; with another size or time the file is another one."""
    content = path.read_bytes()
    if b"/Encrypt" in content:
        return ()
    try:
        file = _Objects(content)
        return tuple(file.facts(page) for page in file.pages())
    except (ValueError, IndexError, RecursionError, zlib.error):
        return ()


class _Objects:
    """The objects of a file: their dictionaries by number, and where their streams begin."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._dictionaries: dict[int, bytes] = {}
        self._streams: dict[int, int] = {}
        place = -1
        while (place := content.find(b"obj", place + 1)) >= 0:  # 40 times as fast as a search for the whole expression
            if head := OBJECT_HEAD.search(content, max(0, place - MAX_HEAD_BYTES), place):
                self._add(int(head[1]), place + len(b"obj"))
        for number in [number for number, text in self._dictionaries.items() if OBJECT_STREAM.search(text)]:
            self._unpack(number)

    def pages(self) -> list[bytes]:
        """The dictionaries of the pages in their order, with what they inherit behind their own entries."""
        roots = [found for text in (self._content, *self._cross_references()) for found in ROOT.findall(text)]
        if not roots:
            return []
        tree = PAGES.search(self._dictionaries.get(int(roots[-1]), b""))
        return list(self._leaves(int(tree[1]), b"", 0)) if tree else []

    def facts(self, page: bytes) -> PageFacts:
        unit = USER_UNIT.search(page)
        user_unit = float(unit[1]) if unit else 1.0
        low, high = USER_UNITS
        return PageFacts(user_unit if low <= user_unit <= high else 1.0, self._lacks_something(page))

    def _add(self, number: int, start: int) -> None:
        """Take in an object; the last one of a number counts, as in a file with later changes."""
        end = DICTIONARY_END.search(self._content, start, start + MAX_DICTIONARY_BYTES)
        if end is None:
            return
        self._dictionaries[number] = self._content[start : end.start()]
        self._streams.pop(number, None)
        if end[0].startswith(b"stream"):
            self._streams[number] = end.end()

    def _cross_references(self) -> list[bytes]:
        return [text for text in self._dictionaries.values() if CROSS_REFERENCE.search(text)]

    def _unpack(self, number: int) -> None:
        """Take in the objects of a compressed object stream that are not plain in the file."""
        text, data = self._dictionaries[number], self._stream(number)
        count, first = COUNT.search(text), FIRST.search(text)
        if data is None or count is None or first is None:
            return
        start = int(first[1])
        numbers = [int(one) for one in data[:start].split()[: 2 * int(count[1])]]
        places = [*numbers[1::2], len(data) - start]
        for index, one in enumerate(numbers[::2]):
            self._dictionaries.setdefault(one, data[start + places[index] : start + places[index + 1]])

    def _stream(self, number: int) -> bytes | None:
        """The bytes of a stream, None if its filter is not the usual one or it is cut short."""
        start = self._streams.get(number)
        if start is None:
            return None
        end = self._content.find(b"endstream", start)
        data = self._content[start : end if end >= 0 else len(self._content)]
        filters = FILTERS.findall(self._dictionaries[number])
        if not filters:
            return data
        if filters != [b"/FlateDecode"] or b"/Predictor" in self._dictionaries[number]:
            return None
        try:
            return zlib.decompressobj().decompress(data, MAX_STREAM_BYTES)
        except zlib.error:
            return None

    def _leaves(self, number: int, inherited: bytes, depth: int) -> Iterator[bytes]:
        text = self._dictionaries.get(number, b"")
        kids = KIDS.search(text)
        if kids is None or depth > MAX_DEPTH:
            yield text + inherited
            return
        rest = text[: kids.start()] + text[kids.end() :] + inherited
        for kid in REFERENCE.findall(kids[1])[:MAX_PAGES]:
            yield from self._leaves(int(kid), rest, depth + 1)

    def _lacks_something(self, page: bytes) -> bool:
        """Whether the page's content, or an image or a form that this draws, is not in the file."""
        drawn: set[bytes] = set()
        contents = CONTENTS.search(page)
        for number in REFERENCE.findall(contents[0]) if contents else []:
            if int(number) not in self._dictionaries:
                return True
            drawn.update(DRAWN.findall(self._stream(int(number)) or b""))
        return self._draws_what_is_missing(page, drawn, 0)

    def _draws_what_is_missing(self, owner: bytes, drawn: set[bytes], depth: int) -> bool:
        """The same for what a page or a form draws under these names."""
        known = dict(NAMED.findall(self._named_objects(owner)))
        for name in drawn & known.keys():
            number = int(known[name])
            text = self._dictionaries.get(number)
            if text is None:
                return True
            if depth < MAX_FORMS and FORM.search(text):
                inside = set(DRAWN.findall(self._stream(number) or b""))
                if self._draws_what_is_missing(text, inside, depth + 1):
                    return True
        return False

    def _named_objects(self, page: bytes) -> bytes:
        """The text in which the names of a page's images and forms stand."""
        resources = RESOURCES.search(page)
        text = self._dictionaries.get(int(resources[1]), b"") if resources else page
        named = XOBJECTS.search(text)
        if named is None:
            return b""
        return self._dictionaries.get(int(named[1]), b"") if named[1] else named[2]


OBJECT_HEAD = re.compile(rb"(?<!\d)(\d{1,10})[ \t\r\n]{1,9}\d{1,5}[ \t\r\n]{1,9}\Z")
DICTIONARY_END = re.compile(rb"endobj\b|\bstream\r?\n")
OBJECT_STREAM = re.compile(rb"/Type\s*/ObjStm\b")
CROSS_REFERENCE = re.compile(rb"/Type\s*/XRef\b")
FORM = re.compile(rb"/Subtype\s*/Form\b")
COUNT, FIRST = re.compile(rb"/N\s+(\d+)"), re.compile(rb"/First\s+(\d+)")
FILTERS = re.compile(rb"/(?:ASCII85|ASCIIHex|LZW|Flate|RunLength|CCITTFax|JBIG2|DCT|JPX)Decode\b|/Crypt\b")
ROOT = re.compile(rb"/Root\s+(\d{1,10})\s+\d+\s+R")
PAGES = re.compile(rb"/Pages\s+(\d{1,10})\s+\d+\s+R")
KIDS = re.compile(rb"/Kids\s*\[([^\]]*)\]")
REFERENCE = re.compile(rb"(\d{1,10})\s+\d+\s+R\b")
CONTENTS = re.compile(rb"/Contents\s*(?:\[[^\]]*\]|\d{1,10}\s+\d+\s+R)")
RESOURCES = re.compile(rb"/Resources\s+(\d{1,10})\s+\d+\s+R")
XOBJECTS = re.compile(rb"/XObject\s*(?:(\d{1,10})\s+\d+\s+R|<<(.*?)>>)", re.DOTALL)
NAMED = re.compile(rb"/([^\s/<>\[\]()]+)\s+(\d{1,10})\s+\d+\s+R")
DRAWN = re.compile(rb"/([^\s/<>\[\]()]+)\s+Do\b")
USER_UNIT = re.compile(rb"/UserUnit\s+(\d+(?:\.\d*)?|\.\d+)")
