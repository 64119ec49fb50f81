"""Sorts the steps of a line's output into runs that can only be read in one way, and doubts that cannot.

Most steps have one likely class. A step between two runs may be shared by both, as at the edge of a letter: it says no more
than where the border is, so it joins a run, with the probabilities of both (lstm/recodebeam.h explains why that is right).
What is left are the doubts, for `beam` to decide.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]

MIN_PROBABILITY = 0.0306
"""Classes below it are not looked at: exp(`kWorstDictCertainty` / `kCertaintyScale` - `kCertOffset`), that is
exp(-25 / 7 + 0.085), below which Tesseract goes on with no dictionary word (ccmain/linerec.cpp, lstm/lstmrecognizer.cpp).
"""

MAX_OPEN_PROBABILITY = 1.001 - MIN_PROBABILITY
"""Above it the likeliest class leaves no other one as much as `MIN_PROBABILITY`; rows have a sum of 1 but for rounding."""

OFFSET = 0.085
"""The additional cost of each step, which favours longer words of the dictionary: `kCertOffset`."""


class Piece(NamedTuple):
    """Steps that stand for one class: the first one, the first one behind, the lowest and the sum of their scores, and the
    scores of the first and of the last of them.
    """

    label: int
    begin: int
    end: int
    lowest: float
    total: float
    first: float
    last: float


@dataclass(frozen=True)
class Doubt:
    """A step that may stand for several classes: the likely ones, the best first, and how likely it is to be for none."""

    step: int
    choices: list[tuple[int, float]]
    null: float


def pieces_and_doubts(probabilities: Probabilities, null_class: int) -> list[Piece | Doubt]:
    """The runs and doubts of a line, from the probabilities of each class (column) at each step (row)."""
    labels = probabilities.argmax(1)
    values = probabilities[np.arange(len(labels)), labels]
    nulls = probabilities[:, null_class]
    unsure = np.flatnonzero(values < MAX_OPEN_PROBABILITY)
    likely = probabilities[unsure] >= MIN_PROBABILITY
    likely[np.arange(len(unsure)), labels[unsure]] = True
    is_open = likely.sum(1) > 1
    open_steps, likely = unsure[is_open], likely[is_open]
    is_shared = _share_borders(probabilities, open_steps, likely, labels, values, null_class)
    is_doubt = np.zeros(len(labels), bool)
    is_doubt[open_steps] = True
    is_doubt &= ~is_shared
    begins = np.flatnonzero(np.concatenate(([True], (labels[1:] != labels[:-1]) | is_doubt[1:] | is_doubt[:-1])))
    ends = np.append(begins[1:], len(labels))
    _share_with_null(values, nulls, is_shared, is_doubt | (labels == null_class), begins, ends)
    scores = np.log(np.minimum(values, 1.0)) - OFFSET
    lowest, totals = np.minimum.reduceat(scores, begins), np.add.reduceat(scores, begins)
    columns = labels[begins], begins, ends, lowest, totals, scores[begins], scores[ends - 1]
    found: list[Piece | Doubt] = list(map(Piece, *(column.tolist() for column in columns)))
    places = np.flatnonzero(is_doubt[begins])
    doubts = begins[places]
    rows = likely[np.searchsorted(open_steps, doubts)]
    for place, step, row in zip(places.tolist(), doubts.tolist(), rows, strict=True):
        found[place] = Doubt(step, _choices(probabilities[step], row, null_class), float(nulls[step]))
    return found


def _share_borders(
    probabilities: Probabilities,
    open_steps: NDArray[np.intp],
    likely: NDArray[np.bool_],
    labels: NDArray[np.intp],
    values: Probabilities,
    null_class: int,
) -> NDArray[np.bool_]:
    """Give open steps between two runs to one of them, in `labels` and `values`; says which steps these are.

    A step between a character and nothing goes to the character, one between two characters to the second. `likely` has a
    row for each open step.
    """
    is_shared = np.zeros(len(labels), bool)
    is_lone = np.diff(open_steps, prepend=-1) > 1
    is_lone[:-1] &= is_lone[1:]
    is_lone[-1:] &= open_steps[-1:] < len(labels) - 1
    inner, likely = open_steps[is_lone], likely[is_lone]
    left, right = labels[inner - 1], labels[inner + 1]
    of_left, of_right = probabilities[inner, left], probabilities[inner, right]
    nulls = np.where((left == null_class) | (right == null_class), 0, probabilities[inner, null_class])
    rows = np.arange(len(inner))
    others = likely.sum(1) - likely[rows, left] - likely[rows, right] - (likely[:, null_class] & (nulls > 0))
    fits = (left != right) & (others == 0)
    inner = inner[fits]
    labels[inner] = np.where(right == null_class, left, right)[fits]
    values[inner] = (of_left + of_right + nulls)[fits]
    is_shared[inner] = True
    return is_shared


def _share_with_null(
    values: Probabilities,
    nulls: Probabilities,
    is_shared: NDArray[np.bool_],
    is_excluded: NDArray[np.bool_],
    begins: NDArray[np.intp],
    ends: NDArray[np.intp],
) -> None:
    """Let the first and the last step of a character count as nothing too, if another one is the character's alone."""
    lasts = ends - 1
    is_character = ~is_excluded[begins]
    length = ends - begins
    first_shared, last_shared = is_shared[begins], is_shared[lasts]
    first = is_character & ~first_shared & (length >= 2 + last_shared)
    first &= (length > 2) | last_shared | (values[begins] <= values[lasts])
    last = is_character & ~last_shared & (length >= 2 + first_shared) & ((length > 2) | ~first)
    values[begins[first]] += nulls[begins[first]]
    values[lasts[last]] += nulls[lasts[last]]


def _choices(row: Probabilities, likely: NDArray[np.bool_], null_class: int) -> list[tuple[int, float]]:
    """The likely classes of a step: two at most besides none at all, as `ComputeTopN` (lstm/recodebeam.cpp) marks them."""
    labels = np.flatnonzero(likely)
    ranked = sorted(zip(labels.tolist(), row[labels].tolist(), strict=True), key=lambda choice: -choice[1])
    return [*ranked[:2], *(choice for choice in ranked[2:] if choice[0] == null_class)]
