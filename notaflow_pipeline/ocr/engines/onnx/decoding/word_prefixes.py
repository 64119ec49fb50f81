"""What the dictionaries say of the beginning of a word, kept for the next word that begins so.

All beginnings that no word of the dictionaries has are one: whatever follows counts the same behind each of them, so that of
several paths to one only the best can win. That does not hold for beginnings of words, which count more if the word ends
there: with those joined by their state, a ruling line before a word of a table was read as `_|` or `__|` in five rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from notaflow_pipeline.ocr.engines.onnx.model.dictionary import Dictionaries, State

OUTSIDE_DICTIONARY = 2.25
"""The factor of a step's score outside of the dictionary's words: `kDictRatio` (lstm/lstmrecognizer.cpp)."""

MAX_KEPT = 8_000
"""Beginnings that are kept, of 0.5 kB each."""


@dataclass(slots=True, eq=False)
class WordPrefix:
    """The beginning of a word: its state in the dictionary, None if no word begins so.

    `factor` is what the steps of the word count; `longer` are the beginnings with one more class.
    """

    state: State | None
    factor: float
    is_complete: bool
    is_space: bool = False
    longer: "dict[int, WordPrefix]" = field(default_factory=dict, repr=False)

    def factor_before(self, *, space: bool) -> float:
        """What the steps of the word count once a space or the end follows.

        Nothing between two spaces, or before the first one, is no word of the dictionary: `ContinueDawg` takes a space behind
        a complete word alone, while `ExtractBestPaths` also takes a space at the end. If it counted as a word, a mark that
        stands alone would be lost, because signs are in no dictionary.
        """
        is_known = self.is_complete and not (space and self.is_space)
        return 1.0 if is_known else OUTSIDE_DICTIONARY


class WordPrefixes:
    """The beginnings of words of a model, found as they are asked for.

    `empty` is the beginning before the first word. It is no word of the dictionary: `ExtractBestPaths` takes no path of the
    dictionary without a character. If it were, a character of which the network is not sure would be lost where it is the
    only one. `outside` is that of every word that the dictionary does not have.
    """

    def __init__(self, dictionary: Dictionaries, unichars: Sequence[int], space_class: int | None) -> None:
        self._dictionary = dictionary
        self._unichars = unichars
        self._space_class = space_class
        self._forget()

    def _forget(self) -> None:
        self.outside = WordPrefix(None, OUTSIDE_DICTIONARY, is_complete=False)
        self.empty = WordPrefix(self._dictionary.start, 1.0, is_complete=False, is_space=True)
        self._states: dict[tuple[State, int], State | None] = {}
        self._kept = 0

    def begin_line(self) -> None:
        """Forget all beginnings if there are too many. Those of one line must come from one call."""
        if self._kept > MAX_KEPT:
            self._forget()

    def with_class(self, prefix: WordPrefix, label: int) -> WordPrefix:
        """The beginning with a character of this class behind it; behind a space another word begins."""
        longer = prefix.longer.get(label)
        if longer is None:
            longer = prefix.longer[label] = self._with_class(prefix, label)
        return longer

    def of_word(self, labels: Iterable[int]) -> WordPrefix:
        """The beginning that is a whole word, from the classes of its characters."""
        prefix = self.empty
        for label in labels:
            prefix = self.with_class(prefix, label)
        return prefix

    def _with_class(self, prefix: WordPrefix, label: int) -> WordPrefix:
        if label == self._space_class:
            self._kept += 1
            return WordPrefix(self._dictionary.start, 1.0, is_complete=True, is_space=True)
        state = None if prefix.state is None else self._state_behind(prefix.state, self._unichars[label])
        if state is None:
            return self.outside
        self._kept += 1
        return WordPrefix(state, 1.0, self._dictionary.is_word_end(state))

    def _state_behind(self, state: State, unichar: int) -> State | None:
        """The dictionaries' next state; words of different beginnings share most of their states."""
        key = state, unichar
        if key not in self._states:
            self._states[key] = self._dictionary.step(state, unichar)
        return self._states[key]
