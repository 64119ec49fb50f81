"""The dictionaries of a model, read where they lie in its file, a character at a time.

A dawg is an array of edges of 64 bits: a unichar, three flags, and where the edges behind it begin (`SquishedDawg` in
Tesseract's dict/dawg.h). Words of the word dawg and the number dawg stand within patterns of the punctuation dawg, as
`Dict::def_letter_is_okay` (dict/dict.cpp) joins them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from notaflow_pipeline.ocr.engines.onnx.model.byte_reader import ByteReader
from notaflow_pipeline.ocr.engines.onnx.model.charset import Charset
from notaflow_pipeline.ocr.engines.onnx.model.model_errors import DamagedModel
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, TrainedData

MAGIC_NUMBER = 42
"""`kDawgMagicNumber` of dawg.h."""
FLAGS = 3
"""`NUM_FLAG_BITS` of dawg.h: the last edge of its node, direction, end of a word."""
LAST_EDGE, WORD_END = 1, 4
PATTERN = 0
"""`kPatternUnicharID` of dawg.h: a word in the punctuation dawg, a digit in the number dawg."""


class Dawg:
    """A set of words as a graph. A state is the edge that was taken last; `start` is before the first."""

    start = -1

    def __init__(self, data: memoryview, what: str) -> None:
        reader = ByteReader(data, what)
        magic = reader.byte() | reader.byte() << 8
        unichars, edges = reader.integers(2)
        if magic != MAGIC_NUMBER or unichars < 1 or edges < 1:
            raise DamagedModel(f"{what} is no dawg")
        self._edges = reader.take(8 * edges).cast("Q")
        self._flags = unichars.bit_length()  # `Dawg::init`: enough bits for one more than there are
        self._letters = (1 << self._flags) - 1
        self._next = self._flags + FLAGS
        self._first = dict(self._node(0))  # no node has a letter twice

    def step(self, state: int, unichar: int) -> int | None:
        """The state behind one more unichar, None if no word goes on with it."""
        if state < 0:
            return self._first.get(unichar)
        node = self._edges[state] >> self._next
        if not node:  # no word is longer
            return None
        edges, letters, last = self._edges, self._letters, LAST_EDGE << self._flags
        for edge in range(node, len(edges)):
            bits = edges[edge]
            if bits & letters == unichar:
                return edge
            if bits & last:
                break
        return None

    def is_word_end(self, state: int) -> bool:
        """Returns whether a word ends in this state."""
        return state >= 0 and bool(self._edges[state] >> self._flags & WORD_END)

    def _node(self, edge: int) -> Iterator[tuple[int, int]]:
        while edge < len(self._edges):
            bits = self._edges[edge]
            yield bits & self._letters, edge
            if bits >> self._flags & LAST_EDGE:
                return
            edge += 1


class Position(NamedTuple):
    """One way to read what was stepped over: a place in a punctuation pattern, and one in a dawg of words or numbers.

    `dawg` is None before and without a word; `pattern` is None for a model without punctuation.
    """

    pattern: int | None
    dawg: int | None = None
    state: int = Dawg.start
    is_behind_word: bool = False


State = tuple[Position, ...]
"""Every way to read it."""


class Dictionaries:
    """The word, number and punctuation dawgs of a model, searched together. Any of them may be missing."""

    def __init__(self, words: Dawg | None, numbers: Dawg | None, punctuation: Dawg | None, charset: Charset) -> None:
        self.words = words
        self.numbers = numbers
        self.punctuation = punctuation
        self._inner = [dawg for dawg in (words, numbers) if dawg]
        self._digits = charset.digits
        self.start: State = (Position(Dawg.start if punctuation else None),)

    def step(self, state: State, unichar: int) -> State | None:
        """The state behind one more unichar, None if nothing in the dictionaries goes on with it."""
        if unichar == PATTERN:
            return None
        positions = tuple(dict.fromkeys(after for position in state for after in self._behind(position, unichar)))
        return positions or None

    def is_word_end(self, state: State) -> bool:
        """Whether a word, a number or bare punctuation may end here, with the punctuation around it complete."""
        return any(self._is_end(position) for position in state)

    def is_word(self, state: State) -> bool:
        """Whether this state is within a word of the word dawg, not a number or bare punctuation."""
        return any(place.dawg is not None and self._inner[place.dawg] is self.words for place in state)

    def _behind(self, position: Position, unichar: int) -> Iterator[Position]:
        if position.dawg is None:
            yield from self._word_begins(position, unichar)
        elif not position.is_behind_word:
            after = self._inner_step(position.dawg, position.state, unichar)
            if after is not None:
                yield position._replace(state=after)
            if not self._inner[position.dawg].is_word_end(position.state):
                return  # punctuation follows complete words alone
        if self.punctuation and position.pattern is not None:
            after = self.punctuation.step(position.pattern, unichar)
            if after is not None:
                yield position._replace(pattern=after, is_behind_word=position.dawg is not None)

    def _word_begins(self, position: Position, unichar: int) -> Iterator[Position]:
        pattern = position.pattern
        if self.punctuation and pattern is not None:
            pattern = self.punctuation.step(pattern, PATTERN)
            if pattern is None:
                return
        for dawg in range(len(self._inner)):
            after = self._inner_step(dawg, Dawg.start, unichar)
            if after is not None:
                yield Position(pattern, dawg, after)

    def _inner_step(self, dawg: int, state: int, unichar: int) -> int | None:
        inner = self._inner[dawg]
        return inner.step(state, PATTERN if inner is self.numbers and unichar in self._digits else unichar)

    def _is_end(self, position: Position) -> bool:
        is_word_complete = position.dawg is None or self._inner[position.dawg].is_word_end(position.state)
        if position.pattern is None or not self.punctuation:
            return is_word_complete and position.dawg is not None
        return is_word_complete and self.punctuation.is_word_end(position.pattern)


def read_dictionaries(trained: TrainedData, charset: Charset) -> Dictionaries:
    """The dictionaries of a model. Raises `DamagedModel` if one is malformed."""

    def dawg(component: Component) -> Dawg | None:
        data = trained.components.get(component)
        return Dawg(data, f"the {component.name.lower()} of the model {trained.name}") if data else None

    return Dictionaries(
        dawg(Component.WORD_DAWG), dawg(Component.NUMBER_DAWG), dawg(Component.PUNCTUATION_DAWG), charset
    )
