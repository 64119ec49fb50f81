"""Turns the probabilities of a line's steps into words, each with Tesseract's certainty and the steps where it stands.

Where a space is certain the line is taken apart; each part is searched by `beam`. What a word's certainty is made of is
`ExtractPathAsUnicharIds` (lstm/recodebeam.cpp) and `SearchWords` (ccmain/linerec.cpp).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from notaflow_pipeline.ocr.engines.onnx.decoding.beam import OUTSIDE_DICTIONARY, Alphabet, best_pieces
from notaflow_pipeline.ocr.engines.onnx.decoding.steps import Doubt, Piece, Probabilities, pieces_and_doubts
from notaflow_pipeline.ocr.engines.onnx.model.dictionary import State

CERTAINTY_SCALE = 7.0
"""`kCertaintyScale` (ccmain/linerec.cpp)."""

CONFIDENCE_SCALE = 5.0
"""Percent for each unit of certainty: `LTRResultIterator::Confidence` (ccmain/ltrresultiterator.cpp)."""


@dataclass(frozen=True)
class ReadWord:
    """A word of a line: its text, its certainty (0 is best), and where its characters end, in steps of the line.

    `ends` are the borders between its characters and the next ones; `begin` is the border before the first. `rating` is
    what all of its steps cost (0 is best). `is_word` says whether the dictionaries have it as a word, not as a number or as
    bare punctuation.
    """

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    certainty: float
    rating: float
    is_word: bool
    begin: int
    ends: tuple[int, ...]

    @property
    def confidence(self) -> float:
        """From 0 to 100, as Tesseract returns it."""
        return max(0.0, min(100.0, 100.0 + CONFIDENCE_SCALE * self.certainty))


def read_words(probabilities: Probabilities, alphabet: Alphabet) -> list[ReadWord]:
    """The words of a line, from the probabilities of each class (column) at each step (row)."""
    if not len(probabilities):
        return []
    pieces: list[Piece] = []
    parts = list(_parts(pieces_and_doubts(probabilities, alphabet.null_class), alphabet.space_class))
    for number, part in enumerate(parts, start=1):
        sure = [one for one in part if isinstance(one, Piece)]
        is_before_space = number < len(parts)
        pieces += sure if len(sure) == len(part) else best_pieces(alphabet, part, is_before_space=is_before_space)
    return list(_words(pieces, alphabet, len(probabilities)))


def _parts(line: Sequence[Piece | Doubt], space_class: int | None) -> Iterator[Sequence[Piece | Doubt]]:
    """The line in parts, each of which but the first begins with a certain space."""
    begin = 0
    for place, one in enumerate(line):
        if isinstance(one, Piece) and one.label == space_class and place > begin:
            yield line[begin:place]
            begin = place
    yield line[begin:]


@dataclass
class _Character:
    label: int
    begin: int
    end: int
    lowest: float
    total: float

    def add(self, lowest: float, total: float) -> None:
        """Count steps without a character for this one."""
        self.lowest, self.total = min(self.lowest, lowest), self.total + total


def _characters(pieces: Sequence[Piece], alphabet: Alphabet) -> list[_Character]:
    """The characters, spaces too; steps without one count for the next, before a space and at the end for the last."""
    characters: list[_Character] = []
    lowest = total = 0.0  # of the steps without a character
    for piece in pieces:
        if piece.label == alphabet.null_class:
            lowest, total = min(lowest, piece.lowest), total + piece.total
            continue
        if piece.label == alphabet.space_class and characters:
            characters[-1].add(lowest, total)
            lowest = total = 0.0
        if piece.label == alphabet.space_class and characters and characters[-1].label == piece.label:
            characters[-1].end = piece.end
        else:
            characters.append(_Character(piece.label, piece.begin, piece.end, piece.lowest, piece.total))
            characters[-1].add(lowest, total)
        lowest = total = 0.0
    if characters:
        characters[-1].add(lowest, total)
    return characters


def _words(pieces: Sequence[Piece], alphabet: Alphabet, steps: int) -> Iterator[ReadWord]:
    characters = _characters(pieces, alphabet)
    borders = [0, *((one.end + two.begin) // 2 for one, two in pairwise(characters)), steps]
    spaces = [i for i, character in enumerate(characters) if character.label == alphabet.space_class]
    spans = list(pairwise([-1, *spaces, len(characters)]))
    states = [_state_of(characters[before + 1 : after], alphabet) for before, after in spans]
    for number, (before, after) in enumerate(spans):
        word = characters[before + 1 : after]
        if not word:
            continue
        state = states[number]
        factor = 1.0 if state else OUTSIDE_DICTIONARY
        lowest = factor * min(character.lowest for character in word)
        for space, following in ((before, number), (after, number + 1)):
            if 0 <= space < len(characters):
                lowest = min(lowest, characters[space].lowest * _factor_of_space(states, following))
        yield ReadWord(
            "".join(alphabet.texts[character.label] for character in word),
            CERTAINTY_SCALE * lowest,
            -factor * sum(character.total for character in word),
            is_word=state is not None and alphabet.dictionary.is_word(state),
            begin=borders[before + 1],
            ends=tuple(borders[before + 2 : after + 1]),
        )


def _factor_of_space(states: Sequence[State | None], following: int) -> float:
    """What a space counts: what the word behind it does, since only a word of the dictionary can begin behind it plainly.

    Its first step counts simply behind a word of the dictionary (`ContinueDawg`), but not the others.
    """
    return 1.0 if states[following] else OUTSIDE_DICTIONARY


def _state_of(characters: Sequence[_Character], alphabet: Alphabet) -> State | None:
    """The state of a word in the dictionaries, None where they do not have it."""
    dictionary = alphabet.dictionary
    state = dictionary.start
    for character in characters:
        longer = dictionary.step(state, alphabet.unichars[character.label])
        if longer is None:
            return None
        state = longer
    return state if characters and dictionary.is_word_end(state) else None
