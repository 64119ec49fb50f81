"""Finds the best reading of a part of a line, with dictionary words favoured as Tesseract favours them.

This is `RecodeBeamSearch` (lstm/recodebeam.cpp) for models with one class a character. A step scores the logarithm of the
probability of its class less an offset; outside of dictionary words that counts more than twice. At the border between a
character and what is next to it, one step may stand for both, so that it scores the logarithm of their sum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from notaflow_pipeline.ocr.engines.onnx.decoding.steps import OFFSET, Doubt, Piece
from notaflow_pipeline.ocr.engines.onnx.model.dictionary import Dictionaries, State

OUTSIDE_DICTIONARY = 2.25
"""The factor of a step's score outside of the dictionary's words: `kDictRatio` (lstm/lstmrecognizer.cpp)."""

MAX_READINGS = 5
"""Kept at each step, in and outside of the dictionary, for each way to go on: `kBeamWidths[0]`."""

NO_CLASS = -1
NO_PIECE = Piece(NO_CLASS, 0, 0, 0.0, 0.0, 0.0, 0.0)
"""Before the first step."""


ANYTHING, SAME, ANOTHER = range(3)
"""What may follow a step: `NodeContinuation` (lstm/recodebeam.h).

The same class must follow where the step shared its probability with the one before, since the character needs a step of its
own; another one where it shared it with the one that follows. Plain numbers, because members of an enum are slow as keys.
"""


@dataclass(slots=True, eq=False)
class _Text:
    """What a path read: the state of its last word in the dictionary, None if no word begins so.

    `factor` is what the steps of that word count; `longer` are the texts with one more class.
    """

    state: State | None
    factor: float
    is_complete: bool
    is_space: bool
    longer: "dict[int, _Text]"

    def factor_before(self, *, space: bool) -> float:
        """What the steps of its last word count once a space or the end follows.

        Nothing between two spaces, or before the first one, is no word of the dictionary: `ContinueDawg` takes a space behind
        a complete word alone, while `ExtractBestPaths` also takes a space at the end. If it counted as a word, a mark that
        stands alone would be lost, because signs are in no dictionary.
        """
        is_known = self.is_complete and not (space and self.is_space)
        return 1.0 if is_known else OUTSIDE_DICTIONARY


@dataclass(frozen=True)
class Alphabet:
    """The data of a model that decoding needs: texts and unichars by class, the null class and the class of the space."""

    texts: Sequence[str]
    unichars: Sequence[int]
    null_class: int
    space_class: int | None
    dictionary: Dictionaries

    @cached_property
    def empty_text(self) -> _Text:
        """The text before the first word; the texts that begin with it are kept, so that a word is looked up once a page.

        It is no word of the dictionary: `ExtractBestPaths` takes no path of the dictionary without a character. If it were,
        a character of which the network is not sure would be lost where it is the only one.
        """
        return _Text(self.dictionary.start, 1.0, is_complete=False, is_space=True, longer={})


class _Path(NamedTuple):
    """A way to a step: its score, what its words before the last one scored, what its last one did, and its pieces.

    The last word's score is that of a word of the dictionary; `pieces` has the last piece first, each beside those before.
    """

    score: float
    words: float
    word: float
    pieces: tuple[Any, Piece]


_Key = tuple[int, int, int]
_Beam = dict[_Key, tuple[_Text, _Path]]
"""Paths by text (its identity), last class and what may follow."""


def best_pieces(alphabet: Alphabet, part: Sequence[Piece | Doubt], *, is_before_space: bool = False) -> list[Piece]:
    """The pieces of the best path through the pieces and doubts of a part, behind which a space or the end follows."""
    text = alphabet.empty_text
    beam: _Beam = {(id(text), NO_CLASS, ANYTHING): (text, _Path(0.0, 0.0, 0.0, (None, NO_PIECE)))}
    for one in part:
        beam = _with_piece(alphabet, beam, one) if isinstance(one, Piece) else _with_doubt(alphabet, beam, one)

    def final_score(found: tuple[_Text, _Path]) -> float:
        text, path = found
        return path.words + path.word * text.factor_before(space=is_before_space)

    _, best = max(beam.values(), key=final_score)
    pieces = []
    before, piece = best.pieces
    while before:
        pieces.append(piece)
        before, piece = before
    return pieces[::-1]


def _with_piece(alphabet: Alphabet, beam: _Beam, piece: Piece) -> _Beam:
    """The paths with some steps where no other class is likely."""
    longer: _Beam = {}
    label = piece.label
    for (text_id, last, following), (text, path) in beam.items():
        if label == last:
            if following != ANOTHER:
                _keep_longer(longer, (text_id, last, ANYTHING), path, text, piece)
        elif following != SAME:
            more = text if label == alphabet.null_class else _longer_text(alphabet, text, label)
            _keep_extended(longer, (id(more), label, ANYTHING), path, text, more, piece)
    return longer


def _with_doubt(alphabet: Alphabet, beam: _Beam, doubt: Doubt) -> _Beam:
    """The paths with a step that may stand for several classes (`RecodeBeamSearch::ContinueContext`)."""
    null_class = alphabet.null_class
    choices = [
        (label, probability, _piece(doubt, label, probability), _piece(doubt, label, probability + doubt.null))
        for label, probability in doubt.choices
    ]
    longer: _Beam = {}
    for (text_id, last, following), (text, path) in beam.items():
        is_alone = following == ANYTHING and last != null_class
        for label, probability, alone, shared in choices:
            if label == last:
                if following != ANOTHER:
                    _keep_longer(longer, (text_id, last, ANYTHING), path, text, alone)
                if is_alone:
                    _keep_longer(longer, (text_id, last, ANOTHER), path, text, shared)
            elif following == SAME:
                continue
            elif label == null_class:
                _keep_extended(longer, (text_id, label, ANYTHING), path, text, text, alone)
            else:
                more = _longer_text(alphabet, text, label)
                _keep_extended(longer, (id(more), label, ANYTHING), path, text, more, alone)
                if is_alone and (share := _share_of(last, label, doubt)):
                    shared = _piece(doubt, label, probability + doubt.null + share)
                _keep_extended(longer, (id(more), label, SAME), path, text, more, shared)
    return _narrowed(longer)


def _piece(doubt: Doubt, label: int, probability: float) -> Piece:
    score = math.log(min(probability, 1.0)) - OFFSET
    return Piece(label, doubt.step, doubt.step + 1, score, score, score, score)


def _share_of(last: int, label: int, doubt: Doubt) -> float:
    """The probability of the last class, where it and the new one are the two most likely ones of the step."""
    one, other = doubt.choices[:2]
    if {last, label} != {one[0], other[0]}:
        return 0.0
    return one[1] if one[0] == last else other[1]


def _longer_text(alphabet: Alphabet, text: _Text, label: int) -> _Text:
    known = text.longer.get(label)
    if known:
        return known
    dictionary = alphabet.dictionary
    if label == alphabet.space_class:
        longer = _Text(dictionary.start, 1.0, is_complete=True, is_space=True, longer={})
    else:
        state = None if text.state is None else dictionary.step(text.state, alphabet.unichars[label])
        factor = OUTSIDE_DICTIONARY if state is None else 1.0
        is_complete = state is not None and dictionary.is_word_end(state)
        longer = _Text(state, factor, is_complete=is_complete, is_space=False, longer={})
    text.longer[label] = longer
    return longer


def _keep_extended(beam: _Beam, key: _Key, path: _Path, text: _Text, longer: _Text, piece: Piece) -> None:
    """Keeps the path with another piece, if it is the best of its kind. A space begins a word, and counts like that word."""
    words, word = path.words, path.word
    if longer is not text and longer.is_space:
        words, word = words + word * text.factor_before(space=True), 0.0
    word += piece.total
    score = words + word * longer.factor
    known = beam.get(key)
    if known is None or score > known[1].score:
        beam[key] = longer, _Path(score, words, word, (path.pieces, piece))


def _keep_longer(beam: _Beam, key: _Key, path: _Path, text: _Text, piece: Piece) -> None:
    """Keeps the path with its last piece longer, if it is the best of its kind."""
    word = path.word + piece.total
    score = path.words + word * text.factor
    known = beam.get(key)
    if known is None or score > known[1].score:
        before, last = path.pieces
        lowest, total = min(last.lowest, piece.lowest), last.total + piece.total
        joined = Piece(last.label, last.begin, piece.end, lowest, total, last.first, piece.last)
        beam[key] = text, _Path(score, path.words, word, (before, joined))


def _narrowed(beam: _Beam) -> _Beam:
    """The best paths: some in the dictionary and some outside of it, for each of what may follow."""
    if len(beam) <= MAX_READINGS:
        return beam
    counts: dict[tuple[bool, int], int] = {}
    kept: _Beam = {}
    for key, found in sorted(beam.items(), key=lambda item: -item[1][1].score):
        group = (found[0].state is None, key[2])
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= MAX_READINGS:
            kept[key] = found
    return kept
