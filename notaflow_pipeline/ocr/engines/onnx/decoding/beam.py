"""Finds the best reading of a part of a line, with dictionary words favoured as Tesseract favours them.

This is `RecodeBeamSearch` (lstm/recodebeam.cpp) for models with one class a character. A step scores the logarithm of the
probability of its class less an offset; outside of dictionary words that counts more than twice. At the border between a
character and what is next to it, one step may stand for both, so that it scores the logarithm of their sum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any

from notaflow_pipeline.ocr.engines.onnx.decoding.steps import OFFSET, Doubt, Piece
from notaflow_pipeline.ocr.engines.onnx.decoding.word_prefixes import WordPrefix, WordPrefixes
from notaflow_pipeline.ocr.engines.onnx.model.dictionary import Dictionaries

MAX_READINGS = 5
"""Kept at each step, in and outside of the dictionary, for each way to go on: `kBeamWidths[0]`."""

NO_CLASS = -1
"""Before the first step."""

ANYTHING, SAME, ANOTHER = range(3)
"""What may follow a step: `NodeContinuation` (lstm/recodebeam.h).

The same class must follow where the step shared its probability with the one before, since the character needs a step of its
own; another one where it shared it with the one that follows. Plain numbers, because members of an enum are slow as keys.
"""


@dataclass(frozen=True)
class Alphabet:
    """The data of a model that decoding needs: texts and unichars by class, the null class and the class of the space."""

    texts: Sequence[str]
    unichars: Sequence[int]
    null_class: int
    space_class: int | None
    dictionary: Dictionaries

    @cached_property
    def prefixes(self) -> WordPrefixes:
        """What its dictionaries say of beginnings of words."""
        return WordPrefixes(self.dictionary, self.unichars, self.space_class)


_Path = tuple[float, WordPrefix, float, float, Any]
"""A way to a step: its score, its last word, what the words before that one scored, what that one scored as a word of the
dictionary, and its pieces: a pair of the last one and such a pair of those before. A plain tuple, which is fast to make.
"""

_Beam = dict[tuple[int, int, int], _Path]
"""Paths by last word (its identity), last class and what may follow."""


def best_pieces(alphabet: Alphabet, part: Sequence[Piece | Doubt], *, is_before_space: bool = False) -> list[Piece]:
    """The pieces of the best path through the pieces and doubts of a part, behind which a space or the end follows."""
    empty = alphabet.prefixes.empty
    beam: _Beam = {(id(empty), NO_CLASS, ANYTHING): (0.0, empty, 0.0, 0.0, None)}
    for one in part:
        beam = _with_piece(alphabet, beam, one) if isinstance(one, Piece) else _with_doubt(alphabet, beam, one)

    def final_score(path: _Path) -> float:
        _, prefix, words, word, _ = path
        return words + word * prefix.factor_before(space=is_before_space)

    return [_joined(list(pieces)) for _, pieces in groupby(_pieces(max(beam.values(), key=final_score)), _label)]


_label = itemgetter(0)


def _pieces(path: _Path) -> list[Piece]:
    """The pieces of a path, the first one first."""
    found = []
    rest = path[-1]
    while rest:
        rest, piece = rest
        found.append(piece)
    return found[::-1]


def _joined(pieces: Sequence[Piece]) -> Piece:
    """One piece of pieces of one class that follow each other."""
    if len(pieces) == 1:
        return pieces[0]
    lowest, total = min(piece.lowest for piece in pieces), sum(piece.total for piece in pieces)
    return Piece(pieces[0].label, pieces[0].begin, pieces[-1].end, lowest, total, pieces[0].first, pieces[-1].last)


def _with_piece(alphabet: Alphabet, beam: _Beam, piece: Piece) -> _Beam:
    """The paths with some steps where no other class is likely."""
    longer: _Beam = {}
    label = piece.label
    for (number, last, following), path in beam.items():
        if label == last:
            if following != ANOTHER:
                _keep(longer, (number, last, ANYTHING), path, path[1], piece)
        elif following == SAME:
            continue
        elif label == alphabet.null_class:
            _keep(longer, (number, label, ANYTHING), path, path[1], piece)
        else:
            prefix = alphabet.prefixes.with_class(path[1], label)
            _keep(longer, (id(prefix), label, ANYTHING), _ended(path) if prefix.is_space else path, prefix, piece)
    return longer


def _with_doubt(alphabet: Alphabet, beam: _Beam, doubt: Doubt) -> _Beam:
    """The paths with a step that may stand for several classes (`RecodeBeamSearch::ContinueContext`)."""
    null_class, with_class = alphabet.null_class, alphabet.prefixes.with_class
    choices = [
        (label, _piece(doubt, label, probability), _piece(doubt, label, probability + doubt.null))
        for label, probability in doubt.choices
    ]
    pieces_of_both = _pieces_of_both(doubt)
    longer: _Beam = {}
    for (number, last, following), path in beam.items():
        prefix = path[1]
        is_alone = following == ANYTHING and last != null_class
        for label, alone, shared in choices:
            if label == last:
                if following != ANOTHER:
                    _keep(longer, (number, last, ANYTHING), path, prefix, alone)
                if is_alone:
                    _keep(longer, (number, last, ANOTHER), path, prefix, shared)
            elif following == SAME:
                continue
            elif label == null_class:
                _keep(longer, (number, label, ANYTHING), path, prefix, alone)
            else:
                extended = prefix.longer.get(label) or with_class(prefix, label)
                before = _ended(path) if extended.is_space else path
                _keep(longer, (id(extended), label, ANYTHING), before, extended, alone)
                shared = pieces_of_both.get((last, label), shared) if is_alone else shared
                _keep(longer, (id(extended), label, SAME), before, extended, shared)
    return _narrowed(longer)


def _piece(doubt: Doubt, label: int, probability: float) -> Piece:
    score = math.log(min(probability, 1.0)) - OFFSET
    return Piece(label, doubt.step, doubt.step + 1, score, score, score, score)


def _pieces_of_both(doubt: Doubt) -> dict[tuple[int, int], Piece]:
    """The pieces for a step that stands for the two likeliest classes and for none, by the last class and the new one."""
    (one, probability), (other, other_probability) = doubt.choices[:2]
    both = probability + other_probability + doubt.null
    return {(one, other): _piece(doubt, other, both), (other, one): _piece(doubt, one, both)}


def _ended(path: _Path) -> _Path:
    """The path with its last word ended by a space, so that another one begins."""
    score, prefix, words, word, pieces = path
    return score, prefix, words + word * prefix.factor_before(space=True), 0.0, pieces


def _keep(beam: _Beam, key: tuple[int, int, int], path: _Path, prefix: WordPrefix, piece: Piece) -> None:
    """Keep the path with another piece, if it is the best of its kind."""
    _, _, words, word, pieces = path
    word += piece.total
    score = words + word * prefix.factor
    known = beam.get(key)
    if known is None or score > known[0]:
        beam[key] = score, prefix, words, word, (pieces, piece)


def _narrowed(beam: _Beam) -> _Beam:
    """The best paths: some in the dictionary and some outside of it, for each of what may follow."""
    if len(beam) <= MAX_READINGS:
        return beam
    counts: dict[tuple[bool, int], int] = {}
    kept: _Beam = {}
    for key, found in sorted(beam.items(), key=lambda item: -item[1][0]):
        group = (found[1].state is None, key[2])
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= MAX_READINGS:
            kept[key] = found
    return kept
