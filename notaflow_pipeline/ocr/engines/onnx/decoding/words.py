"""Turns the probabilities of a line's steps into words, each with Tesseract's certainty and the steps where it stands.

Where a space is certain the line is taken apart; each part is searched by `beam`. What a word's certainty is made of is
`ExtractPathAsUnicharIds` (lstm/recodebeam.cpp) and `SearchWords` (ccmain/linerec.cpp).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from notaflow_pipeline.ocr.engines.onnx.decoding.beam import Alphabet, best_pieces
from notaflow_pipeline.ocr.engines.onnx.decoding.steps import Doubt, Piece, Probabilities, pieces_and_doubts
from notaflow_pipeline.ocr.engines.onnx.decoding.word_prefixes import OUTSIDE_DICTIONARY
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
    alphabet.prefixes.begin_line()
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
    """A character or a space: its steps, and the lowest and the sum of their scores and of the steps counted for it.

    `gap_lowest` and `gap_total` are those of the steps without a character before a space. `first` and `last` are the
    scores of its first and last step.
    """

    label: int
    begin: int
    end: int
    lowest: float
    total: float
    first: float = 0.0
    last: float = 0.0
    gap_lowest: float = 0.0
    gap_total: float = 0.0

    def add(self, lowest: float, total: float) -> None:
        """Count steps without a character for this one."""
        self.lowest, self.total = min(self.lowest, lowest), self.total + total


def _characters(pieces: Sequence[Piece], alphabet: Alphabet) -> list[_Character]:
    """The characters, spaces too; steps without one count for the next, at the end for the last."""
    characters: list[_Character] = []
    lowest = total = 0.0  # of the steps without a character
    for piece in pieces:
        if piece.label == alphabet.null_class:
            lowest, total = min(lowest, piece.lowest), total + piece.total
            continue
        is_space = piece.label == alphabet.space_class
        if is_space and characters and characters[-1].label == piece.label:
            characters[-1].end, characters[-1].last = piece.end, piece.last
            characters[-1].add(lowest, total)
        elif is_space:
            characters.append(_Character(*piece, gap_lowest=lowest, gap_total=total))
        else:
            characters.append(_Character(*piece))
            characters[-1].add(lowest, total)
        lowest = total = 0.0
    if characters:
        characters[-1].add(lowest, total)
    return characters


def _words(pieces: Sequence[Piece], alphabet: Alphabet, steps: int) -> Iterator[ReadWord]:
    characters = _characters(pieces, alphabet)
    borders = [0, *((one.end + two.begin) // 2 for one, two in pairwise(characters)), steps]
    places = [i for i, character in enumerate(characters) if character.label == alphabet.space_class]
    spans = list(pairwise([-1, *places, len(characters)]))
    states = [_state_of(characters[before + 1 : after], alphabet) for before, after in spans]
    if places and places[-1] == len(characters) - 1:  # the dictionary can begin behind the last space
        states[-1] = alphabet.dictionary.start
    spaces = [_space(characters[place], states, number) for number, place in enumerate(places)]
    for number, (before, after) in enumerate(spans):
        word = characters[before + 1 : after]
        if not word:
            continue
        state = states[number]
        factor = 1.0 if state else OUTSIDE_DICTIONARY
        lowest, total = min(character.lowest for character in word), sum(character.total for character in word)
        beside = spaces[max(number - 1, 0) : number + 1]
        if number < len(spaces):
            lowest, total = min(lowest, spaces[number].gap_lowest), total + spaces[number].gap_total
        yield ReadWord(
            "".join(alphabet.texts[character.label] for character in word),
            CERTAINTY_SCALE * min([factor * lowest, *(space.score for space in beside)]),
            -factor * total,
            is_word=state is not None and alphabet.dictionary.is_word(state),
            begin=borders[before + 1],
            ends=tuple(borders[before + 2 : after + 1]),
        )


@dataclass(frozen=True)
class _Space:
    """What a space scores, and the lowest and the sum of the steps before it that count for the word before it."""

    score: float
    gap_lowest: float
    gap_total: float


def _space(space: _Character, states: Sequence[State | None], number: int) -> _Space:
    """The space between two words with these states; at the end of the line the dictionary continues after it.

    Where the dictionary begins behind it, Tesseract forgets the steps before the last one (`NO_PERM` in recodebeam.cpp).
    Behind a word of the dictionary, its first step counts simply (`ContinueDawg`).
    """
    is_behind_known = states[number] is not None
    is_before_known = states[number + 1] is not None
    if is_before_known and not is_behind_known:
        return _Space(space.last, 0.0, 0.0)
    if is_before_known:
        score = space.lowest
    elif is_behind_known:
        behind_first = space.last if space.first == space.lowest else space.lowest
        score = min(space.first, OUTSIDE_DICTIONARY * behind_first if space.end - space.begin > 1 else 0.0)
    else:
        score = OUTSIDE_DICTIONARY * space.lowest
    return _Space(score, space.gap_lowest, space.gap_total)


def _state_of(characters: Sequence[_Character], alphabet: Alphabet) -> State | None:
    """The state of a word in the dictionaries, None where they do not have it."""
    prefix = alphabet.prefixes.of_word(character.label for character in characters)
    return prefix.state if prefix.is_complete else None
