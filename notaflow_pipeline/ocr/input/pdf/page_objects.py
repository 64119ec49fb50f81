"""Facts about the pages of a PDF that PDFium does not report: their unit of length, and whether content is missing.

This module reads the objects of the file itself, both plain objects and those in compressed object streams, without the
cross-reference table. Of an encrypted file it reads a copy that PDFium decrypts. For files that it cannot parse it reports
nothing.
"""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pypdfium2
from pypdfium2 import raw

MAX_FILE_BYTES = 128 * 1024**2
"""Maximum size of a file that is parsed, because every worker that reads a page of it holds it in memory."""

MAX_HEAD_BYTES = 40
MAX_DICTIONARY_BYTES = 64 * 1024
MAX_STREAM_BYTES = 32 * 1024**2
MAX_PAGES = 10_000
MAX_DEPTH = 50
MAX_FORMS = 4
"""Maximum depth of forms inside forms."""

USER_UNITS = (0.01, 1000.0)


@dataclass(frozen=True)
class PageFacts:
    """Facts about a page. `user_unit` is the number of points per unit of its coordinates; `missing` means that
    content is missing."""

    user_unit: float = 1.0
    missing: bool = False


UNKNOWN = PageFacts()


def page_facts(path: Path, page_number: int) -> PageFacts:
    """Returns the facts about a page, counted from 1."""
    status = path.stat()
    if status.st_size > MAX_FILE_BYTES:
        return UNKNOWN
    facts = _facts_of_file(path, (status.st_size, status.st_mtime_ns))
    return facts[page_number - 1] if page_number <= len(facts) else UNKNOWN


@lru_cache(maxsize=2)
def _facts_of_file(path: Path, _version: tuple[int, int]) -> tuple[PageFacts, ...]:
    """Returns the facts about all pages. The size and time of the file are part of the cache key."""
    content = path.read_bytes()
    try:
        file = _Objects(_decrypted(content) if b"/Encrypt" in content else content)
        return tuple(file.facts(page) for page in file.pages())
    except (ValueError, IndexError, RecursionError, zlib.error, pypdfium2.PdfiumError):
        return ()


def _decrypted(content: bytes) -> bytes:
    """Returns a copy of an encrypted file that needs no password, without its encryption."""
    copy = io.BytesIO()
    with pypdfium2.PdfDocument(content) as document:
        document.save(copy, flags=raw.FPDF_REMOVE_SECURITY)
    return copy.getvalue()


class _Objects:
    """The objects of a file: their dictionaries by number, and the offsets of their streams."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._dictionaries: dict[int, bytes] = {}
        self._streams: dict[int, int] = {}
        position = -1
        # `find` is 40 times as fast as a search for the whole expression
        while (position := content.find(b"obj", position + 1)) >= 0:
            if head := OBJECT_HEAD.search(content, max(0, position - MAX_HEAD_BYTES), position):
                self._add(int(head[1]), position + len(b"obj"))
        for number in [number for number, text in self._dictionaries.items() if OBJECT_STREAM.search(text)]:
            self._unpack(number)

    def pages(self) -> list[bytes]:
        """Returns the dictionaries of the pages in order, each followed by the entries that it inherits."""
        roots = [found for text in (self._content, *self._cross_references()) for found in ROOT.findall(text)]
        if not roots:
            return []
        tree = PAGES.search(self._dictionaries.get(int(roots[-1]), b""))
        return list(self._leaves(int(tree[1]), b"", 0)) if tree else []

    def facts(self, page: bytes) -> PageFacts:
        unit = USER_UNIT.search(page)
        user_unit = float(unit[1]) if unit else 1.0
        low, high = USER_UNITS
        return PageFacts(user_unit if low <= user_unit <= high else 1.0, self._is_content_missing(page))

    def _add(self, number: int, start: int) -> None:
        """Adds an object. The last object of a number counts, as in files with incremental updates."""
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
        """Adds the objects of a compressed object stream that are not plain objects of the file."""
        text, data = self._dictionaries[number], self._stream(number)
        count, first = COUNT.search(text), FIRST.search(text)
        if data is None or count is None or first is None:
            return
        start = int(first[1])
        numbers = [int(item) for item in data[:start].split()[: 2 * int(count[1])]]
        positions = [*numbers[1::2], len(data) - start]
        for index, item in enumerate(numbers[::2]):
            self._dictionaries.setdefault(item, data[start + positions[index] : start + positions[index + 1]])

    def _stream(self, number: int) -> bytes | None:
        """Returns the bytes of a stream; None if its filter is not supported or its data is damaged."""
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
        children = KIDS.search(text)
        if children is None or depth > MAX_DEPTH:
            yield text + inherited
            return
        rest = text[: children.start()] + text[children.end() :] + inherited
        for kid in REFERENCE.findall(children[1])[:MAX_PAGES]:
            yield from self._leaves(int(kid), rest, depth + 1)

    def _is_content_missing(self, page: bytes) -> bool:
        """Whether the content of the page, or an image or form that it draws, is missing in the file."""
        drawn: set[bytes] = set()
        contents = CONTENTS.search(page)
        for number in REFERENCE.findall(contents[0]) if contents else []:
            if int(number) not in self._dictionaries:
                return True
            drawn.update(DRAWN.findall(self._stream(int(number)) or b""))
        return self._is_drawn_object_missing(page, drawn, 0)

    def _is_drawn_object_missing(self, owner: bytes, drawn: set[bytes], depth: int) -> bool:
        """Whether an image or form that a page or form draws by these names is missing."""
        known = dict(NAMED.findall(self._named_objects(owner)))
        for name in drawn & known.keys():
            number = int(known[name])
            text = self._dictionaries.get(number)
            if text is None:
                return True
            if depth < MAX_FORMS and FORM.search(text):
                inside = set(DRAWN.findall(self._stream(number) or b""))
                if self._is_drawn_object_missing(text, inside, depth + 1):
                    return True
        return False

    def _named_objects(self, page: bytes) -> bytes:
        """Returns the dictionary text that contains the names of the images and forms of a page."""
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
